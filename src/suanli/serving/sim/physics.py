"""A replica as the simulator needs it, and its step model from the roofline of `serving.steady`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.hardware import Chip
from suanli.llm import Model, expected_distinct_experts
from suanli.memory import memory_fit
from suanli.serving.sim.cluster import PolicyName, Replica
from suanli.serving.sim.model import StepModel
from suanli.serving.steady import Engine, Layout, Work
from suanli.serving.work import Formats, decode_work, exchange

Array = NDArray[np.float64]

# Tokens of a step per chip between which products go from the efficiency of decode to that of prefill (our estimate).
_SMALL, _LARGE = 128.0, 2048.0
_GRID = np.array([0, 1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192,
                  12288, 16384, 32768, 65536, 131072], dtype=float)  # fmt: skip
_NEAR, _FAR = 1024.0, 8192.0  # contexts between which KV per token is measured [token]


@dataclass(frozen=True, slots=True)
class Activity:
    """Power of the chips: idle and busy shares of the span up to TDP.

    Attributes:
        idle_share: idle power over TDP [1].
        prefill: share of the span between idle and TDP in compute-bound work [1].
        decode: the same in memory-bound work [1].
    """

    idle_share: float
    prefill: float
    decode: float


@dataclass(frozen=True, slots=True)
class Physics:
    """A replica as the simulator needs it.

    Attributes:
        model: step times.
        kv_tokens: tokens that the KV cache of the whole replica holds [token].
        kv_bytes_per_token: KV of a token, all chips together [byte].
        policy: how steps are filled.
        max_num_seqs: sequences at a time [1].
        max_batched_tokens: tokens of a step [token].
        answer_share: share of the answers whose KV must be free at admission [1].
        host_s: request handling before and after the steps [s].
        step_band: 90 % band of a step's time as a factor [1].
        ttft_band: the same of a lone request's TTFT [1].
        basis: "calibrated", "family" or "datasheet"; "roofline" with assumed efficiencies.
    """

    model: StepModel
    kv_tokens: int
    kv_bytes_per_token: float
    policy: PolicyName = "continuous"
    max_num_seqs: int = 256
    max_batched_tokens: int = 2048
    answer_share: float = 0.0
    host_s: float = 0.0
    step_band: float = 1.0
    ttft_band: float = 1.0
    basis: str = "roofline"

    def replica(self, **changes: Any) -> Replica:
        """Return it as a kind of replica.

        Args:
            changes: fields of `Replica` that are not to be as they are here; None leaves them.
        """
        fields: dict[str, Any] = {
            "policy": self.policy,
            "max_num_seqs": self.max_num_seqs,
            "max_batched_tokens": self.max_batched_tokens,
            "answer_share": self.answer_share,
        }
        fields |= {name: value for name, value in changes.items() if value is not None}
        drafts = fields.get("model", self.model).drafts
        least = fields["max_num_seqs"] * (1 + drafts)
        fields["max_batched_tokens"] = max(fields["max_batched_tokens"], least)
        made: dict[str, Any] = {"model": self.model, "kv_tokens": self.kv_tokens, **fields}
        return Replica(**made)


def from_roofline(
    model: Model,
    chip: Chip,
    layout: Layout,
    formats: Formats,
    engine: Engine,
    activity: Activity,
    kv_dtype: str = "bf16",
) -> Physics:
    """Step model of a replica from its roofline.

    f(n) = max(weights read/(e_m W), n c i/e(n)) + n x (1 - o)/e_l + overhead, with the expected distinct experts of n
    tokens; g = KV of a token over the bandwidth; h = time of a query-key pair at the peak of the wide format. Attention
    is a kernel of its own, so its time adds to that of the products (the steady state takes the larger sum of the two).

    Args:
        model: the model.
        chip: the accelerator.
        layout: the replica's layout.
        formats: number formats.
        engine: efficiencies; nominal values are used.
        activity: shares for power.
        kv_dtype: format of the KV cache.

    Returns:
        Step times, KV room and KV size.

    Reference:
        S. Williams, A. Waterman, D. Patterson, "Roofline", Communications of the ACM 52(4), 2009.
    """
    works = [decode_work(model, chip, layout, formats, context, kv_dtype) for context in (_NEAR, _FAR)]
    near, far = works
    pair_s = (_nominal(far.peak_s) - _nominal(near.peak_s)) / (_FAR - _NEAR)
    plain_s = _nominal(near.peak_s) - pair_s * _NEAR
    kv = (_nominal(far.kv_bytes_per_sequence) - _nominal(near.kv_bytes_per_sequence)) / (_FAR - _NEAR)
    bandwidth = _nominal(chip.bandwidth_bytes_per_s) * _nominal(engine.memory_efficiency)
    each = _GRID / layout.chips
    efficiency = _between(
        each, _nominal(engine.decode_compute_efficiency), _nominal(engine.prefill_compute_efficiency)
    )
    compute = each * plain_s * _nominal(engine.expert_imbalance) / efficiency
    exposed = each * _exchange_s(model, chip, layout, engine, each)
    step_s = (
        np.maximum(_weights_s(near, layout, bandwidth), compute) + exposed + _nominal(engine.step_overhead_s)
    )
    read_s = (
        max(kv * layout.tp / bandwidth, pair_s / _nominal(engine.decode_compute_efficiency)) / layout.chips
    )
    tdp = _nominal(chip.tdp_w) * layout.chips
    busy = activity.idle_share + (1.0 - activity.idle_share) * _between(
        each, activity.decode, activity.prefill
    )
    steps = StepModel(
        tokens=_GRID,
        step_s=np.maximum.accumulate(step_s),
        batch=np.array([0.0]),
        read_s=np.array([read_s]),
        pair_s=pair_s / _nominal(engine.prefill_compute_efficiency) / layout.chips,
        power_w=tdp * busy,
        idle_w=tdp * activity.idle_share,
    )
    fit = memory_fit(
        _nominal(chip.memory_bytes),
        _nominal(near.dense_weight_bytes) + _nominal(near.expert_weight_bytes),
        1.0,
        _nominal(engine.memory_reserve_share),
    )
    room = max(float(fit.kv_bytes), 0.0) * layout.chips / (kv * layout.tp)
    return Physics(steps, int(room), kv * layout.tp)


def _weights_s(work: Work, layout: Layout, bandwidth: float) -> Array:
    read = np.full(_GRID.shape, _nominal(work.dense_weight_bytes))
    if work.experts:
        touched = expected_distinct_experts(work.experts, work.top_k, np.maximum(_GRID, 1e-9))
        read = read + _nominal(work.expert_weight_bytes) * touched / work.experts
    return np.asarray(read / bandwidth)


def _exchange_s(model: Model, chip: Chip, layout: Layout, engine: Engine, each: Array) -> Array:
    """Exposed exchange per token of a chip [s]: one copy an expert in small steps, one a node in large ones."""
    small, large = (_nominal(exchange(model, chip, layout, direct=direct).time_s) for direct in (True, False))
    seen = _between(
        each,
        small * (1.0 - _nominal(engine.decode_overlap)),
        large * (1.0 - _nominal(engine.prefill_overlap)),
    )
    return np.asarray(seen / _nominal(engine.link_efficiency))


def _between(each: Array, small: float, large: float) -> Array:
    share = np.clip(np.log(np.maximum(each, 1e-9) / _SMALL) / np.log(_LARGE / _SMALL), 0.0, 1.0)
    return np.asarray(small + (large - small) * share)


def _nominal(samples: ArrayLike) -> float:
    return float(np.asarray(samples, dtype=float).reshape(-1)[0])
