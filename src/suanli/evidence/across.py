"""The same quantity in several places or reports: which values, when, and do they agree."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from suanli.errors import SuanliError, UnitError
from suanli.evidence.claims import DATA, Claim, Registry, registry, reports
from suanli.evidence.number import number
from suanli.evidence.quantity import ClaimUnit, claim_unit, comparable


@dataclass(frozen=True, slots=True)
class Across:
    """One quantity with all its printed values."""

    quantity: str
    claims: tuple[str, ...]
    shown: tuple[str, ...]
    dates: tuple[str, ...]
    verdict: str
    cause: str
    ratio: float | None

    def document(self) -> dict[str, Any]:
        """The entry of `--json`."""
        values = [
            {"claim": c, "printed": s, "date": d} for c, s, d in zip(self.claims, self.shown, self.dates, strict=True)
        ]
        return {"quantity": self.quantity, "values": values, "verdict": self.verdict, "cause": self.cause}


@lru_cache(maxsize=1)
def groups() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The quantities that stand in more than one place, with the ids of their claims."""
    with (DATA / "same.csv").open(encoding="utf-8", newline="") as file:
        return tuple((row["quantity"], tuple(row["claims"].split())) for row in csv.DictReader(file))


def across(source: Registry | None = None, wanted: Iterable[tuple[str, tuple[str, ...]]] | None = None) -> list[Across]:
    """Compare the values of each quantity, converted to one unit.

    Two values agree when their bands (half a unit of the last printed place, or the printed range) touch.

    Args:
        source: the registry; ours by default.
        wanted: groups of claim ids; ours by default.
    """
    known = source or registry()
    return [_compare(quantity, names, known) for quantity, names in (groups() if wanted is None else wanted)]


def _compare(quantity: str, names: tuple[str, ...], known: Registry) -> Across:
    shown: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    try:
        claims = [known.claim(name) for name in names]
        shown = tuple(claim.shown for claim in claims)
        dates = tuple(_date(claim) for claim in claims)
        units = [claim_unit(claim.unit) for claim in claims]
        bands = [_band(claim, unit) for claim, unit in zip(claims, units, strict=True)]
        odd = next((claim for claim, unit in zip(claims, units, strict=True) if not comparable(units[0], unit)), None)
        if odd is not None:
            raise UnitError(f'"{claims[0].unit}" and "{odd.unit}" cannot be compared')
    except SuanliError as error:
        blank = ("",) * len(names)
        return Across(quantity, names, shown or blank, dates or blank, "unjudged", str(error), None)
    apart = max(low for low, _, _ in bands) > min(high for _, high, _ in bands) * (1 + 1e-9)
    middles = [middle for _, _, middle in bands]
    ratio = max(middles) / min(middles) if min(middles) > 0 else None
    verdict = "inconsistent" if apart else "consistent" if len(set(middles)) == 1 else "rounding"
    cause = f"largest over smallest x{ratio:.4g}" if apart and ratio else ""
    return Across(quantity, names, shown, dates, verdict, cause, ratio)


def _date(claim: Claim) -> str:
    printed = reports().get(claim.report, {}).get("date", "")
    return f"{claim.period or 'undated'} (report {printed})" if printed else claim.period


def _band(claim: Claim, unit: ClaimUnit) -> tuple[float, float, float]:
    """Low, high and middle of a printed value in coherent units; an open end of a range reaches 20 % further."""
    if claim.value:
        read = number(claim.value)
        if read is None:
            raise UnitError(f'claim "{claim.id}" is text')
        half = max(read.half, 0.025 * abs(read.value) if claim.approximate else 0.0)
        half = max(half, min(read.loose, 0.025 * abs(read.value)))
        return unit.factor * (read.value - half), unit.factor * (read.value + half), unit.factor * read.value
    low, high = number(claim.low), number(claim.high)
    if low is None and high is None:
        raise UnitError(f'claim "{claim.id}" has no value')
    bottom = low.value if low else 0.8 * high.value if high else 0.0
    top = high.value if high else 1.2 * bottom
    middle = 0.5 * (bottom + top) if low and high else (low or high).value  # type: ignore[union-attr]
    return unit.factor * bottom, unit.factor * top, unit.factor * middle
