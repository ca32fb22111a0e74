"""Request handling outside the replicas (HTTP, tokenising, detokenising): a delay of each request, no work of steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from suanli.demand.traces import Trace
from suanli.serving.sim.outcome import Outcome


def handled(trace: Trace, host_s: float) -> Trace:
    """Return a trace whose follow-up requests come later by the time of request handling; see `delivered`.

    Args:
        trace: requests.
        host_s: time before and after the steps of a request [s].

    Returns:
        The trace; first requests keep their arrivals, because all of them would move alike.
    """
    if host_s == 0.0 or not trace.follows.size:
        return trace
    delay = trace.delay_s if trace.delay_s.size else np.zeros(len(trace))
    return replace(trace, delay_s=delay + host_s)


def delivered(outcome: Outcome, host_s: float) -> Outcome:
    """Return an outcome of a `handled` trace as its users see it: everything comes later by the time of handling.

    Args:
        outcome: what the replicas did.
        host_s: time before and after the steps of a request [s].

    Returns:
        The outcome; arrivals are those of the users.
    """
    if host_s == 0.0:
        return outcome
    names = ("scheduled_s", "first_token_s", "finished_s", "duration_s")
    return replace(outcome, **{name: getattr(outcome, name) + host_s for name in names})
