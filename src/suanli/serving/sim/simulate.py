"""Run requests through a cluster, one by one in simulated time."""

from __future__ import annotations

import math
from collections.abc import Callable

from suanli.demand.traces import Trace
from suanli.errors import InputError
from suanli.serving.sim.cluster import Cluster
from suanli.serving.sim.outcome import Outcome, outcome
from suanli.serving.sim.setup import build
from suanli.serving.sim.state import State

Progress = Callable[[int, int, float], None]

_EVENTS_A_CALL = 200_000  # about 0.1 s of compiled work between looks at the clock and the keyboard


def simulate(
    trace: Trace,
    cluster: Cluster,
    *,
    seed: int = 0,
    compiled: bool = True,
    progress: Progress | None = None,
    kv_bytes_per_token: float = 0.0,
    window_s: tuple[float, float] = (math.inf, math.inf),
    log_steps: int = 0,
    cached_share: float = 0.0,
) -> Outcome:
    """Simulate a trace on a cluster.

    The loop goes from event to event (arrival, last token, prompt chunk, full KV cache, transfer, failure); between two
    events the decode steps have a closed form, because a step's time is affine in the KV tokens that it reads.

    Args:
        trace: requests.
        cluster: replicas, router and the rest.
        seed: of the router's draws and of failures.
        compiled: run the loop as machine code; the same functions run without.
        progress: called now and then with requests over, requests in all and simulated time [s].
        kv_bytes_per_token: KV of a token, needed for tiers [byte].
        window_s: window whose steps are logged for a Chrome trace [s].
        log_steps: most steps to log.
        cached_share: share of each prompt that a prefix cache outside the simulation answers: its KV takes room, but
            no time [1].

    Returns:
        What happened to every request and replica. After an interrupt (Ctrl-C) it is marked partial.

    Raises:
        InputError: an empty trace, or a cluster that cannot be.

    Reference:
        W. Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention", SOSP 2023;
        A. Agrawal et al., "Taming Throughput-Latency Tradeoff in LLM Inference with Sarathi-Serve", OSDI 2024.
    """
    if len(trace) == 0:
        raise InputError(f"{trace.name}: no requests to simulate")
    state, order = build(trace, cluster, seed, kv_bytes_per_token, window_s, log_steps, cached_share)
    partial = _drive(state, compiled, progress)
    return outcome(state, order, trace, cluster, partial=partial, kv_bytes_per_token=kv_bytes_per_token)


def _drive(state: State, compiled: bool, progress: Progress | None) -> bool:
    from suanli.serving.sim import columns as c

    if compiled:
        from suanli.serving.sim.compiled import compiled_run

        run = compiled_run(lean=bool(is_lean(state)))
    else:
        from suanli.serving.sim.loop import run
    total = state.ri.shape[0]
    try:
        while not run(state, _EVENTS_A_CALL):
            if progress is not None:
                progress(total - int(state.gi[c.OPEN]), total, float(state.gf[c.NOW]))
    except KeyboardInterrupt:
        return True
    return False


def is_lean(state: State) -> bool:
    """Whether the state is of one replica that needs neither prefix cache nor swapping nor control events."""
    from suanli.serving.sim import columns as c

    alone = state.pi.shape[0] == 1 and state.pi[0, c.SWAPS] == 0
    return bool(alone and state.gi[c.TIERS] == 0 and state.gf[c.CONTROL] == math.inf)
