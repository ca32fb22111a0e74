"""What a simulation found: requests, replicas, tiers, time series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.demand.traces import Trace
from suanli.serving.sim import columns as c
from suanli.serving.sim.cluster import Cluster
from suanli.serving.sim.record import ITL_FLOOR_S, ITL_RATIO_LOG
from suanli.serving.sim.state import State

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

STATUS_NAMES = (
    *("pending", "waiting", "prefilling", "decoding", "transferring", "completed"),
    *(
        "refused: queue full",
        "timed out",
        "lost: replica failed",
        "too long for the KV cache",
        "no replica up",
    ),
)


@dataclass(frozen=True, slots=True)
class Series:
    """Means over bins of time; bin i covers i w ... (i + 1) w.

    Attributes:
        width_s: w [s].
        busy: replicas busy.
        prompt_tokens_per_s: prompt tokens computed.
        output_tokens_per_s: tokens given out.
        power_w: power of busy replicas above their idle power is in it, idle power of all is added by `outcome`.
        running: requests with a place.
        kv_share: share of the KV blocks of all replicas in use.
        waiting: requests that wait on a busy replica.
    """

    width_s: float
    busy: Array
    prompt_tokens_per_s: Array
    output_tokens_per_s: Array
    power_w: Array
    running: Array
    kv_share: Array
    waiting: Array


@dataclass(frozen=True, slots=True)
class Outcome:
    """Requests in the order of the trace, and totals.

    Attributes:
        arrived_s, scheduled_s, first_token_s, finished_s: times; nan where it did not come to that [s].
        input_tokens, output_tokens: lengths.
        cached_tokens: prompt tokens that a prefix cache answered.
        replica: the last one it ran on, -1 where on none.
        preemptions: times it lost its place.
        retries: times it was sent again after a failure.
        status: index into STATUS_NAMES.
        duration_s: from the first arrival to the last end [s].
        energy_j: of all replicas, idle time included [J].
        busy_s, on_s: replica-seconds busy, and switched on [s].
        peak_kv_share: per replica, most KV blocks in use over its capacity.
        failures: of replicas.
        steps: model steps.
        preempted: preemptions in all.
        itl: (edges, counts, mean, max) of inter-token latency [s].
        tiers: per tier, device memory first: hit tokens, KV blocks read, written and evicted.
        link_busy_s: time the link between pools was busy [s].
        series: time series.
        log: logged steps.
        partial: the run was interrupted.
    """

    arrived_s: Array
    scheduled_s: Array
    first_token_s: Array
    finished_s: Array
    input_tokens: Ints
    output_tokens: Ints
    cached_tokens: Ints
    replica: Ints
    preemptions: Ints
    retries: Ints
    status: Ints
    duration_s: float
    energy_j: float
    busy_s: float
    on_s: float
    peak_kv_share: Array
    failures: int
    steps: int
    preempted: int
    itl: tuple[Array, Array, float, float]
    tiers: Array
    link_busy_s: float
    series: Series
    log: Array
    partial: bool

    @property
    def completed(self) -> NDArray[np.bool_]:
        """Whether each request ran to its end."""
        return np.asarray(self.status == c.COMPLETED)

    @property
    def ttft_s(self) -> Array:
        """Time to first token of the completed requests [s]."""
        return np.asarray((self.first_token_s - self.arrived_s)[self.completed])

    @property
    def e2e_s(self) -> Array:
        """Time to the last token of the completed requests [s]."""
        return np.asarray((self.finished_s - self.arrived_s)[self.completed])

    @property
    def queue_s(self) -> Array:
        """Time to the first step of the completed requests [s]."""
        return np.asarray((self.scheduled_s - self.arrived_s)[self.completed])

    @property
    def tpot_s(self) -> Array:
        """(E2E - TTFT)/(n_out - 1) of the completed requests with more than one token [s]."""
        keep = self.completed & (self.output_tokens > 1)
        return np.asarray((self.finished_s - self.first_token_s)[keep] / (self.output_tokens[keep] - 1))

    def goodput_per_s(self, ttft_s: float | None, tpot_s: float | None) -> float:
        """Completed requests a second that meet the objectives [1/s].

        Args:
            ttft_s: objective, or None [s].
            tpot_s: objective, or None [s].
        """
        good = self.completed.copy()
        if ttft_s is not None:
            good &= self.first_token_s - self.arrived_s <= ttft_s
        if tpot_s is not None:
            spread = self.finished_s - self.first_token_s
            good &= spread <= tpot_s * np.maximum(self.output_tokens - 1, 1)
        return float(good.sum() / self.duration_s) if self.duration_s > 0.0 else 0.0

    def ends(self) -> dict[str, int]:
        """How many requests ended in which way."""
        counts = np.bincount(self.status, minlength=len(STATUS_NAMES))
        return {name: int(n) for name, n in zip(STATUS_NAMES, counts, strict=True) if n}


def outcome(
    s: State, order: Ints, trace: Trace, cluster: Cluster, *, partial: bool, kv_bytes_per_token: float
) -> Outcome:
    """Read the loop's arrays.

    Args:
        s: the state when the loop stopped.
        order: which request stands in each row.
        trace: the requests.
        cluster: the replicas.
        partial: the run was interrupted.
        kv_bytes_per_token: KV of a token [byte].
    """
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    rf, ri = s.rf[back], s.ri[back]
    if not partial:
        # The loop ran out of events with requests left: no replica will ever run them.
        open_ = ri[:, c.STATUS] < c.COMPLETED
        ri[open_, c.STATUS] = c.STRANDED
    rf[rf < 0.0] = np.nan
    # Tokens are delivered some steps after the last event.
    end = float(max(s.gf[c.NOW], s.rf[:, c.FINISHED].max(initial=0.0)))
    up = np.isin(s.pi[:, c.UP], (c.ON, c.STARTING, c.DRAINING))
    on = s.pf[:, c.ON_TIME] + np.where(up, end - s.pf[:, c.ON_SINCE], 0.0)
    idle_j = (s.pf[:, c.IDLE_W] * np.maximum(on - s.pf[:, c.BUSY], 0.0)).sum()
    begun = float(np.nanmin(rf[:, c.ARRIVED])) if np.any(~np.isnan(rf[:, c.ARRIVED])) else 0.0
    first = np.where(ri[:, c.EMITTED] > 0, rf[:, c.FIRST], np.nan)
    over = ri[:, c.STATUS] >= c.COMPLETED
    return Outcome(
        arrived_s=rf[:, c.ARRIVED].copy(),
        scheduled_s=rf[:, c.SCHEDULED].copy(),
        first_token_s=first,
        finished_s=np.where(over, rf[:, c.FINISHED], np.nan),
        input_tokens=ri[:, c.IN].copy(),
        output_tokens=ri[:, c.OUT].copy(),
        cached_tokens=ri[:, c.CACHED].copy(),
        replica=ri[:, c.REPLICA].copy(),
        preemptions=ri[:, c.PREEMPTED].copy(),
        retries=ri[:, c.RETRIES].copy(),
        status=ri[:, c.STATUS].copy(),
        duration_s=end - begun,
        energy_j=float(s.pf[:, c.ENERGY].sum() + idle_j),
        busy_s=float(s.pf[:, c.BUSY].sum()),
        on_s=float(on.sum()),
        peak_kv_share=s.pf[:, c.PEAK_USED] / s.pf[:, c.CAPACITY],
        failures=int(s.pi[:, c.FAILURES].sum()),
        steps=int(s.gi[c.STEPS]),
        preempted=int(s.gi[c.PREEMPTIONS]),
        itl=_itl(s),
        tiers=s.tf[: max(int(s.gi[c.TIERS]), 1), c.T_HIT_TOKENS :].copy(),
        link_busy_s=float(s.gf[c.LINK_BUSY]),
        series=_series(s, end),
        log=s.rec[: min(int(s.gi[c.LOGGED]), int(s.gi[c.LOG_ROWS])), c.LOG :].copy(),
        partial=partial,
    )


def _itl(s: State) -> tuple[Array, Array, float, float]:
    itl = s.rec[: c.ITL_BINS, c.ITL]
    used = int(np.max(np.flatnonzero(itl), initial=-1)) + 1
    edges = ITL_FLOOR_S * np.exp(ITL_RATIO_LOG * np.arange(used))
    counts = itl[:used].copy()
    total = counts.sum()
    return edges, counts, float(s.gf[c.ITL_SUM] / total) if total else float("nan"), float(s.gf[c.ITL_MAX])


def _series(s: State, end: float) -> Series:
    width = float(s.gf[c.BIN_S])
    used = min(max(int(np.ceil(end / width)), 1), c.BINS)
    mean = s.rec[:used, : c.SERIES] / width
    return Series(
        width_s=width,
        busy=mean[:, c.S_BUSY],
        prompt_tokens_per_s=mean[:, c.S_PROMPT],
        output_tokens_per_s=mean[:, c.S_OUTPUT],
        power_w=mean[:, c.S_ENERGY]
        + s.pf[:, c.IDLE_W].mean() * np.maximum(s.pf.shape[0] - mean[:, c.S_BUSY], 0.0),
        running=mean[:, c.S_BATCH],
        kv_share=mean[:, c.S_KV] / s.pf[:, c.CAPACITY].sum(),
        waiting=mean[:, c.S_QUEUE],
    )
