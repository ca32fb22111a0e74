"""The largest arrival rate at which the objectives are met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from suanli.demand.traces import Trace
from suanli.errors import InfeasibleError, InputError
from suanli.serving.sim.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Goodput:
    """The largest rate within the objectives, and what was tried: (rate, share of requests within)."""

    rate_per_s: float
    tried: tuple[tuple[float, float], ...]


def find_goodput(
    at_rate: Callable[[float], Trace],
    run: Callable[[Trace], Outcome],
    *,
    ttft_s: float | None,
    tpot_s: float | None,
    attainment: float = 0.9,
    first_per_s: float = 1.0,
    tolerance: float = 0.02,
) -> Goodput:
    """Search the largest arrival rate at which `attainment` of all requests meet the objectives.

    Doubles or halves from `first_per_s` until the answer is between two rates, then bisects their logarithm.

    Args:
        at_rate: makes the trace of a rate, same lengths and draws for each.
        run: simulates it.
        ttft_s: objective for TTFT, or None [s].
        tpot_s: objective for TPOT, or None [s].
        attainment: share of requests that must meet them [1].
        first_per_s: where to start [1/s].
        tolerance: relative width at which to stop [1].

    Raises:
        InputError: no objective.
        InfeasibleError: not even a request on its own meets them.
    """
    if ttft_s is None and tpot_s is None:
        raise InputError(
            "the largest rate needs an objective: serving.slo in the scenario, or --slo-ttft, --slo-tpot"
        )
    tried: list[tuple[float, float]] = []

    def meets(rate: float) -> bool:
        outcome = run(at_rate(rate))
        share = outcome.goodput_per_s(ttft_s, tpot_s) * outcome.duration_s / outcome.status.size
        tried.append((rate, share))
        return share >= attainment

    low, high = first_per_s, first_per_s
    if meets(first_per_s):
        while meets(high := high * 2.0):
            low = high
            if high > first_per_s * 2.0**24:
                raise InputError("the largest rate: the objectives are met at any rate; use more requests")
    else:
        while not meets(low := low / 2.0):
            high = low
            if low < first_per_s * 2.0**-16:
                raise InfeasibleError("The objectives are not met even by requests on their own; relax them")
    while high / low > 1.0 + tolerance:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if meets(middle) else (low, middle)
    return Goodput(low, tuple(sorted(tried)))
