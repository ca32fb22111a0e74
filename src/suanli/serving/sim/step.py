"""One step of a replica: choose what runs, how long it takes, and apply it when it is over."""

from __future__ import annotations

import math

from suanli.serving.sim import columns as c
from suanli.serving.sim.blocks import growth, growth_once, leave, room_steps
from suanli.serving.sim.place import admit, decode_join, end, preempt, release
from suanli.serving.sim.pools import send, stop_if_empty
from suanli.serving.sim.prefix import evict, keep
from suanli.serving.sim.queues import finish_remove, replica_sift, wait_first
from suanli.serving.sim.record import gap, gap_once, note
from suanli.serving.sim.state import State
from suanli.serving.sim.steps import shorten, steps_s


def boundary(s: State, p: int) -> None:
    """Apply the steps of replica p that end now and plan the next ones."""
    t = s.pf[p, c.EVENT]
    if s.pi[p, c.KIND] != c.NOTHING:
        commit(s, p, t)
    s.pf[p, c.TIME] = t
    plan(s, p, t)
    if s.pi[p, c.KIND] == c.NOTHING:
        stop_if_empty(s, p, t)
    replica_sift(s, p)


def plan(s: State, p: int, t: float) -> None:
    """Compose the next step at time t.

    Continuous batching (as vLLM v1): running decodes first, then prompts within the token budget. Prefill-first:
    prompts alone as long as there are any. Static: a batch is filled, then decoded until all of it is done.

    Takes t [s].
    """
    s.pi[p, c.CHUNKS] = 0
    s.pi[p, c.TOKENS] = 0
    s.pf[p, c.PAIRS] = 0.0
    s.pf[p, c.GROWN] = 0.0
    s.pf[p, c.LOADED] = t
    policy = s.pi[p, c.POLICY]
    lost = False
    if policy == c.CONTINUOUS:
        lost = make_room(s, p)
        fill(s, p, t, s.pi[p, c.BUDGET] - s.pi[p, c.BATCH] * (1 + s.pi[p, c.DRAFTS]), not lost)
    else:
        if s.pi[p, c.RUNNING] == 0:
            s.pi[p, c.FORMING] = 1
        fill(s, p, t, s.pi[p, c.BUDGET], policy == c.PREFILL_FIRST or s.pi[p, c.FORMING] == 1)
        if s.pi[p, c.CHUNKS] == 0:
            lost = make_room(s, p)
            s.pi[p, c.FORMING] = 0
    _set_step(s, p, t, lost)


def make_room(s: State, p: int) -> bool:
    """Take KV blocks for one decode step; while there are too few, the last of the running list loses its place."""
    lost = False
    need = growth_once(s, p)
    while s.pi[p, c.BATCH] > 0 and s.pf[p, c.USED] + need > s.pf[p, c.CAPACITY]:
        preempt(s, p, s.pi[p, c.RUN_TAIL])
        lost = True
        need = growth_once(s, p)
    s.pf[p, c.USED] += need
    s.pf[p, c.GROWN] = need
    evict(s, p)
    return lost


def fill(s: State, p: int, t: float, budget: int, may_admit: bool) -> None:
    """Put prompt chunks into the step: the one under way first, then waiting requests in order.

    Takes t [s].
    """
    mixed = s.pi[p, c.POLICY] == c.CONTINUOUS
    left = budget
    r = s.pi[p, c.PARTIAL]
    if r >= 0:
        left -= chunk(s, p, r, left)
    while may_admit:
        if not mixed and s.pi[p, c.CHUNKS] > 0:
            # Prompts are not cut here, so one that does not fit beside the others waits for the next step.
            first = wait_first(s, p)
            if first >= 0 and s.ri[first, c.REMAINING] > left:
                break
        done = admit(s, p, t, left)
        if done < 0:
            break
        if done == 1 and mixed:
            left -= 1 + s.pi[p, c.DRAFTS]
            _grow_one(s, p)
        elif done == 2:
            left -= chunk(s, p, s.gi[c.ADMITTED], left)


def _grow_one(s: State, p: int) -> None:
    """Take the KV block that a request which decodes at once may need in this step."""
    need = growth_once(s, p) - s.pf[p, c.GROWN]
    if need > 0.0:
        s.pf[p, c.USED] += need
        s.pf[p, c.GROWN] += need
        evict(s, p)


def chunk(s: State, p: int, r: int, left: int) -> int:
    """Compute up to `left` tokens of the prompt of request r in this step."""
    size = min(s.ri[r, c.REMAINING], left)
    if size <= 0:
        return 0
    s.ri[r, c.CHUNK] = size
    s.pi[p, s.gi[c.CHUNK_AT] + s.pi[p, c.CHUNKS]] = r
    s.pi[p, c.CHUNKS] += 1
    s.pi[p, c.TOKENS] += size
    s.pf[p, c.PAIRS] += size * (s.ri[r, c.DONE] + 0.5 * (size + 1))
    s.pi[p, c.PARTIAL] = r if size < s.ri[r, c.REMAINING] else -1
    return int(size)


def _set_step(s: State, p: int, t: float, lost: bool) -> None:
    prompts, batch = s.pi[p, c.TOKENS], s.pi[p, c.BATCH]
    kind = c.NOTHING
    if prompts > 0:
        kind = c.MIXED if batch > 0 and s.pi[p, c.POLICY] == c.CONTINUOUS else c.PREFILL
    elif batch > 0:
        kind = c.DECODE
    s.pi[p, c.KIND] = kind
    if kind == c.NOTHING:
        s.pf[p, c.EVENT] = math.inf
        return
    s.pf[p, c.PEAK_USED] = max(s.pf[p, c.PEAK_USED], s.pf[p, c.USED])
    k = s.pi[p, c.DEPLOYMENT]
    tokens = prompts if kind == c.PREFILL else prompts + batch * (1 + s.pi[p, c.DRAFTS])
    s.pi[p, c.TOKENS] = tokens
    more, count = 0.0, 1
    if kind == c.PREFILL:
        first = s.tables[c.ROWS * k, tokens] + s.tables[c.ROWS * k + 3, 0]
    else:
        slope = s.tables[c.ROWS * k + 1, batch]
        first = s.tables[c.ROWS * k, tokens] + s.tables[c.ROWS * k + 3, batch] + slope * s.pf[p, c.CONTEXT]
        more = slope * batch * s.pf[p, c.ADVANCE]
    if prompts > 0:
        # The group with most chunks ends last; with one group that is the sum over all.
        chunks, groups = s.pi[p, c.CHUNKS], s.pi[p, c.GROUPS]
        share = ((chunks + groups - 1) // groups) / chunks
        first += s.pf[p, c.PROMPT_S] + s.pf[p, c.PAIR_S] * s.pf[p, c.PAIRS] * share
        if s.pi[p, c.OWN] == 1:
            row, last = c.ROWS * k + 4, s.tables.shape[1] - 1
            wide = tokens + math.floor(prompts * (groups * share - 1.0))
            over = max(wide - last, 0)
            own = s.tables[row, wide - over] + over * (s.tables[row, last] - s.tables[row, last - 1])
            first += own - s.tables[row, tokens]
    plain = s.pf[p, c.EXTRA] == 0.0 and s.pf[p, c.LOADED] <= t
    first = max(first, s.pf[p, c.LOADED] - t) + s.pf[p, c.EXTRA]
    s.pf[p, c.EXTRA] = 0.0
    if kind == c.DECODE and plain and not lost:
        count = (s.ri[s.pi[p, c.FINISHERS], c.REMAINING] >> c.TICKET_BITS) - s.pi[p, c.STEP]
        # Idle prefixes move out step by step, because other replicas may look for them in a shared tier.
        free = s.pf[p, c.CAPACITY] - (s.pf[p, c.USED] - s.pf[p, c.GROWN]) - s.pf[p, c.IDLE]
        count = max(room_steps(s, p, free, count), 1)
    s.pi[p, c.COUNT] = count
    s.pf[p, c.STEP_A] = first
    s.pf[p, c.STEP_B] = more
    s.pf[p, c.EVENT] = t + steps_s(first, more, count)
    waiting = wait_first(s, p)
    if waiting >= 0 and s.rf[waiting, c.SCHEDULED] < 0.0:
        shorten(s, p, s.rf[waiting, c.ARRIVED] + s.gf[c.TIMEOUT])


def commit(s: State, p: int, t: float) -> None:
    """Apply the steps under way, which end at time t.

    Takes t [s].
    """
    kind, steps, batch = s.pi[p, c.KIND], s.pi[p, c.COUNT], s.pi[p, c.BATCH]
    note(s, p, t)
    s.gi[c.STEPS] += steps
    if kind != c.PREFILL:
        gap(s, p, t)
        if steps > 1:
            s.pf[p, c.USED] += growth(s, p, steps) - s.pf[p, c.GROWN]
            s.pf[p, c.PEAK_USED] = max(s.pf[p, c.PEAK_USED], s.pf[p, c.USED])
            evict(s, p)
        s.pi[p, c.STEP] += steps
        s.pf[p, c.CONTEXT] += batch * steps * s.pf[p, c.ADVANCE]
        s.pf[p, c.LAST_DECODE] = t
        s.pi[p, c.JOINERS] = 0
        finish_decodes(s, p, t)
    base = s.gi[c.CHUNK_AT]
    for i in range(s.pi[p, c.CHUNKS]):
        r = s.pi[p, base + i]
        size = s.ri[r, c.CHUNK]
        s.ri[r, c.DONE] += size
        s.ri[r, c.REMAINING] -= size
        s.ri[r, c.CHUNK] = 0
        s.pi[p, c.AHEAD] -= size
        if s.ri[r, c.REMAINING] == 0:
            first_token(s, p, r, t)
    s.pi[p, c.KIND] = c.NOTHING


def finish_decodes(s: State, p: int, t: float) -> None:
    """End the requests whose last token came with the step that ends now.

    Takes t [s].
    """
    step = s.pi[p, c.STEP]
    while s.pi[p, c.BATCH] > 0:
        r = s.pi[p, c.FINISHERS]
        if (s.ri[r, c.REMAINING] >> c.TICKET_BITS) > step:
            break
        finish_remove(s, p, r)
        leave(s, p, r)
        release(s, p, r)
        end(s, r, max(t + late(s, p, r), s.rf[r, c.FIRST]), c.COMPLETED)


def late(s: State, p: int, r: int) -> float:
    """Time until a token of request r that replica p has computed is delivered: so many decode steps [s]."""
    steps, batch, context = s.pf[p, c.LATE], s.pi[p, c.BATCH], s.pf[p, c.CONTEXT]
    if steps == 0.0:
        return 0.0
    if batch == 0:
        batch, context = 1, float(s.ri[r, c.IN] + s.ri[r, c.OUT])
    k = s.pi[p, c.DEPLOYMENT]
    step = s.tables[c.ROWS * k, batch * (1 + s.pi[p, c.DRAFTS])] + s.tables[c.ROWS * k + 3, batch]
    return float(steps * (step + s.tables[c.ROWS * k + 1, batch] * context))


def first_token(s: State, p: int, r: int, t: float) -> None:
    """The prompt of request r is computed: it emits a token, and ends, moves to another pool or decodes on.

    Takes t [s].
    """
    wait = late(s, p, r)
    if s.ri[r, c.EMITTED] == 0:
        s.rf[r, c.FIRST] = t + wait
    else:
        gap_once(s, t - s.rf[r, c.LAST])
    s.rf[r, c.LAST] = t
    s.ri[r, c.EMITTED] += 1
    keep(s, p, r)
    if s.ri[r, c.EMITTED] >= s.ri[r, c.OUT]:
        release(s, p, r)
        end(s, r, max(t + wait, s.rf[r, c.FIRST]), c.COMPLETED)
    elif s.pi[p, c.ROLE] == c.PROMPTS:
        send(s, p, r, t)
    else:
        decode_join(s, p, r)
