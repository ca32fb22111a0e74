"""The catalogue and the claims: which claims stand behind a row, what every report says about a parameter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from suanli import units
from suanli.catalog import TABLES, Catalog, Fact
from suanli.errors import UnitError
from suanli.evidence.claims import Claim, Registry, registry

_ID = re.compile(r"\bs00\d-[a-z0-9][a-z0-9+.-]*[a-z0-9](?![a-z0-9*-])")
_GRADES = "ABCD"


@dataclass(frozen=True, slots=True)
class Linked:
    """A claim behind a row of the catalogue. `reason` is the row's note: why it is adopted, kept or rejected."""

    fact: Fact
    claim: Claim

    @property
    def reason(self) -> str:
        """Why the row stands as it does."""
        return self.fact.note or self.fact.status


def cited(fact: Fact) -> list[str]:
    """The claim ids that a row cites in its locator and note, in order, each once."""
    return list(dict.fromkeys(_ID.findall(f"{fact.locator} {fact.note}")))


def claims_of(
    catalog: Catalog, table: str, name: str, parameter: str | None = None, claims: Registry | None = None
) -> list[Linked]:
    """List the claims behind the rows of an entry: every report's word on each parameter, and what became of it.

    Args:
        catalog: the catalogue.
        table: its table.
        name: the entry's id or alias.
        parameter: one parameter; all by default.
        claims: the registry; ours by default.

    Returns:
        One pair of row and claim for each citation that is in the registry, in the order of the rows.
    """
    known = claims or registry()
    rows = [fact for fact in catalog.rows(table, name) if parameter in (None, fact.parameter)]
    return [
        Linked(fact, known.claims[claim]) for fact in rows for claim in cited(fact) if claim in known.claims
    ]


def dangling(catalog: Catalog, claims: Registry | None = None) -> list[str]:
    """Citations of claims that the registry does not hold, as "table/id/parameter: claim"."""
    known = claims or registry()
    return [
        f"{fact.name}: {claim}"
        for fact in _facts(catalog)
        for claim in cited(fact)
        if claim not in known.claims
    ]


def unreasoned(catalog: Catalog) -> list[str]:
    """Adopted values that a better-graded row contradicts while no row says why, as "table/id/parameter"."""
    return [
        f"{adopted.name}: {adopted.shown()} ({adopted.grade}) against {other.shown()} ({other.grade}, {other.source})"
        for adopted, other in _rivals(catalog)
        if _GRADES.index(other.grade) < _GRADES.index(adopted.grade)
        and _differ(adopted, other)
        and not (adopted.note.strip() and other.note.strip())
    ]


def _facts(catalog: Catalog) -> Iterator[Fact]:
    for table in TABLES:
        for rows in catalog.table(table).values():
            yield from rows


def _rivals(catalog: Catalog) -> Iterator[tuple[Fact, Fact]]:
    for table in TABLES:
        for rows in catalog.table(table).values():
            adopted = {fact.parameter: fact for fact in rows if fact.status == "adopted"}
            for fact in rows:
                first = adopted.get(fact.parameter)
                if first is not None and fact.status != "adopted" and fact.grade in _GRADES:
                    yield first, fact


def _differ(left: Fact, right: Fact) -> bool:
    try:
        value = units.convert(float(right.value), right.unit, left.unit)
        low, high = left.band
    except (ValueError, UnitError):
        return left.value != right.value
    return not low - abs(low) * 1e-6 <= value <= high + abs(high) * 1e-6
