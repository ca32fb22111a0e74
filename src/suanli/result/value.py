"""One number of a result, with unit, band and where it comes from. Standard library only: every layer may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Basis = Literal["given", "catalogue", "derived", "unavailable"]


@dataclass(frozen=True, slots=True)
class Value:
    """A named value.

    Attributes:
        name: dotted name, "fleet.nodes".
        value: the number in `unit`; None where it is not known (then `reason` says why).
        unit: unit of value, low and high.
        low: lower end of the 90 % band, or None where no band was computed.
        high: upper end of the 90 % band.
        basis: "given" by the user, read from the "catalogue", "derived" by a formula, or "unavailable".
        formula: for derived values; starts with "=" where it is arithmetic over the inputs' names.
        inputs: names of the values that the formula uses.
        origin: for catalogue values: table/id/parameter, source, locator, date and grade; for given ones the place.
        text: a value that is not a number (an id, a mode).
    """

    name: str
    value: float | None
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    basis: Basis = "derived"
    formula: str = ""
    inputs: tuple[str, ...] = ()
    origin: str = ""
    grade: str = ""
    reason: str = ""
    text: str = ""

    def as_metric(self) -> dict[str, Any]:
        """The short JSON form that every verb prints."""
        entry: dict[str, Any] = {
            "value": self.value,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "basis": self.basis,
        }
        if self.value is None:
            entry["reason"] = self.reason
        return entry

    def as_entry(self) -> dict[str, Any]:
        """The full JSON form of the ledger; empty fields are left out."""
        entry: dict[str, Any] = {"name": self.name, **self.as_metric()}
        for key in ("formula", "inputs", "origin", "grade", "reason", "text"):
            if getattr(self, key):
                entry[key] = getattr(self, key)
        return entry

    @classmethod
    def from_entry(cls, entry: dict[str, Any]) -> Value:
        """Read back what `as_entry` wrote."""
        fields = {key: entry[key] for key in cls.__dataclass_fields__ if key in entry}
        fields["inputs"] = tuple(fields.get("inputs", ()))
        return cls(**fields)
