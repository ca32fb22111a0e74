"""Speed of one layout at many loads in one call: the search's view of the serving model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import SuanliError
from suanli.llm import Model
from suanli.serving.accelerator import Accelerator
from suanli.serving.closed_loop import Load, closed_loop, prompt_cost
from suanli.serving.deployment import MemoryParts, memory_parts, sequence_bytes
from suanli.serving.framework import Serving, model_kind, split_framework
from suanli.serving.kernels import Coefficients
from suanli.serving.layout import Placement
from suanli.serving.precision import Precision, choose_precision
from suanli.serving.steptime import StepTable, step_table
from suanli.study.recommend.layouts import loads

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Workload:
    """What is served, on what, and how.

    Attributes:
        model: the model.
        chip: the accelerator.
        isl: prompt length [token].
        osl: output length [token].
        prefix_share: share of the prompt in the prefix cache [1].
        framework: as `serving.Point` takes it.
        weights_dtype: as `serving.Point` takes it.
        kv_dtype: cache format; None for the framework's choice.
    """

    model: Model
    chip: Accelerator
    isl: float
    osl: float
    prefix_share: float = 0.0
    framework: str = "*"
    weights_dtype: str = "native"
    kv_dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Points:
    """One replica of a layout at several loads.

    Attributes:
        placement: the layout.
        requests: requests in flight [1].
        ttft_s: mean time to the first token; 0 for decode alone, whose first token comes from elsewhere [s].
        tpot_s: time per output token; 0 for prefill alone [s].
        requests_per_s: requests finished [1/s].
        capacity: requests that fit [1].
    """

    placement: Placement
    requests: Array
    ttft_s: Array
    tpot_s: Array
    requests_per_s: Array
    capacity: float


class Evaluator:
    """Evaluates layouts of one workload; step tables are kept by sharding, which pipeline stages do not change."""

    def __init__(self, work: Workload, tables: Coefficients) -> None:
        """Choose formats and constants.

        Raises:
            InfeasibleError: the chip cannot compute in the format that was asked for.
        """
        self.work = work
        self.precision: Precision = choose_precision(work.model, work.chip, work.weights_dtype, work.kv_dtype)
        self.framework, version = split_framework(work.framework)
        self.serving: Serving = tables.frameworks.serving(self.framework, version, model_kind(work.model)).values
        self._tables = tables
        self._steps: dict[tuple[int, int, int, bool], StepTable | None] = {}

    def with_memory(self, times: float) -> Evaluator:
        """Return an evaluator of the same chip with more or less memory."""
        chip = replace(self.work.chip, memory_bytes=self.work.chip.memory_bytes * times)
        return Evaluator(replace(self.work, chip=chip), self._tables)

    def memory(self, placement: Placement) -> MemoryParts:
        """Share out the memory of a chip of a layout."""
        work = self.work
        return memory_parts(
            work.model,
            work.chip,
            placement,
            self.precision,
            work.isl + work.osl,
            self.serving.chunk_tokens or work.isl,
            self.serving.memory_share,
        )

    def capacity(self, placement: Placement) -> float:
        """Requests that a replica can run at a time, by memory and by the framework's limit [1]."""
        return min(self.memory(placement).sequences, self.serving.max_sequences) * placement.dp

    def table(self, placement: Placement, prefill: bool = False) -> StepTable | None:
        """Return the step times of a layout; None where the calibration cannot time it."""
        key = (placement.tp, placement.dp, placement.ep, prefill)
        if key not in self._steps:
            self._steps[key] = self._build(placement, prefill)
        found = self._steps[key]
        return None if found is None else replace(found, placement=placement)

    def _build(self, placement: Placement, prefill: bool) -> StepTable | None:
        work = self.work
        try:
            return step_table(
                work.model, placement, work.chip, self.precision, self._tables, self.framework, prefill=prefill
            )
        except SuanliError:
            return None

    def aggregated(self, placement: Placement) -> Points | None:
        """Both phases on the same chips; None where the layout does not fit."""
        requests = loads(self.capacity(placement))
        table = self.table(placement) if requests.size else None
        if table is None:
            return None
        work, capacity = self.work, self.capacity(placement)
        load = Load(requests, work.isl, work.osl, work.prefix_share, capacity)
        seen = closed_loop(table, self.serving, load)
        return Points(placement, requests, seen.ttft_s, seen.tpot_s, seen.requests_per_s, capacity)

    def decode(self, placement: Placement) -> Points | None:
        """Output tokens alone, prompts computed elsewhere; None where the layout does not fit."""
        requests = loads(self.capacity(placement))
        table = self.table(placement) if requests.size else None
        if table is None:
            return None
        work, capacity = self.work, self.capacity(placement)
        load = Load(requests, work.isl, work.osl, 1.0 - 1.0 / work.isl, capacity)
        seen = closed_loop(table, self.serving, load)
        return Points(
            placement, requests, np.zeros_like(requests), seen.tpot_s, requests / (seen.tpot_s * work.osl), capacity
        )

    def prefill(self, placement: Placement) -> Points | None:
        """Prompts alone; TTFT includes the transfer of the KV. None where the layout does not fit."""
        work, serving = self.work, self.serving
        table = self.table(placement, prefill=True) if self.capacity(placement) >= 1.0 else None
        if table is None:
            return None
        cost = prompt_cost(table, serving, 0.0, work.isl * (1.0 - work.prefix_share), work.isl * work.prefix_share)
        requests = loads(min(self.capacity(placement), 64.0))
        per_prompt = np.where(requests > 1.0, cost.packed_s, cost.alone_s)
        rate = 1.0 / per_prompt
        ttft = requests * per_prompt + serving.ttft_base_s + self.transfer_s(placement)
        return Points(placement, requests, ttft, np.zeros_like(ttft), rate, self.capacity(placement))

    def transfer_s(self, placement: Placement) -> float:
        """Time to send a prompt's KV to the decode pool, every chip over its own network port [s]."""
        work = self.work
        sent = float(sequence_bytes(work.model, placement, self.precision.kv, work.isl)) * placement.pp
        return sent / float(np.asarray(work.chip.operators.network_bytes_per_s))
