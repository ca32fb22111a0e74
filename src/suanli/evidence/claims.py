"""The registry: what reports say, as facts with an id, a place, a subject, a quantity, a value and a unit."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from suanli.errors import InputError, UnknownIdError
from suanli.evidence.number import Number, number, small_count
from suanli.evidence.quantity import claim_unit

DATA = Path(__file__).parent / "data"
_PLACE = re.compile(
    r"^(?P<claim>[^:{}]+?)(?:\.(?P<end>low|high))?(?::(?P<row>[^\[\]]+)(?:\[(?P<at>[-\d:]*)\])?)?$"
)
_EXACT_BELOW = 1000.0
_ABOUT = 0.05
_APPROXIMATE = re.compile(r"\b(about|nearly|approx|approximate|roughly|around|order)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Claim:
    """One fact read in a report. Numbers stay text, as printed; `rows` holds a table where there is one."""

    id: str
    locator: str
    kind: str
    subject: str
    quantity: str
    value: str
    low: str
    high: str
    unit: str
    period: str
    credited: str
    note: str
    rows: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def report(self) -> str:
        """The report it stands in: the id up to the first dash ("s001")."""
        return self.id.partition("-")[0]

    @property
    def approximate(self) -> bool:
        """Whether the report itself says "about"."""
        return bool(_APPROXIMATE.search(f"{self.quantity} {self.unit}"))

    @property
    def shown(self) -> str:
        """The value as printed, with its unit."""
        if self.rows:
            return f"table of {len(self.rows)} rows"
        amount = self.value or f"{self.low or '-inf'}..{self.high or 'inf'}"
        return f"{amount} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a relation needs and that is no claim of its own: stated beside a claim, or from outside."""

    id: str
    value: str
    origin: str
    note: str


class Registry:
    """Claims and figures by id, and the numbers that a relation refers to."""

    def __init__(self, claims: Iterable[Claim], figures: Iterable[Figure] = ()) -> None:
        self.claims = {claim.id: claim for claim in claims}
        self.figures = {figure.id: figure for figure in figures}

    def __iter__(self) -> Iterator[Claim]:
        return iter(self.claims.values())

    def claim(self, name: str) -> Claim:
        """Return a claim by id.

        Raises:
            UnknownIdError: no such claim; the message lists the close ones.
        """
        if name not in self.claims:
            raise UnknownIdError("claim", name, self.claims, see="suanli audit")
        return self.claims[name]

    def unit(self, reference: str) -> str:
        """The printed unit of a reference; figures have none of their own."""
        if reference in self.figures:
            return ""
        match = _PLACE.match(reference)
        return "" if match is None or match["row"] else self.claim(match["claim"]).unit

    def operand(self, reference: str, *, printed: bool = False, _seen: tuple[str, ...] = ()) -> Any:
        """Return what a reference stands for: a Number, a row of them, text, or None where a cell is empty.

        Args:
            reference: "claim", "claim.low", "claim:row", "claim:row[1:]", or a figure's id.
            printed: it is the figure that is judged, so that even a count has the tolerance of its digits.

        Raises:
            InputError: no such claim, row or cell, or the claim has no number.
        """
        if reference in self.figures:
            return _figure(self.figures[reference])
        match = _PLACE.match(reference)
        if match is None:
            raise InputError(
                f'"{reference}" is no reference; write claim-id, claim-id.low or claim-id:row[0]'
            )
        claim = self.claim(match["claim"])
        if match["row"]:
            return _cells(claim, match["row"], match["at"])
        text = getattr(claim, match["end"] or "value")
        if text.startswith("{"):
            return self._follow(reference, text.strip("{} "), _seen)
        if not text:
            raise InputError(f'claim "{claim.id}" has no {match["end"] or "single value"}')
        read = number(text)
        if read is None or printed:
            return text if read is None else read
        return _as_operand(claim, read, open_end=bool(match["end"]) and not (claim.low and claim.high))

    def _follow(self, reference: str, target: str, seen: tuple[str, ...]) -> Any:
        chain = (*seen, reference)
        if target in chain:
            raise InputError(f"circular reference: {' -> '.join((*chain, target))}")
        return self.operand(target, _seen=chain)


def _figure(figure: Figure) -> Number | None:
    read = number(figure.value)
    return read if read is None or not small_count(read.value) else Number(read.value)


def _as_operand(claim: Claim, read: Number, *, open_end: bool) -> Number:
    """A count is exact; what the report itself calls "about" or "more than" leaves more open than its digits."""
    if counted(claim, read.value):
        return Number(read.value)
    if not (claim.approximate or open_end):
        return read
    half = max(read.half, _ABOUT * abs(read.value))
    return Number(read.value, half, max(half, read.loose))


def counted(claim: Claim, value: float) -> bool:
    """Whether a value is a count or a year, whose digits leave nothing open."""
    if claim.unit in ("year", "date", "years"):
        return True
    kind = claim_unit(claim.unit)
    counts = bool(kind.noun) or (kind.factor == 1.0 and claim.unit.strip() in ("unit", "units", "count"))
    return counts and kind.factor == 1.0 and value == int(value) and abs(value) < _EXACT_BELOW


def _cells(claim: Claim, row: str, at: str | None) -> Any:
    if row not in claim.rows:
        raise UnknownIdError(f"row of {claim.id}", row, claim.rows)
    numbers = _row(claim, row)
    if at is None:
        return numbers
    try:
        if ":" in at:
            first, last = (int(part) if part else None for part in at.split(":"))
            return numbers[first:last]
        return numbers[int(at)]
    except (IndexError, ValueError):
        raise InputError(f"{claim.id}:{row} has {len(numbers)} cells; [{at}] is none of them") from None


def _row(claim: Claim, row: str) -> list[Any]:
    cells = claim.rows[row]
    decimals = max(
        (len(repr(cell).partition(".")[2]) for cell in cells if isinstance(cell, float)), default=0
    )
    return [_cell(cell, decimals) for cell in cells]


def _cell(cell: Any, decimals: int) -> Any:
    if isinstance(cell, bool) or cell is None or isinstance(cell, str):
        return cell
    if not isinstance(cell, int | float) or not math.isfinite(cell):
        return None
    half = 0.5 * 10.0 ** -(decimals if isinstance(cell, float) else 0)
    return Number(float(cell), half, half)


def claim_of(fields: Sequence[str], rows: dict[str, list[Any]]) -> Claim:
    """Build a claim from its text fields, in the order of claims.csv, and its table."""
    name, locator, kind, subject, quantity, value, low, high, unit, period, credited, note = fields
    return Claim(name, locator, kind, subject, quantity, value, low, high, unit, period, credited, note, rows)


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Load the claims that ship with suanli, with their tables and the figures that relations need."""
    tables: dict[str, dict[str, list[Any]]] = {}
    for name, row, cells in _rows("tables.csv"):
        tables.setdefault(name, {})[row] = json.loads(cells)
    claims = [claim_of(row, tables.get(row[0], {})) for row in _rows("claims.csv")]
    return Registry(claims, (Figure(*row) for row in _rows("figures.csv")))


@lru_cache(maxsize=1)
def reports() -> dict[str, dict[str, str]]:
    """The reports: id, publisher, kind, date and what they cover."""
    with (DATA / "reports.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def _rows(name: str) -> Iterator[list[str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader, None)
        yield from reader
