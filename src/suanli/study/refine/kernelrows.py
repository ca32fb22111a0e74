"""A user's own kernel timings: one row a shape, kept in an overlay, put together as sets that can be fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suanli.catalog.own import KERNEL_COLUMNS, KERNELS, own_records
from suanli.errors import InputError
from suanli.hardware.moe import TILE_ROWS, balanced_load
from suanli.serving.accelerator import Accelerator
from suanli.study.calibrate.moe import power_law_load
from suanli.study.calibrate.samples import Samples

Array = NDArray[np.float64]
SOURCE = "own-kernels"
# What a shape must say, and what it may leave out with the value that is then taken.
SHAPES: Mapping[str, tuple[tuple[str, ...], Mapping[str, float]]] = {
    "gemm": (("m", "n", "k"), {}),
    "attention_decode": (("batch", "context", "heads", "kv_heads", "head_dim"), {"window": 0.0}),
    "attention_prefill": (("batch", "context", "heads", "kv_heads", "head_dim"), {"window": 0.0}),
    "mla_decode": (("batch", "context", "heads"), {}),
    "mla_prefill": (("batch", "context", "heads"), {}),
    "moe": (("tokens", "hidden", "inter", "topk", "experts"), {"ranks": 1.0, "alpha": 0.0}),
}
# Rows of a set that are kept: as many as a fit uses.
KEPT = 2500
Key = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One timed kernel.

    Attributes:
        operator: of SHAPES.
        chip: catalogue id.
        dtype: number format.
        framework: "vllm", ... or "*".
        kernel: its name, "*" for the framework's main one.
        shape: {argument: value} as SHAPES has them.
        time_s: measured [s].
        file: name of the file, without its folder.
    """

    operator: str
    chip: str
    dtype: str
    framework: str
    kernel: str
    shape: Mapping[str, float]
    time_s: float
    file: str = ""

    @property
    def key(self) -> Key:
        """The set that the row belongs to."""
        return self.operator, self.chip, self.dtype, self.framework, self.kernel

    @property
    def id(self) -> str:
        """Hash of what was measured."""
        content = "\x1f".join([*self.key, self._shape, f"{self.time_s:.6g}"])
        return blake2b(content.encode(), digest_size=6).hexdigest()

    @property
    def _shape(self) -> str:
        return ";".join(f"{name}={value:g}" for name, value in sorted(self.shape.items()))

    @property
    def texts(self) -> tuple[str, ...]:
        """The row as kernel_measurements.csv has it."""
        return self.id, *self.key, self._shape, f"{self.time_s:.6g}", self.file


def read_kernel_rows(folder: Path) -> list[KernelRow]:
    """Return the kernels that an overlay keeps.

    Args:
        folder: the overlay.

    Raises:
        InputError: the table has other columns or bad values.
    """
    return [_row(dict(zip(KERNEL_COLUMNS, row, strict=True))) for row in own_records(folder, KERNELS)]


def _row(texts: Mapping[str, str]) -> KernelRow:
    try:
        shape = {
            name: float(value)
            for name, _, value in (part.partition("=") for part in texts["shape"].split(";"))
        }
    except ValueError:
        raise InputError(
            f'{KERNELS} {texts["id"]}: shape "{texts["shape"]}" must be name=number;...'
        ) from None
    problem = shape_problem(texts["operator"], shape)
    if problem:
        raise InputError(f"{KERNELS} {texts['id']}: {problem}")
    names = {name: texts[name] for name in ("operator", "chip", "dtype", "framework", "kernel", "file")}
    return KernelRow(**names, shape=shape, time_s=float(texts["time_s"]))


def shape_problem(operator: str, shape: Mapping[str, float]) -> str:
    """Say what is wrong with a shape; "" where nothing is."""
    if operator not in SHAPES:
        return f'operator "{operator}" is none of {", ".join(SHAPES)}'
    needed, optional = SHAPES[operator]
    missing = [name for name in needed if name not in shape]
    if missing:
        return f"{operator} needs {', '.join(missing)}"
    bad = [name for name in needed if not shape[name] >= 1.0]
    bad += [name for name in optional if name in shape and not shape[name] >= 0.0]
    return f"{', '.join(bad)} must be a number of at least 1" if bad else ""


def sets_of(rows: Iterable[KernelRow]) -> dict[Key, list[KernelRow]]:
    """Return rows by set, each row once, at most KEPT of a set: those with the lowest ids, a random choice."""
    sets: dict[Key, dict[str, KernelRow]] = {}
    for row in rows:
        sets.setdefault(row.key, {})[row.id] = row
    return {key: [mine[name] for name in sorted(mine)[:KEPT]] for key, mine in sorted(sets.items())}


def samples_of(rows: Sequence[KernelRow], chip: Accelerator, fixed: Mapping[str, float]) -> Samples:
    """Return the rows of one set as the calibration takes them.

    Args:
        rows: of one set.
        chip: the accelerator.
        fixed: {coefficient: value} that a fit takes as given.
    """
    operator, _, dtype, framework, kernel = rows[0].key
    needed, optional = SHAPES[operator]
    columns = {
        name: np.array([row.shape.get(name, optional.get(name, 0.0)) for row in rows])
        for name in (*needed, *optional)
    }
    return Samples(
        operator=operator,
        chip=chip.id,
        family=chip.family,
        dtype=dtype,
        framework=framework,
        kernel=kernel,
        shape=_loaded(columns) if operator == "moe" else columns,
        time_s=np.array([row.time_s for row in rows]),
        machine=chip.operators,
        source=SOURCE,
        fixed=fixed,
        weight=float(len(rows)),
    )


def _loaded(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Shapes of experts with the load of the hottest rank: balanced, or by a power law of the popularity of experts."""
    routing = [columns[name] for name in ("tokens", "topk", "experts", "ranks")]
    even = balanced_load(*routing)
    stats = np.stack([even.assignments, even.experts, *even.tiles], axis=1)
    for at in np.flatnonzero(columns["alpha"] > 0.0):
        tokens, topk, experts, ranks = (int(column[at]) for column in routing)
        stats[at] = power_law_load(tokens, topk, experts, ranks, float(columns["alpha"][at]))
    shape = {name: columns[name] for name in ("tokens", "hidden", "inter")}
    shape |= {"assignments": stats[:, 0], "experts_hit": stats[:, 1]}
    return shape | {f"tiles_{height}": stats[:, 2 + at] for at, height in enumerate(TILE_ROWS)}
