"""Measured runs as arrays, put beside what the model says of them for any constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError
from suanli.serving import Coefficients, Point
from suanli.serving.aggregated import joined, load_of
from suanli.serving.closed_loop import Latency, Load, closed_loop, open_loop
from suanli.serving.engine import Engine, engine
from suanli.serving.framework import Serving, split_framework
from suanli.serving.refinement import deployment_label

Array = NDArray[np.float64]
# A rate that the model thinks is too high is brought down in steps of this until it can be served.
_SLOWER = 0.95
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run: the question it answers and what was seen; NaN where it was not measured.

    Attributes:
        point: the question.
        tpot_s: mean TPOT [s].
        ttft_s: mean TTFT [s].
        tpot_error: standard error of the mean, relative [1].
        ttft_error: the same of TTFT [1].
    """

    point: Point
    tpot_s: float
    ttft_s: float
    tpot_error: float = 0.0
    ttft_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Observed:
    """Runs of one engine that are predicted together.

    Attributes:
        ready: the engine.
        load: what was asked, one value a run.
        rate: arrivals at a replica, one value a run, NaN for a closed loop [1/s].
        runs: the runs.
        places: where they stand in the list that was given.
    """

    ready: Engine
    load: Load
    rate: Array
    runs: tuple[Run, ...]
    places: tuple[int, ...]

    @property
    def group(self) -> tuple[str, str, str]:
        """Chip, framework and kind of model."""
        return self.ready.chip.id, self.named[0], self.ready.table.kind

    @property
    def named(self) -> tuple[str, str]:
        """Name and version of the framework."""
        return split_framework(self.runs[0].point.framework)

    @property
    def deployment(self) -> str:
        """Name of model, formats and layout."""
        return deployment_label(self.ready.model, self.ready.precision, self.ready.placement)

    def predict(self, values: Serving) -> Latency:
        """Latencies with given constants."""
        if np.isnan(self.rate).all():
            return closed_loop(self.ready.table, values, self.load)
        rate = self.rate
        for _ in range(_STEPS):
            try:
                return open_loop(self.ready.table, values, self.load, rate)[0]
            except InfeasibleError:
                rate = rate * _SLOWER
        raise InfeasibleError(f"{self.deployment}: the measured rate is far beyond what the model can serve")

    def errors(self, values: Serving) -> Array:
        """Logarithms of measured over predicted: a row of TPOT and a row of TTFT, NaN where not measured."""
        found = self.predict(values)
        measured = np.array([[run.tpot_s for run in self.runs], [run.ttft_s for run in self.runs]])
        predicted = np.stack([found.tpot_s, found.ttft_s])
        return np.asarray(np.log(measured / np.maximum(predicted, 1e-9)))


def observe(runs: Sequence[Run], tables: Coefficients) -> list[Observed]:
    """Group runs by engine, framework and kind of load.

    Args:
        runs: runs whose points have an answer.
        tables: calibration rows, not refined.
    """
    groups: dict[tuple[int, str, bool, float], list[tuple[int, Engine, Load]]] = {}
    for at, run in enumerate(runs):
        ready = engine(run.point, tables)
        load = load_of(run.point, ready)
        open_rate = "arrival_rate_per_s" in run.point.options
        key = (id(ready), run.point.framework, open_rate, load.overlap + 1e3 * load.tokens_per_step)
        groups.setdefault(key, []).append((at, ready, load))
    return [_observed(runs, members) for members in groups.values()]


def _observed(runs: Sequence[Run], members: Sequence[tuple[int, Engine, Load]]) -> Observed:
    ready = members[0][1]
    load = joined([one for _, _, one in members])
    places = tuple(at for at, _, _ in members)
    mine = tuple(runs[at] for at in places)
    replicas = ready.placement.replicas
    rate = np.array([run.point.options.get("arrival_rate_per_s", np.nan) / replicas for run in mine])
    asked = zip(np.asarray(load.input_tokens), np.asarray(load.output_tokens), strict=True)
    clients = np.where(np.isnan(rate), np.asarray(load.clients), 256.0)
    memory = [
        ready.memory(float(isl), float(osl), float(count))
        for (isl, osl), count in zip(asked, clients, strict=True)
    ]
    capacity = np.array([max(one.sequences, 1e-3) for one in memory]) * ready.placement.dp
    return Observed(ready, replace(load, capacity=capacity), rate, mine, places)
