"""Measured deployments as arrays: rows of one engine and version, with what the clients asked and what they saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import SuanliError
from suanli.serving import Coefficients
from suanli.serving.closed_loop import Latency, Load, closed_loop
from suanli.serving.engine import Engine, engine, memory_problem, stated
from suanli.serving.estimate import load_of
from suanli.serving.framework import Serving, split_framework
from suanli.study.deployment.solve import Deployments
from suanli.study.validate.measured import Measurement
from suanli.study.validate.predict import request_of

Array = NDArray[np.float64]

FAMILIES = ("INFX", "AICGAP")
# Versions that ran without graphs: their step is the host's, not the kernels'.
EAGER = (("vllm 0.12.0", "moe"),)
_COLUMNS = ("clients", "input_tokens", "output_tokens", "cached_share", "capacity", "length_spread", "rounds")


@dataclass(frozen=True, slots=True)
class Rows:
    """Measured rows of one engine.

    Attributes:
        ready: the engine.
        load: what the clients asked, one value a row.
        tpot_s: measured, NaN where it was not or is in doubt [s].
        ttft_s: the same [s].
        measured: the rows themselves.
    """

    ready: Engine
    load: Load
    tpot_s: Array
    ttft_s: Array
    measured: tuple[Measurement, ...]

    @property
    def framework(self) -> str:
        """Name of the framework."""
        return split_framework(self.measured[0].framework)[0]

    @property
    def version(self) -> str:
        """Version of the framework, "" where unknown."""
        return split_framework(self.measured[0].framework)[1]

    @property
    def eager(self) -> bool:
        """Whether the version ran without graphs."""
        return (self.measured[0].framework, self.ready.table.kind) in EAGER

    def predict(self, constants: Serving) -> Latency:
        """Latencies with given constants, and what the measurements state of the launch."""
        options = self.measured[0].options if self.measured else {}
        return closed_loop(self.ready.table, stated(constants, options), self.load)

    def errors(self, constants: Serving) -> tuple[Array, Array]:
        """Logarithms of predicted over measured TPOT and TTFT; NaN where not measured."""
        found = self.predict(constants)
        tpot = np.log(np.maximum(found.tpot_s, 1e-9) / self.tpot_s)
        return np.asarray(tpot), np.asarray(np.log(np.maximum(found.ttft_s, 1e-9) / self.ttft_s))


def rows_of(
    measurements: Iterable[Measurement], deployments: Deployments, tables: Coefficients
) -> list[Rows]:
    """Group closed-loop measurements by engine and version; those without drafts that the model can answer.

    Args:
        measurements: what was measured.
        deployments: resolves names.
        tables: calibration rows.
    """
    groups: dict[tuple[int, str], tuple[Engine, list[tuple[Measurement, Load]]]] = {}
    for one in measurements:
        if one.protocol != "closed_loop" or one.mtp or one.family not in FAMILIES:
            continue
        try:
            point = deployments.point(request_of(one))
            ready = engine(point, tables)
            load = load_of(point, ready)
            prompt, output = float(np.asarray(load.input_tokens)), float(np.asarray(load.output_tokens))
            memory = ready.memory(prompt, output, float(np.asarray(load.clients)))
            if memory_problem(memory, ready) is not None:
                continue
        except SuanliError:
            continue
        load = replace(load, capacity=memory.sequences * ready.placement.dp)
        groups.setdefault((id(ready.table), one.framework), (ready, []))[1].append((one, load))
    return [_rows(ready, members) for ready, members in groups.values()]


def _rows(ready: Engine, members: Sequence[tuple[Measurement, Load]]) -> Rows:
    def column(name: str) -> Array:
        return np.array([float(np.asarray(getattr(load, name))) for _, load in members])

    def value(metric: str) -> Array:
        return np.array(
            [np.nan if one.doubts(metric) else one.values.get(metric, np.nan) for one, _ in members]
        )

    load = replace(members[0][1], **{name: column(name) for name in _COLUMNS})  # type: ignore[arg-type]
    return Rows(ready, load, value("tpot_s"), value("ttft_s"), tuple(one for one, _ in members))


def halves(groups: Sequence[Rows], half: str) -> list[Rows]:
    """Return the rows of one half: "fit" or "judge"."""
    return chosen(groups, lambda one: one.half == half)


def chosen(groups: Sequence[Rows], keep: Callable[[Measurement], bool]) -> list[Rows]:
    """Return the rows that a condition keeps."""
    found = []
    for group in groups:
        index = [i for i, one in enumerate(group.measured) if keep(one)]
        if index:
            found.append(_select(group, index))
    return found


def _select(group: Rows, index: Sequence[int]) -> Rows:
    kept = list(index)
    load = replace(group.load, **{name: np.asarray(getattr(group.load, name))[kept] for name in _COLUMNS})  # type: ignore[arg-type]
    measured = tuple(group.measured[i] for i in kept)
    return Rows(group.ready, load, group.tpot_s[kept], group.ttft_s[kept], measured)
