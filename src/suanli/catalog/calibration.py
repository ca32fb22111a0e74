"""The shipped calibration table, as text: coefficients of operators with the errors behind them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from suanli.catalog.schema import DATA
from suanli.errors import InputError, NoDataError

FILE = DATA / "calibration.csv"
FRAMEWORKS = DATA / "frameworks.csv"
FRAMEWORK_COLUMNS = (
    "framework",
    "version",
    "kind",
    "constant",
    "value",
    "standard_error",
    "rows_fit",
    "rows_judged",
    "median_error",
    "p90_error",
    "fitted_on",
    "source",
)
Records = tuple[tuple[str, ...], ...]
T = TypeVar("T")
CALIBRATION_COLUMNS = (
    "operator",
    "chip",
    "family",
    "dtype",
    "framework",
    "kernel",
    "coefficient",
    "value",
    "standard_error",
    "rows_fit",
    "rows_judged",
    "median_error",
    "p90_error",
    "fitted_on",
    "source",
)


@lru_cache(maxsize=8)
def calibration_records(path: Path = FILE) -> tuple[tuple[str, ...], ...]:
    """Return the rows of a calibration table as texts in the order of CALIBRATION_COLUMNS.

    The order of rows matters: of several kernels of a framework, the main one comes first.

    Raises:
        NoDataError: the file does not exist.
        InputError: the columns are not those of a calibration table.
    """
    return _records(path, CALIBRATION_COLUMNS)


@lru_cache(maxsize=8)
def framework_records(path: Path = FRAMEWORKS) -> tuple[tuple[str, ...], ...]:
    """Return the rows of the table of serving frameworks as texts in the order of FRAMEWORK_COLUMNS.

    Raises:
        NoDataError: the file does not exist.
        InputError: the columns are not those of a framework table.
    """
    return _records(path, FRAMEWORK_COLUMNS)


def read_tables(kind: Callable[..., T], overlays: Sequence[Path] = ()) -> T:
    """Read the tables and hand them to what indexes them: `read_tables(suanli.serving.Coefficients)`.

    A set of an overlay hides the package's set of the same operator, chip, format, framework and kernel; a constant of
    an overlay the package's constant. The first overlay wins.

    Args:
        kind: called with the records of operators and of frameworks; where there are overlays with rows of their own,
            also with `refinements` and the keys of the sets that few rows `scaled`.
        overlays: folders of `--catalog`.

    Returns:
        What it returns.

    Raises:
        NoDataError: a table does not exist.
        InputError: a table has other columns, or an overlay a bad value.
    """
    operators, frameworks = calibration_records(), framework_records()
    if not overlays:
        return kind(operators, frameworks)
    from suanli.catalog.own import CALIBRATION, FRAMEWORKS, REFINEMENTS, own_records

    own, constants, refined = (
        _stacked([own_records(folder, name) for folder in overlays], key)
        for name, key in ((CALIBRATION, _SET), (FRAMEWORKS, _CONSTANT), (REFINEMENTS, _REFINED))
    )
    scaled = {row[:_SET] for row in own if float(row[9] or 0) < _FEW}
    return kind(
        _stacked([own, operators], _SET) if own else operators,
        _stacked([constants, frameworks], _CONSTANT) if constants else frameworks,
        refinements=refined,
        scaled=scaled,
    )


# Columns that name a set, a constant, and a chip with a framework to refine.
_SET, _CONSTANT, _REFINED = 6, 4, 2
# Rows from which a set counts as a fit of its own.
_FEW = 30


def _stacked(parts: Sequence[Records], key: int) -> Records:
    """Rows of all parts, but of those that share their first `key` fields only the first part's."""
    found: list[tuple[str, ...]] = []
    seen: set[tuple[str, ...]] = set()
    for part in parts:
        found += [row for row in part if row[:key] not in seen]
        seen |= {row[:key] for row in part}
    return tuple(found)


def _records(path: Path, columns: tuple[str, ...]) -> Records:
    if not path.is_file():
        raise NoDataError(f"{path.name}: no calibration table. Write one: suanli calibrate --data DIR")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != columns:
            raise InputError(f"{path.name}:1 columns must be {','.join(columns)}")
        return tuple(tuple(row) for row in reader if row)
