"""The shipped calibration table, as text: coefficients of operators with the errors behind them."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

from suanli.catalog.schema import DATA
from suanli.errors import InputError, NoDataError

FILE = DATA / "calibration.csv"
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
    if not path.is_file():
        raise NoDataError(f"{path.name}: no calibration table. Write one: suanli calibrate --data DIR")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != CALIBRATION_COLUMNS:
            raise InputError(f"{path.name}:1 columns must be {','.join(CALIBRATION_COLUMNS)}")
        return tuple(tuple(row) for row in reader if row)
