"""The same quantity in several places or reports: which values, when, and do they agree."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from suanli import units
from suanli.errors import SuanliError, UnitError
from suanli.evidence.claims import DATA, Claim, Registry, counted, registry, reports
from suanli.evidence.number import number
from suanli.evidence.quantity import ClaimUnit, claim_unit, comparable

_CNY_PER_USD = 7.2  # mean of 2024 and 2025 within 2 %; only used to place an amount in the other currency
_MORE = re.compile(r"\b(exceed(s|ed)?|more than|over)\b")
_USD, _CNY = units.unit("USD").dimension, units.unit("CNY").dimension


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
            {"claim": c, "printed": s, "date": d}
            for c, s, d in zip(self.claims, self.shown, self.dates, strict=True)
        ]
        return {"quantity": self.quantity, "values": values, "verdict": self.verdict, "cause": self.cause}


@lru_cache(maxsize=1)
def groups() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The quantities that stand in more than one place, with the ids of their claims."""
    with (DATA / "same.csv").open(encoding="utf-8", newline="") as file:
        return tuple((row["quantity"], tuple(row["claims"].split())) for row in csv.DictReader(file))


def across(
    source: Registry | None = None, wanted: Iterable[tuple[str, tuple[str, ...]]] | None = None
) -> list[Across]:
    """Compare the values of each quantity, converted to one unit.

    Two values agree when their bands touch: half a unit of the last printed place, or the printed range. A figure
    printed as "more than" may be 20 % more.

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
        bands = [_band(claim, _common(claims[0], claim)) for claim in claims]
    except SuanliError as error:
        blank = ("",) * len(names)
        return Across(quantity, names, shown or blank, dates or blank, "unjudged", str(error), None)
    apart = max(low for low, _, _ in bands) > min(high for _, high, _ in bands) * (1 + 1e-9)
    middles = [middle for _, _, middle in bands]
    ratio = max(middles) / min(middles) if min(middles) > 0 else None
    verdict = "inconsistent" if apart else "consistent" if len(set(middles)) == 1 else "rounding"
    cause = f"largest over smallest x{ratio:.4g}" if apart and ratio else ""
    return Across(quantity, names, shown, dates, verdict, cause, ratio)


def _common(first: Claim, claim: Claim) -> ClaimUnit:
    """The claim's unit in the terms of the first; dollars become yuan at about the rate of the reports."""
    want, have = claim_unit(first.unit), claim_unit(claim.unit)
    if comparable(want, have):
        return have
    if {want.dimension, have.dimension} == {_USD, _CNY}:
        rate = _CNY_PER_USD if have.dimension == _USD else 1.0 / _CNY_PER_USD
        return ClaimUnit(have.factor * rate, want.dimension)
    raise UnitError(f'"{first.unit}" and "{claim.unit}" cannot be compared')


def _date(claim: Claim) -> str:
    printed = reports().get(claim.report, {}).get("date", "")
    return f"{claim.period or 'undated'} (report {printed})" if printed else claim.period


def _band(claim: Claim, unit: ClaimUnit) -> tuple[float, float, float]:
    """Low, high and middle of a printed value in coherent units; an open end of a range reaches 20 % further."""
    if claim.value:
        read = number(claim.value)
        if read is None:
            raise UnitError(f'claim "{claim.id}" is text')
        half = 0.0 if counted(claim, read.value) else read.half
        half = max(half, 0.025 * abs(read.value) if claim.approximate else 0.0)
        if _MORE.search(claim.quantity):
            return unit.factor * read.value, 1.2 * unit.factor * read.value, unit.factor * read.value
        if half:
            half = max(half, min(read.loose, 0.025 * abs(read.value)))
        return unit.factor * (read.value - half), unit.factor * (read.value + half), unit.factor * read.value
    low, high = number(claim.low), number(claim.high)
    if low is None and high is None:
        raise UnitError(f'claim "{claim.id}" has no value')
    bottom = low.value if low else 0.8 * high.value if high else 0.0
    top = high.value if high else 1.2 * bottom
    middle = 0.5 * (bottom + top) if low and high else (low or high).value  # type: ignore[union-attr]
    return unit.factor * bottom, unit.factor * top, unit.factor * middle
