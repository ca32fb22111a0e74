"""The shipped calibration table, as text: coefficients of operators with the errors behind them."""

from __future__ import annotations

import csv
from collections.abc import Callable
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


def read_tables(kind: Callable[[Records, Records], T]) -> T:
    """Read both tables and hand them to what indexes them: `read_tables(suanli.serving.Coefficients)`.

    Args:
        kind: called with the records of operators and of frameworks.

    Returns:
        What it returns.

    Raises:
        NoDataError: a table does not exist.
        InputError: a table has other columns.
    """
    return kind(calibration_records(), framework_records())


def _records(path: Path, columns: tuple[str, ...]) -> Records:
    if not path.is_file():
        raise NoDataError(f"{path.name}: no calibration table. Write one: suanli calibrate --data DIR")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != columns:
            raise InputError(f"{path.name}:1 columns must be {','.join(columns)}")
        return tuple(tuple(row) for row in reader if row)
