"""Read the measured kernel tables (aiconfigurator's parquet files) that lie outside the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanli.errors import NoDataError
from suanli.study.calibrate.chips import PROFILED, Profiled

SOURCE = "aiconfigurator"
Columns = dict[str, NDArray[Any]]


class Table(NamedTuple):
    """One parquet file: the chip, framework and version it was measured with."""

    chip: Profiled
    framework: str
    version: str
    path: Path

    @property
    def source(self) -> str:
        """Where it comes from, as cited: "aiconfigurator h100_sxm/gemm/sglang/0.5.14"."""
        return f"{SOURCE} {'/'.join(self.path.parts[-5:-1])}"


def kernel_folder(data: Path) -> Path:
    """Return the folder of kernel tables below a data folder.

    Raises:
        NoDataError: there is none.
    """
    for folder in (data / "kernels" / "aic", data / "aic", data):
        if any((folder / chip.folder).is_dir() for chip in PROFILED):
            return folder
    raise NoDataError(
        f"{data}: no kernels/aic/<system> folder. Give the data folder: suanli calibrate --data DIR"
    )


def tables(folder: Path, kind: str, file: str) -> Iterator[Table]:
    """Yield the tables of a kind ("gemm") and file name, oldest version first within a framework."""
    for chip in PROFILED:
        found = sorted((folder / chip.folder / kind).glob(f"*/*/{file}"))
        for path in sorted(found, key=lambda p: (p.parts[-3], version_key(p.parts[-2]))):
            yield Table(chip, path.parts[-3], path.parts[-2], path)


def version_key(version: str) -> tuple[int, ...]:
    """Return a key that sorts versions: "0.5.6.post2" before "0.5.14"."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def read(path: Path, columns: Sequence[str]) -> Columns:
    """Read columns of a parquet file as numpy arrays; text stays as Python strings, a column it lacks is left out."""
    import pyarrow.parquet as pq

    have = set(pq.read_schema(path).names)
    table = pq.read_table(path, columns=[name for name in columns if name in have])
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def combinations(
    columns: Columns, names: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], NDArray[np.intp]]]:
    """Yield every combination of text columns that occurs, with the indices of its rows."""
    codes = np.zeros(columns[names[0]].size, dtype=np.int64)
    levels: list[NDArray[Any]] = []
    for name in names:
        found, code = _coded(columns[name])
        levels.append(found)
        codes = codes * found.size + code
    for value in np.unique(codes):
        rest, picked = int(value), []
        for found in reversed(levels):
            rest, index = divmod(rest, found.size)
            picked.append(str(found[index]))
        yield tuple(reversed(picked)), np.flatnonzero(codes == value)


def _coded(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct texts and the code of each row; dictionaries beat sorting on long names."""
    codes: dict[Any, int] = {}
    code = np.fromiter(
        (codes.setdefault(value, len(codes)) for value in values), dtype=np.int64, count=values.size
    )
    return np.array(list(codes), dtype=object), code


def take(columns: Columns, rows: NDArray[np.intp]) -> Columns:
    """Return some rows of all columns."""
    return {name: values[rows] for name, values in columns.items()}


def part(values: Mapping[str, float], operator: str) -> dict[str, float]:
    """Return the coefficients of one operator from {"operator.coefficient": value}."""
    prefix = f"{operator}."
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def floats(columns: Columns, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the named columns as floats."""
    return {name: columns[name].astype(float) for name in names}
