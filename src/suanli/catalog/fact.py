"""One row of the catalogue: one fact, with where it comes from and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from suanli import units

COLUMNS = (
    "id",
    "parameter",
    "value",
    "low",
    "high",
    "unit",
    "as_of",
    "source",
    "locator",
    "grade",
    "status",
    "note",
)
GRADES = {
    "A": "measured or standard",
    "B": "vendor datasheet or filing",
    "C": "analyst, press or recalled",
    "D": "our estimate",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A published value. Numbers are kept as text, in the row's own unit; `si` converts.

    `status` is "adopted", "alternative" (a published value that is not used) or "rejected" (with the reason in `note`).
    """

    table: str
    id: str
    parameter: str
    value: str
    low: str
    high: str
    unit: str
    as_of: str
    source: str
    locator: str
    grade: str
    status: str
    note: str
    origin: str = "suanli"

    @property
    def name(self) -> str:
        """Where the row stands: "chips/nvidia-h800-sxm/tdp"."""
        return f"{self.table}/{self.id}/{self.parameter}"

    @property
    def number(self) -> float:
        """The value as a float in the row's own unit."""
        return float(self.value)

    @property
    def si(self) -> float:
        """The value in coherent units [SI, byte, FLOP, USD]."""
        return units.to_si(float(self.value), self.unit)

    @property
    def band(self) -> tuple[float, float]:
        """Low and high in the row's own unit; a side that is not stated is the value itself."""
        value = float(self.value)
        return (float(self.low) if self.low else value, float(self.high) if self.high else value)

    @property
    def band_si(self) -> tuple[float, float]:
        """Low and high in coherent units."""
        low, high = self.band
        return units.to_si(low, self.unit), units.to_si(high, self.unit)

    def shown(self) -> str:
        """The value as printed: "700 W (600..800)"."""
        unit = "" if self.unit in ("", "1") else f" {self.unit}"
        band = f" ({self.low or self.value}..{self.high or self.value})" if self.low or self.high else ""
        return f"{self.value}{unit}{band}"
