"""A row of `suanli validate --claims`: what a report prints beside what suanli computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from suanli.catalog import Catalog
from suanli.errors import SuanliError
from suanli.evidence.claims import Registry
from suanli.evidence.number import Number


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One comparison. `computed` is None and the verdict "unjudged" where suanli cannot compute it; `how` says why.

    Attributes:
        id: short name of the comparison.
        claims: ids of the claims it rests on.
        quantity: what is compared.
        unit: unit of both figures.
        printed: the report's figure; None where it is a formula.
        computed: ours, from the layers and the catalogue.
        verdict: consistent (to the printed digits), rounding (within `tolerance`), inconsistent, unjudged.
        tolerance: relative difference that is allowed for, because of the model's own band [1].
        how: what computed it, or what is missing.
    """

    id: str
    claims: tuple[str, ...]
    quantity: str
    unit: str
    printed: float | None
    computed: float | None
    verdict: str
    tolerance: float
    how: str

    def document(self) -> dict[str, Any]:
        """The entry of `--json`."""
        entry = {name: getattr(self, name) for name in self.__slots__}
        return entry | {"claims": list(self.claims)}


@dataclass(frozen=True, slots=True)
class Computed:
    """What a comparison returns: our figure and how it came about; `printed` where the claim is no single number."""

    value: float
    how: str
    printed: float | None = None


class UnavailableError(SuanliError):
    """A layer or a fact that the comparison needs does not exist yet."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison to be run: which claims, which figure, and the function that computes ours.

    `reference` names the printed figure (a claim id, with .low or .high, or a table cell) and `scale` brings it to
    `unit`. `bound` is "at least" or "at most" where the report's figure is a limit on ours.
    """

    id: str
    claims: tuple[str, ...]
    quantity: str
    unit: str
    compute: Callable[[Catalog, Registry], Computed]
    reference: str = ""
    scale: float = 1.0
    tolerance: float = 0.02
    bound: str = ""

    def run(self, catalog: Catalog, claims: Registry) -> ModelRow:
        """Compute and judge; an error of ours makes the row unjudged with its reason."""
        printed, half = self._printed(claims)
        try:
            found = self.compute(catalog, claims)
        except SuanliError as error:
            return self._row(printed, None, "unjudged", str(error))
        if found.printed is not None:
            printed, half = found.printed, 0.0
        if printed is None:
            return self._row(None, found.value, "unjudged", f"{found.how}; the report prints no number")
        return self._row(printed, found.value, self._verdict(printed, half, found.value), found.how)

    def _printed(self, claims: Registry) -> tuple[float | None, float]:
        if not self.reference:
            return None, 0.0
        read = claims.operand(self.reference, printed=True)
        if not isinstance(read, Number):
            return None, 0.0
        return read.value * self.scale, read.half * self.scale

    def _verdict(self, printed: float, half: float, value: float) -> str:
        gap = abs(value - printed)
        if (self.bound == "at least" and value >= printed) or (self.bound == "at most" and value <= printed):
            return "consistent"
        if gap <= half * (1 + 1e-9):
            return "consistent"
        return "rounding" if gap <= half + self.tolerance * abs(printed) else "inconsistent"

    def _row(self, printed: float | None, computed: float | None, verdict: str, how: str) -> ModelRow:
        return ModelRow(
            self.id, self.claims, self.quantity, self.unit, printed, computed, verdict, self.tolerance, how
        )


def claimed(claims: Registry, reference: str) -> float:
    """A printed number as a float.

    Raises:
        UnavailableError: the claim is no number.
    """
    read = claims.operand(reference, printed=True)
    if not isinstance(read, Number):
        raise UnavailableError(f"{reference} is no number")
    return read.value
