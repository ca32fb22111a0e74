"""Speed of one layout at many loads in one call: the same laws as `serving.estimate`, on arrays of loads."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError, NoDataError
from suanli.serving.accelerator import rank_of
from suanli.serving.closed_loop import closed_loop, decode_step_s
from suanli.serving.deployment import MemoryParts, stage_weight_bytes
from suanli.serving.disaggregated import transfer_s
from suanli.serving.engine import Engine, check, engine, with_redundant_experts
from suanli.serving.estimate import load_of
from suanli.serving.kernels import Coefficients
from suanli.serving.latency import ttft_s
from suanli.serving.layout import Placement
from suanli.serving.point import Point
from suanli.serving.pools import prefill_pool
from suanli.study.recommend.layouts import copies, layouts, loads

Array = NDArray[np.float64]

# Prompts that a prefill replica computes together, a group each, and how far it may be loaded: queues need slack.
_PROMPTS = (1, 2, 4, 8)
_USES = np.array([0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9])


@dataclass(frozen=True, slots=True)
class Points:
    """One replica of a layout at several loads.

    Attributes:
        placement: the layout, counted in ranks.
        ranks: ranks of a chip: 2 where its dies have a memory each [1].
        requests: requests in flight; of a prefill pool, prompts that are computed together [1].
        use: share of the time that a prefill replica is busy; 1 elsewhere [1].
        ttft_s: mean time to the first token; 0 for decode alone, whose first token comes from elsewhere [s].
        tpot_s: time per output token; 0 for prefill alone [s].
        requests_per_s: requests finished [1/s].
        capacity: requests that fit [1].
        by_memory: whether memory sets the capacity, not the framework's limit of running requests.
    """

    placement: Placement
    ranks: int
    requests: Array
    use: Array
    ttft_s: Array
    tpot_s: Array
    requests_per_s: Array
    capacity: float
    by_memory: bool

    @property
    def copies(self) -> int:
        """Replicas that share a chip, 1 where one fills a chip or more [1]."""
        return max(self.ranks // self.placement.chips, 1)

    @property
    def chips(self) -> int:
        """Whole chips that `copies` replicas stand on [1]."""
        return max(self.placement.chips // self.ranks, 1)


class Evaluator:
    """Evaluates layouts for one question on one chip, in ranks: dies with memories of their own hold weights each.

    Args:
        point: the question; its layout and concurrency are left open.
        tables: calibration rows, which also keep the step tables.
    """

    def __init__(self, point: Point, tables: Coefficients) -> None:
        """Check the question and make one chip ready, for formats and constants do not depend on the layout.

        Raises:
            InputError: a number of the question makes no sense.
            UnknownIdError: an option or format that does not exist.
            InfeasibleError: the chip cannot compute in the format that was asked for.
            NoDataError: the calibration lacks an operator of the model.
        """
        check(point)
        self.whole = point.chip
        self.point = replace(point, chip=rank_of(point.chip))
        self.tables = tables
        self.single = self._engine(Placement(), "mixed")

    def with_memory(self, times: float) -> Evaluator:
        """Return an evaluator of the same chip with more or less memory."""
        chip = replace(self.whole, memory_bytes=self.whole.memory_bytes * times)
        return Evaluator(replace(self.point, chip=chip), self.tables)

    def with_prompt(self, isl: float) -> Evaluator:
        """Return an evaluator of the same chip for prompts of another length [token]."""
        return Evaluator(replace(self.point, chip=self.whole, isl=isl), self.tables)

    def layouts(self, n_chips: int) -> list[Placement]:
        """Return every legal layout of a replica on up to so many chips, counted in ranks, smallest first."""
        return list(layouts(self.point.model, self.point.chip, n_chips * self.whole.ranks, self.whole.ranks))

    def engine(self, placement: Placement, phase: str = "mixed") -> Engine | None:
        """Make one replica of a layout ready; None where the calibration cannot time it."""
        try:
            return self._engine(placement, phase)
        except (InputError, NoDataError):
            return None

    def _engine(self, placement: Placement, phase: str) -> Engine:
        """Make a layout ready. One with stages has the step times of one without: only who holds what differs."""
        asked = replace(
            self.point,
            n_chips=placement.tp * placement.dp,
            tp=placement.tp,
            pp=1,
            dp=placement.dp if self.point.model.experts_per_layer else None,
            ep=placement.ep,
            phase=phase,
            options={**self._copies(placement), **self.point.options},
        )
        flat = engine(asked, self.tables)
        if placement.pp == 1:
            return flat
        drafts = flat.serving.values.draft_tokens > 0
        weights = stage_weight_bytes(flat.model, flat.precision.weights, placement, mtp=drafts)
        table = replace(flat.table, placement=placement)
        return replace(flat, placement=placement, table=table, weights_bytes=weights)

    def _copies(self, placement: Placement) -> dict[str, float]:
        found = copies(self.point.model, placement.ep)
        return {"redundant_experts": float(found)} if found else {}

    def memory(self, placement: Placement, phase: str = "mixed", clients: float = 1.0) -> MemoryParts:
        """Share out the memory of a chip, as `estimate` does for a phase; no step time is needed for it."""
        point = self.point
        mean = 0.5 * (1.0 + point.options.get("length_low_share", 1.0)) if phase == "mixed" else 1.0
        output = 1.0 if phase == "prefill" else point.osl * mean
        single = self.single
        added = {**self._copies(placement), **point.options}
        model = with_redundant_experts(point.model, int(added.get("redundant_experts", 0.0)))
        drafts = single.serving.values.draft_tokens > 0
        weights = stage_weight_bytes(model, single.precision.weights, placement, mtp=drafts)
        moved = replace(single, model=model, placement=placement, weights_bytes=weights)
        return moved.memory(point.isl * mean, output, clients, prompts=phase != "decode")

    def capacity(self, placement: Placement, phase: str = "mixed") -> tuple[float, bool]:
        """Requests that a replica can run at a time, and whether memory sets that number, not the framework.

        More sequences leave less room, for their activations: memory is shared out again for what fits alone.
        """
        alone = self.memory(placement, phase).sequences
        if alone < 1.0:
            return 0.0, True
        groups = placement.dp
        by_memory = self.memory(placement, phase, alone * groups).sequences * groups
        by_framework = float(self.single.serving.values.max_sequences) * groups
        return min(by_memory, by_framework), by_memory <= by_framework

    def aggregated(self, placement: Placement) -> Points | None:
        """Both phases on the same chips; None where the layout does not fit."""
        capacity, by_memory = self.capacity(placement)
        requests = loads(capacity)
        ready = self.engine(placement) if requests.size else None
        if ready is None:
            return None
        load = replace(
            load_of(replace(self.point, concurrency=1.0), ready), clients=requests, capacity=capacity
        )
        seen = closed_loop(ready.table, ready.serving.values, load)
        full = np.ones_like(requests)
        times = (seen.ttft_s, seen.tpot_s, seen.requests_per_s)
        return Points(placement, self.whole.ranks, requests, full, *times, capacity, by_memory)

    def decode(self, placement: Placement) -> Points | None:
        """Output tokens alone, prompts computed elsewhere; None where the layout does not fit."""
        capacity, by_memory = self.capacity(placement, "decode")
        requests = loads(capacity)
        ready = self.engine(placement, "decode") if requests.size else None
        if ready is None:
            return None
        point = self.point
        load = load_of(replace(point, concurrency=1.0, phase="decode"), ready)
        context = point.isl + 0.5 * (point.osl - 1.0)
        step = decode_step_s(ready.table, ready.serving.values, requests, context, load)
        tpot = step / np.asarray(load.tokens_per_step)
        rate = requests / (tpot * point.osl)
        nothing = np.zeros_like(requests)
        times = (nothing + 1.0, nothing, tpot, rate)
        return Points(placement, self.whole.ranks, requests, *times, capacity, by_memory)

    def prefill(self, placement: Placement) -> Points | None:
        """Prompts alone: each replica an M/D/1 queue; TTFT includes sending the KV on. None where it does not fit."""
        capacity, by_memory = self.capacity(placement, "prefill")
        # Every pipeline stage works on prompts of its own, and a group's prompts lie in the memory of all stages.
        fits = capacity / (placement.dp * placement.pp)
        together = np.array([float(n * placement.dp) for n in _PROMPTS if n <= fits])
        ready = self.engine(placement, "prefill") if together.size else None
        if ready is None:
            return None
        isl = self.point.isl
        found = [prefill_pool(ready, float(n), isl, self.point.options) for n in together]
        # The stage with the most layers sets the pace.
        uneven = math.ceil(ready.model.layer_count / placement.pp) * placement.pp / ready.model.layer_count
        interval = np.array([one.interval_s for one in found])[:, None] * uneven
        own = np.array([one.time_s for one in found])[:, None]
        sent = np.array([transfer_s(ready, self.point, one.time_s, None) for one in found])[:, None]
        ttft = ttft_s(interval, _USES, own - interval + sent + ready.serving.values.ttft_base_s)
        rate = _USES * together[:, None] / interval
        requests, use = (np.broadcast_to(v, ttft.shape).ravel() for v in (together[:, None], _USES))
        times = (ttft.ravel(), np.zeros(ttft.size), rate.ravel())
        return Points(placement, self.whole.ranks, requests, use, *times, capacity, by_memory)
