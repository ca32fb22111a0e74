"""KV blocks of a replica: what a request holds, what the next decode steps need, how long they can go on."""

from __future__ import annotations

import math

from suanli.serving.sim import columns as c
from suanli.serving.sim.state import State


def blocks_for(s: State, p: int, tokens: float) -> float:
    """KV blocks that hold `tokens` tokens; part of a block counts only where sequences advance by fractions.

    Takes tokens [token].
    """
    size = s.pi[p, c.BLOCK]
    if s.pf[p, c.ADVANCE] != 1.0:
        return float(tokens / size)
    return float((int(tokens) + size - 1) // size)


def gained(s: State, p: int, r: int) -> float:
    """Tokens that a decoding request gained since it joined."""
    return float(s.pf[p, c.ADVANCE] * (s.pi[p, c.STEP] - s.ri[r, c.JOINED]))


def held(s: State, p: int, r: int) -> float:
    """KV blocks that a running request holds outside the shared prefix."""
    tokens = float(s.ri[r, c.DONE] + s.ri[r, c.REMAINING])
    if s.ri[r, c.STATUS] == c.DECODING:
        tokens = s.ri[r, c.DONE] + gained(s, p, r)
    elif s.ri[r, c.STATUS] == c.TRANSFERRING:
        tokens = float(s.ri[r, c.DONE])
    return float(blocks_for(s, p, tokens) - s.ri[r, c.SHARED])


def growth(s: State, p: int, steps: int) -> float:
    """KV blocks that the next `steps` decode steps of replica p take."""
    batch, size = s.pi[p, c.BATCH], s.pi[p, c.BLOCK]
    if s.pf[p, c.ADVANCE] != 1.0:
        return float(steps * batch * s.pf[p, c.ADVANCE] / size)
    base, step = s.gi[c.PHASE_AT], s.pi[p, c.STEP]
    need = (steps // size) * batch
    for i in range(steps % size):
        need += s.pi[p, base + (step + i) % size]
    return float(need)


def growth_once(s: State, p: int) -> float:
    """KV blocks that the next decode step of replica p takes."""
    size = s.pi[p, c.BLOCK]
    if s.pf[p, c.ADVANCE] != 1.0:
        return float(s.pi[p, c.BATCH] * s.pf[p, c.ADVANCE] / size)
    return float(s.pi[p, s.gi[c.PHASE_AT] + s.pi[p, c.STEP] % size])


def room_steps(s: State, p: int, free: float, wanted: int) -> int:
    """The most decode steps, up to `wanted`, that `free` KV blocks allow.

    Takes free [1].
    """
    batch, size = s.pi[p, c.BATCH], s.pi[p, c.BLOCK]
    if s.pf[p, c.ADVANCE] != 1.0:
        fluid = math.floor(free / (batch * s.pf[p, c.ADVANCE] / size))
        return int(min(wanted, fluid))
    if (wanted // size + 1) * batch <= free:
        return wanted
    whole = int(free) // batch
    steps = whole * size
    left = free - whole * batch
    base, step = s.gi[c.PHASE_AT], s.pi[p, c.STEP]
    while steps < wanted:
        left -= s.pi[p, base + (step + steps) % size]
        if left < 0:
            break
        steps += 1
    return int(min(steps, wanted))


def leave(s: State, p: int, r: int) -> None:
    """Take a request out of the sums of the decode batch (the finish heap is the caller's)."""
    s.pf[p, c.CONTEXT] -= s.ri[r, c.DONE] + 1 + gained(s, p, r)
    size = s.pi[p, c.BLOCK]
    s.pi[p, s.gi[c.PHASE_AT] + (s.ri[r, c.JOINED] - s.ri[r, c.DONE]) % size] -= 1
