"""Files of an overlay that hold no facts but a user's own measurements, and what was fitted to them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from suanli.catalog.calibration import CALIBRATION_COLUMNS, FRAMEWORK_COLUMNS, Records
from suanli.errors import InputError, close_matches

MEASUREMENTS = "measurements.csv"
REFINEMENTS = "refinements.csv"
KERNELS = "kernel_measurements.csv"
CALIBRATION = "calibration.csv"
FRAMEWORKS = "frameworks.csv"
MEASUREMENT_COLUMNS = (
    "id",
    "tool",
    "date",
    "model",
    "chip",
    "n_chips",
    "tp",
    "pp",
    "dp",
    "ep",
    "weights_dtype",
    "kv_dtype",
    "framework",
    "phase",
    "isl",
    "osl",
    "concurrency",
    "arrival_rate_per_s",
    "options",
    "requests",
    "ttft_s",
    "ttft_error_s",
    "tpot_s",
    "tpot_error_s",
    "itl_s",
    "output_tokens_per_s",
    "file",
)
REFINEMENT_COLUMNS = (
    "chip",
    "framework",
    "version",
    "kind",
    "deployment",
    "constant",
    "value",
    "standard_error",
    "correlation",
    "rows",
    "error_before",
    "error_after",
    "fitted_on",
)
KERNEL_COLUMNS = ("id", "operator", "chip", "dtype", "framework", "kernel", "shape", "time_s", "file")
COLUMNS = {
    MEASUREMENTS: MEASUREMENT_COLUMNS,
    REFINEMENTS: REFINEMENT_COLUMNS,
    KERNELS: KERNEL_COLUMNS,
    CALIBRATION: CALIBRATION_COLUMNS,
    FRAMEWORKS: FRAMEWORK_COLUMNS,
}
NAMES = tuple(name.removesuffix(".csv") for name in COLUMNS)
# Columns that hold a number: those that must be there, and above zero; those that may be empty.
_POSITIVE = {
    MEASUREMENTS: ("n_chips", "isl", "osl"),
    REFINEMENTS: ("value",),
    KERNELS: ("time_s",),
    CALIBRATION: (),
    FRAMEWORKS: (),
}
_OPTIONAL_POSITIVE = {
    MEASUREMENTS: (
        *("tp", "pp", "dp", "ep", "concurrency", "arrival_rate_per_s", "requests", "ttft_s", "tpot_s"),
        *("ttft_error_s", "tpot_error_s", "itl_s", "output_tokens_per_s"),
    ),
    REFINEMENTS: ("standard_error", "rows"),
}
_NUMBERS = {
    REFINEMENTS: ("error_before", "error_after"),
    CALIBRATION: ("value", "standard_error", "rows_fit", "rows_judged", "median_error", "p90_error"),
    FRAMEWORKS: ("value", "standard_error", "rows_fit", "rows_judged", "median_error", "p90_error"),
}
_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    REFINEMENTS: {
        "kind": ("dense", "moe", "mla"),
        "constant": (
            *("decode_kernels", "host", "prefill_kernels", "ttft_base", "ttft_steps"),
            *("tpot_scatter", "ttft_scatter"),
        ),
    },
    FRAMEWORKS: {"kind": ("*", "dense", "moe", "mla")},
    MEASUREMENTS: {"phase": ("mixed",)},
}


def own_records(folder: Path, name: str) -> Records:
    """Return the rows of one of these files as texts; none where the folder has no such file.

    Args:
        folder: an overlay.
        name: of COLUMNS.

    Raises:
        InputError: other columns or a bad value; every problem of the file, each with its line.
    """
    path = folder / name
    try:
        state = path.stat()
    except OSError:
        return ()
    return _checked(path.resolve(), name, state.st_mtime_ns, state.st_size)


def check_own(folder: Path) -> None:
    """Check every such file of an overlay that estimates use; timed kernels are checked where they are fitted.

    Raises:
        InputError: every problem of all of them.
    """
    problems = []
    for name in (name for name in COLUMNS if name != KERNELS):
        try:
            own_records(folder, name)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))


@lru_cache(maxsize=32)
def _checked(path: Path, name: str, changed_ns: int, size: int) -> Records:
    """Rows of a file as it is now: its time of change and size are part of the key."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(text.splitlines(keepends=True)))
    except UnicodeDecodeError:
        raise InputError(f"{path.name}: not UTF-8 text") from None
    except csv.Error as error:
        raise InputError(f"{path.name}: not CSV: {error}") from None
    columns = COLUMNS[name]
    if not rows or tuple(rows[0]) != columns:
        raise InputError(f"{path.name}:1 columns must be {','.join(columns)}")
    numbered = [(line, tuple(row)) for line, row in enumerate(rows[1:], start=2) if row]
    problems = [f"{path.name}:{line} {problem}" for line, row in numbered for problem in _problems(name, row)]
    if problems:
        raise InputError("\n".join(problems))
    return tuple(row for _, row in numbered)


def _problems(name: str, row: Sequence[str]) -> list[str]:
    columns = COLUMNS[name]
    if len(row) != len(columns):
        return [f"has {len(row)} fields, not {len(columns)}"]
    fields = dict(zip(columns, row, strict=True))
    found = [_positive(column, fields[column]) for column in _POSITIVE.get(name, ())]
    found += [_positive(c, fields[c]) for c in _OPTIONAL_POSITIVE.get(name, ()) if fields[c]]
    found += [_number(column, fields[column]) for column in _NUMBERS.get(name, ()) if fields[column]]
    found += [_word(column, fields[column], known) for column, known in _WORDS.get(name, {}).items()]
    return [problem for problem in found if problem]


def _number(column: str, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return f'{column} "{text}" is not a number'
    return "" if math.isfinite(value) else f"{column} {text} is not a finite number"


def _positive(column: str, text: str) -> str:
    problem = _number(column, text)
    return problem or ("" if float(text) > 0.0 else f"{column} must be above 0, got {text}")


def _word(column: str, text: str, known: Iterable[str]) -> str:
    if text in known:
        return ""
    near = close_matches(text, known, 1)
    return f'{column} "{text}" is none of {", ".join(known)}' + (f'; is "{near[0]}" meant?' if near else "")
