"""Replicas together: routing, admission control, transfers between pools."""

from __future__ import annotations

import math

from suanli.serving.sim import columns as c
from suanli.serving.sim.blocks import blocks_for
from suanli.serving.sim.place import end, release, reset
from suanli.serving.sim.prefix import found
from suanli.serving.sim.queues import event_push, replica_sift, wait_first, wait_push
from suanli.serving.sim.state import State
from suanli.serving.sim.steps import shorten

_NOT_DRAWN = 1e15  # larger than any count: other replicas serve only what the two drawn cannot hold


def arrive(s: State, r: int, t: float) -> None:
    """A request enters the system, or comes back after a failure.

    Takes t [s].
    """
    if s.ri[r, c.TICKET] < 0:
        s.ri[r, c.TICKET] = s.gi[c.TICKETS]
        s.gi[c.TICKETS] += 1
    reset(s, r)
    dispatch(s, r, t, c.PROMPTS if s.gi[c.SPLIT] == 1 else c.BOTH)


def dispatch(s: State, r: int, t: float, role: int) -> None:
    """Send a request to a replica of a pool, or end it with a reason.

    Takes t [s].
    """
    p = choose(s, r, role)
    if p == -2:
        end(s, r, t, c.TOO_LONG)
    elif p == -1:
        # No replica is up: look again when the next one comes, if one will.
        if s.gf[c.CONTROL] < math.inf:
            s.ri[r, c.STATUS] = c.TRANSFERRING if s.ri[r, c.READY] == 2 else c.PENDING
            event_push(s, s.gf[c.CONTROL], r)
        else:
            end(s, r, t, c.STRANDED)
    elif s.pi[p, c.QUEUED] >= s.pi[p, c.QUEUE_LIMIT]:
        end(s, r, t, c.REFUSED)
    else:
        enqueue(s, p, r, t)


def enqueue(s: State, p: int, r: int, t: float) -> None:
    """Put a request on a replica's waiting list; an idle replica starts, a run of decode steps is cut short.

    Takes t [s].
    """
    s.ri[r, c.REPLICA] = p
    s.ri[r, c.STATUS] = c.WAITING
    s.pi[p, c.AHEAD] += s.ri[r, c.REMAINING]
    wait_push(s, p, r)
    if s.pi[p, c.KIND] == c.NOTHING:
        if s.pf[p, c.EVENT] > t:
            s.pf[p, c.EVENT] = t
            replica_sift(s, p)
    elif s.pi[p, c.RUNNING] < s.pi[p, c.SEATS] and s.pi[p, c.POLICY] != c.STATIC and wait_first(s, p) == r:
        shorten(s, p, t)


def choose(s: State, r: int, role: int) -> int:
    """The replica for request r: -1 if none is up, -2 if it fits on none."""
    router = s.gi[c.ROUTER]
    n = s.pi.shape[0]
    turn_at = c.TURN_DECODE if role == c.ANSWERS else c.TURN
    first, second, up = -1, -1, 0
    tokens = float(s.ri[r, c.IN] + s.ri[r, c.OUT] - 1)
    if router == c.POWER_OF_TWO:
        first, second = _two(s, role, n)
    best, best_cost, best_tie = -1, math.inf, math.inf
    for i in range(n):
        p = (s.gi[turn_at] + i) % n if router == c.ROUND_ROBIN else i
        if s.pi[p, c.UP] != c.ON or s.pi[p, c.ROLE] != role:
            continue
        up += 1
        more = 0.0 if s.pf[p, c.ADVANCE] == 1.0 else s.pf[p, c.ADVANCE]
        need = tokens + more if role != c.PROMPTS else float(s.ri[r, c.IN])
        if blocks_for(s, p, need) > s.pf[p, c.CAPACITY]:
            continue
        if router == c.ROUND_ROBIN:
            s.gi[turn_at] = (p + 1) % n
            return int(p)
        busy = float(s.pi[p, c.QUEUED] + s.pi[p, c.RUNNING])
        cost = busy
        if router == c.PREFIX_AWARE and role != c.ANSWERS:
            found(s, p, r)
            cost = float(s.pi[p, c.AHEAD] - min(s.gi[c.HITS] * s.gi[c.BLOCK_TOKENS], s.ri[r, c.IN]))
        elif router == c.POWER_OF_TWO and p not in (first, second):
            cost += _NOT_DRAWN
        if cost < best_cost or (cost == best_cost and busy < best_tie):
            best, best_cost, best_tie = p, cost, busy
    if best < 0 and up > 0:
        return -2
    return int(best)


def _two(s: State, role: int, n: int) -> tuple[int, int]:
    """Two replicas of a pool drawn at random, each from those that are up."""
    up = 0
    for p in range(n):
        if s.pi[p, c.UP] == c.ON and s.pi[p, c.ROLE] == role:
            up += 1
    k = s.gi[c.DRAW]
    s.gi[c.DRAW] = (k + 1) % s.rf.shape[0]
    a = int(s.rf[k, c.DRAW_A] * up)
    b = int(s.rf[k, c.DRAW_B] * up)
    first, second, seen = -1, -1, 0
    for p in range(n):
        if s.pi[p, c.UP] == c.ON and s.pi[p, c.ROLE] == role:
            if seen == a:
                first = p
            if seen == b:
                second = p
            seen += 1
    return first, second


def send(s: State, p: int, r: int, t: float) -> None:
    """Put the KV of a computed prompt on the link between the pools; the link serves one after the other.

    Takes t [s].
    """
    start = max(t, s.gf[c.LINK_FREE])
    move = s.ri[r, c.DONE] * s.pf[p, c.MOVE_S]
    s.gf[c.LINK_FREE] = start + move
    s.gf[c.LINK_BUSY] += move
    s.ri[r, c.STATUS] = c.TRANSFERRING
    event_push(s, start + move + s.gf[c.LINK_LATENCY], r)


def happen(s: State, r: int, t: float) -> None:
    """An entry of the event heap is due: an arrival, or a transfer that is over.

    Takes t [s].
    """
    if s.ri[r, c.STATUS] == c.LOST:
        end(s, r, t, c.LOST)
        return
    if s.ri[r, c.STATUS] != c.TRANSFERRING:
        arrive(s, r, t)
        return
    if s.ri[r, c.READY] == 0:
        p = s.ri[r, c.REPLICA]
        release(s, p, r)
        s.ri[r, c.READY] = 2
        _wake(s, p, t)
    dispatch(s, r, t, c.ANSWERS)


def _wake(s: State, p: int, t: float) -> None:
    """Room came free outside a step: a replica that stands still looks at its waiting list again."""
    if s.pi[p, c.KIND] == c.NOTHING and s.pi[p, c.QUEUED] > 0 and s.pf[p, c.EVENT] > t:
        s.pf[p, c.EVENT] = t
        replica_sift(s, p)
    elif s.pi[p, c.KIND] == c.NOTHING and s.pi[p, c.UP] == c.DRAINING:
        stop_if_empty(s, p, t)


def stop_if_empty(s: State, p: int, t: float) -> None:
    """Switch a draining replica off once nothing is left on it.

    Takes t [s].
    """
    if s.pi[p, c.UP] == c.DRAINING and s.pi[p, c.RUNNING] == 0 and s.pi[p, c.QUEUED] == 0:
        s.pi[p, c.UP] = c.OFF
        s.pf[p, c.ON_TIME] += t - s.pf[p, c.ON_SINCE]
        s.pf[p, c.CONTROL_AT] = math.inf
