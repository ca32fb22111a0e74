"""Measured kernels as arrays: one set per (operator, chip, number format, framework, kernel)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.hardware.coefficients import OperatorChip

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# A shape column of this name says which rows are judged (1); without it a hash of the shape decides.
FOLD = "fold"


@dataclass(frozen=True, slots=True)
class Samples:
    """Measured times of one kernel family on one chip.

    Attributes:
        operator: operator that they measure.
        chip: catalogue id; "*" after pooling several.
        family: architecture family; "*" after pooling several.
        dtype: number format.
        framework: serving framework; "*" after pooling several.
        kernel: kernel name; "*" after pooling several.
        shape: {argument: values}, one array per argument of the time function.
        time_s: measured times [s].
        machine: the chip, or one value per row after pooling.
        source: where the rows come from.
        fixed: {parameter: value} that the fit takes as given.
        weight: rows that the source holds, older versions at half: which of several kernels is the main one.
    """

    operator: str
    chip: str
    family: str
    dtype: str
    framework: str
    kernel: str
    shape: Mapping[str, Array]
    time_s: Array
    machine: OperatorChip
    source: str
    fixed: Mapping[str, float]
    weight: float = 0.0

    def __len__(self) -> int:
        return int(self.time_s.size)

    def where(self, mask: Mask | NDArray[np.intp]) -> Samples:
        """Return the rows that a mask or an index array selects."""
        return replace(
            self,
            shape={name: values[mask] for name, values in self.shape.items()},
            time_s=self.time_s[mask],
            machine=_select(self.machine, mask, len(self)),
        )

    def thinned(self, rows: int, seed: int = 0) -> Samples:
        """Return at most `rows` rows, drawn without replacement by a recorded seed."""
        if len(self) <= rows:
            return self
        index = np.random.default_rng(seed).permutation(len(self))[:rows]
        return self.where(np.sort(index))

    def halves(self) -> tuple[Samples, Samples]:
        """Split by a hash of the shape into the fit half and the judged half; a shape is on one side on every chip."""
        if FOLD in self.shape:
            return self.where(self.shape[FOLD] == 0), self.where(self.shape[FOLD] == 1)
        even = shape_hash(self.shape) % 2 == 0
        return self.where(even), self.where(~even)


def shape_hash(shape: Mapping[str, Array]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each row's shape (argument names in sorted order, values rounded to 1/1000)."""
    size = next(iter(shape.values())).size
    state = np.full(size, 0x9E3779B97F4A7C15, dtype=np.uint64)
    for name in sorted(shape):
        word = np.rint(np.asarray(shape[name], dtype=float) * 1000.0).astype(np.int64).astype(np.uint64)
        state = (state ^ word) * np.uint64(0xBF58476D1CE4E5B9)
        state ^= state >> np.uint64(29)
    state *= np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(32)), dtype=np.uint64)


def pool(parts: Sequence[Samples], rows: int, seed: int = 0) -> Samples:
    """Join sets of one operator and format, each thinned to its equal share of `rows`; keys that differ become "*".

    Raises:
        ValueError: no parts.
    """
    if not parts:
        raise ValueError("nothing to pool")
    if len(parts) == 1:
        return parts[0].thinned(rows, seed)
    share = max(rows // len(parts), 1)
    thin = [part.thinned(share, seed) for part in parts]
    sizes = [len(part) for part in thin]
    names = thin[0].shape

    def same(field: str) -> str:
        values = {getattr(part, field) for part in parts}
        return values.pop() if len(values) == 1 else "*"

    return Samples(
        operator=thin[0].operator,
        chip=same("chip"),
        family=same("family"),
        dtype=same("dtype"),
        framework=same("framework"),
        kernel=same("kernel"),
        shape={name: np.concatenate([part.shape[name] for part in thin]) for name in names},
        time_s=np.concatenate([part.time_s for part in thin]),
        machine=_join([part.machine for part in thin], sizes),
        source="; ".join(dict.fromkeys(part.source for part in parts)),
        fixed=dict(thin[0].fixed),
        weight=sum(part.weight for part in parts),
    )


def _spread(value: Any, size: int) -> Array:
    return np.broadcast_to(np.asarray(value, dtype=float), (size,))


def _join(machines: Sequence[OperatorChip], sizes: Sequence[int]) -> OperatorChip:
    names = set.intersection(*(set(machine.peak_flop_per_s) for machine in machines))

    def column(values: Sequence[Any]) -> Array:
        return np.concatenate([_spread(value, size) for value, size in zip(values, sizes, strict=True)])

    return OperatorChip(
        peak_flop_per_s={
            n: column([machine.peak_flop_per_s[n] for machine in machines]) for n in sorted(names)
        },
        memory_bandwidth_bytes_per_s=column([machine.memory_bandwidth_bytes_per_s for machine in machines]),
        sm_count=column([machine.processors for machine in machines]),
        l2_bytes=column([machine.l2_bytes for machine in machines]),
        link_bytes_per_s=column([_known(machine.link_bytes_per_s) for machine in machines]),
    )


def _known(value: Any) -> Any:
    return np.nan if value is None else value


def _select(machine: OperatorChip, mask: Any, size: int) -> OperatorChip:
    if np.ndim(machine.memory_bandwidth_bytes_per_s) == 0:
        return machine
    return OperatorChip(
        peak_flop_per_s={name: _spread(v, size)[mask] for name, v in machine.peak_flop_per_s.items()},
        memory_bandwidth_bytes_per_s=_spread(machine.memory_bandwidth_bytes_per_s, size)[mask],
        sm_count=_spread(machine.processors, size)[mask],
        l2_bytes=_spread(machine.l2_bytes, size)[mask],
        link_bytes_per_s=_spread(_known(machine.link_bytes_per_s), size)[mask],
    )
