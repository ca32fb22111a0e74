"""Replicas come and go: failures, repairs, autoscaling with a start-up delay."""

from __future__ import annotations

import math

from suanli.serving.sim import columns as c
from suanli.serving.sim.blocks import gained
from suanli.serving.sim.place import end, release, reset
from suanli.serving.sim.pools import stop_if_empty
from suanli.serving.sim.prefix import give_up, wipe
from suanli.serving.sim.queues import event_push, finish_remove, replica_sift, wait_first, wait_remove
from suanli.serving.sim.record import gap, note
from suanli.serving.sim.state import State
from suanli.serving.sim.steps import steps_s, steps_until


def control(s: State, t: float) -> None:
    """Do what is due at time t: starts, failures, repairs, a look of the autoscaler.

    Takes t [s].
    """
    for p in range(s.pi.shape[0]):
        if s.pf[p, c.CONTROL_AT] > t:
            continue
        up = s.pi[p, c.UP]
        if up in (c.ON, c.DRAINING):
            fail(s, p, t)
            s.pf[p, c.CONTROL_AT] = t + draw(s, p)
        elif up in (c.STARTING, c.FAILED):
            if up == c.FAILED:
                s.pf[p, c.ON_SINCE] = t
            s.pi[p, c.UP] = c.ON
            s.pf[p, c.CONTROL_AT] = t + draw(s, p)
        else:
            s.pf[p, c.CONTROL_AT] = math.inf
    if s.gf[c.TICK] <= t:
        for role in (c.BOTH, c.PROMPTS, c.ANSWERS):
            scale(s, role, t)
        s.gf[c.TICK] = t + s.gf[c.TICK_S]
    soonest = s.gf[c.TICK]
    for p in range(s.pi.shape[0]):
        soonest = min(soonest, s.pf[p, c.CONTROL_AT])
    s.gf[c.CONTROL] = soonest


def draw(s: State, p: int) -> float:
    """The next drawn time of replica p: to a failure and of a repair, in turn; inf where it never fails."""
    n = s.pf.shape[1] - c.REPLICA_FLOATS
    if n == 0:
        return math.inf
    k = s.pi[p, c.SLOT]
    s.pi[p, c.SLOT] = k + 1
    return float(s.pf[p, c.REPLICA_FLOATS + k % n])


def scale(s: State, role: int, t: float) -> None:
    """Aim at TARGET outstanding requests a replica of a pool: start replicas, or let them drain.

    Takes t [s].
    """
    outstanding, up, n = 0, 0, s.pi.shape[0]
    for p in range(n):
        if s.pi[p, c.ROLE] == role:
            outstanding += s.pi[p, c.QUEUED] + s.pi[p, c.RUNNING]
            if s.pi[p, c.UP] == c.ON or s.pi[p, c.UP] == c.STARTING:
                up += 1
    wanted = math.ceil(outstanding / s.gf[c.TARGET])
    wanted = min(max(wanted, s.gi[c.MIN_UP]), s.gi[c.MAX_UP])
    for p in range(n):
        if up < wanted and s.pi[p, c.ROLE] == role and s.pi[p, c.UP] == c.DRAINING:
            s.pi[p, c.UP] = c.ON
            up += 1
    for p in range(n):
        if up < wanted and s.pi[p, c.ROLE] == role and s.pi[p, c.UP] == c.OFF:
            s.pi[p, c.UP] = c.STARTING
            s.pf[p, c.ON_SINCE] = t
            s.pf[p, c.CONTROL_AT] = t + s.gf[c.START_S]
            up += 1
    for i in range(n):
        p = n - 1 - i
        if up > wanted and s.pi[p, c.ROLE] == role and s.pi[p, c.UP] == c.ON:
            s.pi[p, c.UP] = c.DRAINING
            stop_if_empty(s, p, t)
            up -= 1


def settle(s: State, p: int, t: float) -> None:
    """Count the decode steps that were over when replica p failed at time t; the one under way is lost.

    Takes t [s].
    """
    if s.pi[p, c.KIND] == c.NOTHING:
        return
    start, a, b = s.pf[p, c.TIME], s.pf[p, c.STEP_A], s.pf[p, c.STEP_B]
    whole = 0
    if s.pi[p, c.KIND] == c.DECODE:
        whole = steps_until(a, b, t - start, s.pi[p, c.COUNT])
        if start + steps_s(a, b, whole) > t:
            whole -= 1
    s.pi[p, c.COUNT] = whole
    note(s, p, t)
    if whole > 0:
        over = start + steps_s(a, b, whole)
        gap(s, p, over)
        s.gi[c.STEPS] += whole
        s.pi[p, c.STEP] += whole
        s.pf[p, c.LAST_DECODE] = over


def fail(s: State, p: int, t: float) -> None:
    """Replica p fails: steps under way are lost, its requests go elsewhere or are lost, its memory is empty.

    Takes t [s].
    """
    s.pi[p, c.FAILURES] += 1
    if s.pi[p, c.UP] != c.OFF:
        s.pf[p, c.ON_TIME] += t - s.pf[p, c.ON_SINCE]
    settle(s, p, t)
    while s.pi[p, c.RUN_HEAD] >= 0:
        r = s.pi[p, c.RUN_HEAD]
        moving = s.ri[r, c.STATUS] == c.TRANSFERRING
        if s.ri[r, c.STATUS] == c.DECODING:
            finish_remove(s, p, r)
            grown = math.floor(gained(s, p, r))
            release(s, p, r)
            s.ri[r, c.EMITTED] += grown
            if grown > 0:
                s.rf[r, c.LAST] = s.pf[p, c.LAST_DECODE]
        else:
            release(s, p, r)
        retry(s, r, t, moving)
    while s.pi[p, c.QUEUED] > 0:
        r = wait_first(s, p)
        wait_remove(s, p, r)
        give_up(s, p, r)
        retry(s, r, t, False)
    wipe(s, p)
    for i in range(s.gi[c.PHASE_AT], s.gi[c.PHASE_AT] + s.pi[p, c.BLOCK]):
        s.pi[p, i] = 0
    for k in (c.CONTEXT, c.USED, c.EXTRA, c.GROWN, c.PROMISED):
        s.pf[p, k] = 0.0
    for k in (c.BATCH, c.CHUNKS, c.JOINERS, c.AHEAD, c.TOKENS, c.FORMING):
        s.pi[p, k] = 0
    s.pi[p, c.PARTIAL] = -1
    s.pi[p, c.KIND] = c.NOTHING
    s.pf[p, c.EVENT] = math.inf
    s.pi[p, c.UP] = c.FAILED
    replica_sift(s, p)


def retry(s: State, r: int, t: float, moving: bool) -> None:
    """Send a request of a failed replica again, from its start; tokens that the user has are computed again.

    Takes t [s].
    """
    s.ri[r, c.RETRIES] += 1
    reset(s, r)
    s.ri[r, c.STATUS] = c.PENDING
    if s.ri[r, c.RETRIES] > s.gi[c.RETRY_LIMIT]:
        s.ri[r, c.STATUS] = c.LOST
        if not moving:
            end(s, r, t, c.LOST)
    elif not moving:
        event_push(s, t, r)
