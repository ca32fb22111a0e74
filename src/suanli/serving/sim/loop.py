"""The event loop: the earliest of the next arrival, transfer, step boundary or control event happens."""

from __future__ import annotations

import math

from suanli.serving.sim import columns as c
from suanli.serving.sim.outages import control
from suanli.serving.sim.pools import arrive, happen
from suanli.serving.sim.queues import event_pop
from suanli.serving.sim.state import State
from suanli.serving.sim.step import boundary


def run(s: State, most: int) -> bool:
    """Handle up to `most` events.

    At one instant control events come first, then arrivals in order, then entries of the event heap, then step
    boundaries: a request that arrives exactly when a step ends is in the next one.

    Args:
        s: the state; changed in place, so that a later call goes on.
        most: events to handle.

    Returns:
        Whether the simulation is over.
    """
    for _ in range(most):
        if s.gi[c.OPEN] == 0:
            return True
        k = s.gi[c.NEXT_ARRIVAL]
        arrival = s.rf[k, c.ARRIVED] if k < s.gi[c.STATIC_ARRIVALS] else math.inf
        entry = s.rf[0, c.ENTRY_AT] if s.gi[c.EVENTS] > 0 else math.inf
        p = s.pi[0, c.HEAPED]
        step = s.pf[p, c.EVENT]
        t = min(arrival, entry, step, s.gf[c.CONTROL])
        if t == math.inf:
            return True
        s.gf[c.NOW] = t
        if s.gf[c.CONTROL] <= t:
            control(s, t)
        elif arrival <= t:
            s.gi[c.NEXT_ARRIVAL] = k + 1
            arrive(s, k, t)
        elif entry <= t:
            happen(s, event_pop(s), t)
        else:
            boundary(s, p)
    return False
