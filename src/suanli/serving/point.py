"""One deployment question and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from suanli.llm import Model
from suanli.serving.accelerator import Accelerator
from suanli.serving.deployment import MemoryParts
from suanli.serving.layout import Placement

PHASES = ("mixed", "prefill", "decode")


@dataclass(frozen=True, slots=True)
class Point:
    """One deployment question; None means choose or default.

    Attributes:
        model: the model.
        chip: the accelerator.
        n_chips: accelerators of the deployment [1].
        tp: tensor parallelism [1].
        pp: pipeline stages [1].
        dp: replicas of a dense model, attention groups that share the experts of a sparse one [1].
        ep: expert parallelism [1].
        weights_dtype: weight format or "native".
        kv_dtype: cache format; None for the framework's choice.
        framework: "vllm 0.19.0", "sglang", "*".
        phase: "mixed" serves whole requests; "prefill" computes `concurrency` prompts of isl tokens together; "decode"
            runs `concurrency` sequences from a context of isl on.
        isl: prompt length, for "decode" the context so far [token].
        osl: output length [token].
        concurrency: requests in flight at the whole deployment [1].
        options: see `OPTIONS`.
    """

    model: Model
    chip: Accelerator
    n_chips: int = 1
    tp: int | None = None
    pp: int | None = None
    dp: int | None = None
    ep: int | None = None
    weights_dtype: str = "native"
    kv_dtype: str | None = None
    framework: str = "*"
    phase: str = "mixed"
    isl: float = 1024.0
    osl: float = 1024.0
    concurrency: float = 1.0
    options: Mapping[str, float] = field(default_factory=dict)


# Conditions that a point may state beside its columns: {name: what it is}.
OPTIONS: dict[str, str] = {
    "prefix_hit_share": "share of the prompt that the prefix cache holds [1]; 0",
    "mtp_draft": "draft tokens of speculative decoding a step [token]; as the framework's version is known to run",
    "mtp_acceptance": "chance that a draft token is accepted after the one before it [1]; 0.7",
    "expert_imbalance": "load of the hottest expert rank over the mean [1]; from expert_sigma",
    "expert_sigma": "sigma of the lognormal popularity of experts [1]; 0.7",
    "redundant_experts": "copies of hot experts, over all ranks [1]; 0",
    "overlap": "share of steps in which exchange runs beside the other half of the batch, 0 to 1 [1]",
    "exchange_processors": "processors that the exchange of prefill takes from computing [1]; 24 where it overlaps",
    "burst_prompts_per_client": "prompts that each client sends, all starting at once; 0: steady state alone [1]; 10",
    "length_low_share": "shortest over longest length of a uniform distribution below the nominal one [1]; 1",
    "arrival_rate_per_s": "open arrivals at the whole deployment instead of `concurrency` clients [1/s]",
    "chunk_tokens": "prompt tokens of a step [token]; the framework's",
    "max_sequences": "sequences that a replica runs at most [1]; the framework's",
    "stream_interval": "tokens between two messages of a stream (SGLang holds the first back) [token]; 1",
    "recv_interval": "decode steps between two looks at new requests (SGLang) [1]; 1",
    "memory_share": "share of device memory that the framework uses [1]; the framework's",
    "layout_in_ranks": "1 where tp, pp, dp and ep count ranks (dies) of chips that have several, else chips [1]; 0",
}


@dataclass(frozen=True, slots=True)
class Band:
    """A value with its 90 % band, in one unit."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Band:
        """Return the band times a positive number."""
        return Band(self.value * factor, self.low * factor, self.high * factor)


def banded(time_s: float, factor: float, least_s: float = 0.0) -> Band:
    """Return the band from time/factor to time x factor; nothing is faster than the chip's peaks allow.

    Args:
        time_s: a time [s].
        factor: at least 1 [1].
        least_s: the time at the peaks of compute and memory [s].
    """
    return Band(time_s, max(time_s / factor, min(least_s, time_s)), time_s * factor)


def rated(rate_per_s: float, low_per_s: float, high_per_s: float, used: float = 0.0) -> Band:
    """Return the band of a rate; it can grow until the busiest of the chip's peaks is used up.

    Args:
        rate_per_s: rate [1/s].
        low_per_s: lower end [1/s].
        high_per_s: upper end before that limit [1/s].
        used: share of the busiest peak at that rate [1].
    """
    most_per_s = rate_per_s / max(used, 1e-9)
    return Band(rate_per_s, low_per_s, max(min(high_per_s, most_per_s), rate_per_s))


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Mean shares of a chip's peaks over time, for power.

    Attributes:
        compute: operations over the peak of their formats [1].
        memory: bytes over the memory bandwidth [1].
        link: bytes over the scale-up bandwidth [1].
        busy: time in which kernels run [1].
    """

    compute: float
    memory: float
    link: float
    busy: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a deployment; quantities are None where they do not apply to the phase.

    Attributes:
        status: "ok", "infeasible" (the question is fine, the answer is no) or "unsupported" (it cannot be answered).
        reason: why not ok, in one line.
        ttft_s: mean time to the first token under this load, queueing included [s].
        tpot_s: (end to end - TTFT)/(tokens - 1) [s].
        itl_s: gap between tokens where no prompt interferes [s].
        output_tokens_per_s: of the whole deployment [token/s].
        input_tokens_per_s: of the whole deployment [token/s].
        unloaded_ttft_s: time to the first token of a lone request [s].
        basis: "calibrated" (chip measured), "family" (its family measured) or "datasheet".
        placement: the layout.
        batch: sequences that decode on average, over the whole deployment [1].
        largest_batch: sequences that fit, over the whole deployment [1].
        memory: memory of the fullest chip.
        parts: {operator: seconds of one decode step, or of one batch of prompts in phase "prefill"}.
        bottleneck: the largest part and what bounds the step, in words.
        utilisation: shares of the chip's peaks.
        prefill_share: share of time that prompts take [1].
        notes: what was chosen or changed.
        short_of_memory: whether it is infeasible because weights, or one sequence beside them, do not fit.
    """

    status: str
    reason: str = ""
    ttft_s: Band | None = None
    tpot_s: Band | None = None
    itl_s: Band | None = None
    output_tokens_per_s: Band | None = None
    input_tokens_per_s: Band | None = None
    unloaded_ttft_s: Band | None = None
    basis: str = ""
    placement: Placement | None = None
    batch: float | None = None
    largest_batch: float | None = None
    memory: MemoryParts | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    bottleneck: str = ""
    utilisation: Utilisation | None = None
    prefill_share: float | None = None
    notes: tuple[str, ...] = ()
    short_of_memory: bool = False
