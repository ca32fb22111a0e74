"""Requests gain and lose their place on a replica: admission, preemption, release."""

from __future__ import annotations

import math

from suanli.serving.sim import columns as c
from suanli.serving.sim.blocks import blocks_for, gained, held, leave
from suanli.serving.sim.prefix import evict, found, give_up, take
from suanli.serving.sim.queues import (
    event_push,
    finish_remove,
    finish_sift,
    run_push,
    run_remove,
    wait_first,
    wait_push,
    wait_remove,
)
from suanli.serving.sim.state import State


def end(s: State, r: int, t: float, status: int) -> None:
    """End a request, and let the one that follows it arrive.

    Takes t [s].
    """
    s.ri[r, c.STATUS] = status
    s.rf[r, c.FINISHED] = t
    s.gi[c.OPEN] -= 1
    after = s.ri[r, c.FOLLOW]
    if after >= 0:
        s.rf[after, c.ARRIVED] = t + s.rf[after, c.DELAY]
        event_push(s, s.rf[after, c.ARRIVED], after)


def release(s: State, p: int, r: int) -> None:
    """Free the KV of a running request and take it off the running list."""
    s.pf[p, c.USED] -= held(s, p, r)
    give_up(s, p, r)
    run_remove(s, p, r)


def decode_join(s: State, p: int, r: int) -> None:
    """Put a request whose KV is there into the decode batch; its next token comes with the next decode step."""
    from_step, advance = s.pi[p, c.STEP], s.pf[p, c.ADVANCE]
    s.ri[r, c.STATUS] = c.DECODING
    s.ri[r, c.JOINED] = from_step
    s.ri[r, c.CHUNK] = 0
    last_step = from_step + math.ceil((s.ri[r, c.OUT] - s.ri[r, c.EMITTED]) / advance)
    s.ri[r, c.REMAINING] = (last_step << c.TICKET_BITS) + s.ri[r, c.TICKET]
    s.pf[p, c.CONTEXT] += s.ri[r, c.DONE] + 1
    size = s.pi[p, c.BLOCK]
    s.pi[p, s.gi[c.PHASE_AT] + (from_step - s.ri[r, c.DONE]) % size] += 1
    s.pi[p, s.gi[c.JOIN_AT] + s.pi[p, c.JOINERS]] = r
    s.pi[p, c.JOINERS] += 1
    i = s.pi[p, c.BATCH]
    s.pi[p, c.BATCH] = i + 1
    s.pi[p, c.FINISHERS + i] = r
    finish_sift(s, p, i)


def preempt(s: State, p: int, r: int) -> None:
    """Take a running request's place: its KV is dropped (and computed again later) or swapped to the host."""
    swapped = 0
    if s.ri[r, c.STATUS] == c.DECODING:
        finish_remove(s, p, r)
        leave(s, p, r)
        if s.ri[r, c.JOINED] < s.pi[p, c.STEP]:
            s.rf[r, c.LAST] = s.pf[p, c.LAST_DECODE]
        grown = gained(s, p, r)
        kept = math.floor(s.ri[r, c.DONE] + grown)
        swapped = s.pi[p, c.SWAPS]
        release(s, p, r)
        s.ri[r, c.EMITTED] += math.floor(grown)
        s.ri[r, c.DONE] = kept
    else:
        s.pi[p, c.PARTIAL] = -1
        s.pi[p, c.AHEAD] -= s.ri[r, c.REMAINING]
        release(s, p, r)
    if swapped == 1:
        s.ri[r, c.READY] = 1
        s.ri[r, c.REMAINING] = 0
        s.pf[p, c.EXTRA] += blocks_for(s, p, float(s.ri[r, c.DONE])) * s.pf[p, c.SWAP_S]
    else:
        reset(s, r)
        s.pi[p, c.AHEAD] += s.ri[r, c.REMAINING]
    s.ri[r, c.STATUS] = c.WAITING
    s.ri[r, c.PREEMPTED] += 1
    s.gi[c.PREEMPTIONS] += 1
    wait_push(s, p, r)


def reset(s: State, r: int) -> None:
    """Let a request compute its prompt, and what it has emitted, from the start."""
    s.ri[r, c.READY] = 0
    s.ri[r, c.DONE] = 0
    s.ri[r, c.CHUNK] = 0
    s.ri[r, c.REMAINING] = s.ri[r, c.IN] + s.ri[r, c.EMITTED]


def admit(s: State, p: int, t: float, free_tokens: int) -> int:
    """Admit the first waiting request of replica p if it may run now.

    Returns:
        -1: it may not; 0: it was dropped, look again; 1: it decodes in this step; 2: it has a prompt to compute.

    Takes t [s].
    """
    r = wait_first(s, p)
    if r < 0 or s.pi[p, c.RUNNING] >= s.pi[p, c.SEATS] or free_tokens <= 0:
        return -1
    late = t - s.rf[r, c.ARRIVED] > s.gf[c.TIMEOUT]
    if late and s.rf[r, c.SCHEDULED] < 0.0:
        wait_remove(s, p, r)
        s.pi[p, c.AHEAD] -= s.ri[r, c.REMAINING]
        end(s, r, t, c.TIMED_OUT)
        return 0
    if s.ri[r, c.READY] > 0:
        return admit_ready(s, p, r, t, free_tokens)
    found(s, p, r)
    need = blocks_for(s, p, float(s.ri[r, c.REMAINING]))
    taken = need - s.gi[c.HIT_SHARED] + s.gi[c.HIT_NEED]
    if not _fits(s, p, r, taken):
        return -1
    wait_remove(s, p, r)
    run_push(s, p, r)
    s.gi[c.ADMITTED] = r
    fresh = s.rf[r, c.SCHEDULED] < 0.0
    if fresh:
        s.rf[r, c.SCHEDULED] = t
    s.ri[r, c.STATUS] = c.PREFILLING
    whole = s.ri[r, c.REMAINING]
    cached = max(take(s, p, r, t), min(s.ri[r, c.KNOWN], whole - 1))
    s.ri[r, c.DONE] = cached
    s.ri[r, c.REMAINING] = whole - cached
    s.pi[p, c.AHEAD] -= cached
    if fresh:
        s.ri[r, c.CACHED] = cached
    s.pf[p, c.USED] += need - s.ri[r, c.SHARED]
    evict(s, p)
    return 2


def _fits(s: State, p: int, r: int, taken: float) -> bool:
    """Whether `taken` KV blocks are free for request r, and room for a share of the answers of all that run."""
    share, spare, promise = s.pf[p, c.ANSWER], 0.0, 0
    if share > 0.0:
        promise = s.ri[r, c.IN] + int(share * s.ri[r, c.OUT])
        if s.ri[r, c.READY] == 0:
            promise = max(promise - s.gi[c.HIT_SHARED] * s.pi[p, c.BLOCK], 0)
    s.ri[r, c.PROMISE] = promise
    if s.pi[p, c.RUNNING] > 0:
        spare = s.pf[p, c.RESERVE]
        if s.pf[p, c.PROMISED] + promise > s.pf[p, c.CAPACITY] * s.pi[p, c.BLOCK]:
            return False
    return bool(s.pf[p, c.USED] + taken <= s.pf[p, c.CAPACITY] - spare)


def admit_ready(s: State, p: int, r: int, t: float, free_tokens: int) -> int:
    """Admit a request whose KV lies elsewhere: it decodes in this step already.

    Takes t [s].
    """
    if free_tokens < 1 + s.pi[p, c.DRAFTS]:
        return -1
    now = blocks_for(s, p, float(s.ri[r, c.DONE]))
    after = blocks_for(s, p, s.ri[r, c.DONE] + s.pf[p, c.ADVANCE])
    if not _fits(s, p, r, after):
        return -1
    wait_remove(s, p, r)
    run_push(s, p, r)
    if s.rf[r, c.SCHEDULED] < 0.0:
        s.rf[r, c.SCHEDULED] = t
    if s.ri[r, c.READY] == 1:
        s.pf[p, c.EXTRA] += now * s.pf[p, c.SWAP_S]
    s.ri[r, c.READY] = 0
    s.ri[r, c.REFS] = 0
    s.ri[r, c.SHARED] = 0
    s.pf[p, c.USED] += now
    evict(s, p)
    decode_join(s, p, r)
    return 1
