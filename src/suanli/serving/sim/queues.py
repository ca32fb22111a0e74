"""Lists and heaps of the event loop: waiting lists by priority, running list, finish heap, replica and event heaps."""

from __future__ import annotations

from suanli.serving.sim import columns as c
from suanli.serving.sim.state import State


def wait_push(s: State, p: int, r: int) -> None:
    """Put request r on replica p's waiting list: by class, inside a class in order of arrival."""
    head = s.gi[c.QUEUE_AT] + 2 * s.ri[r, c.CLASS]
    tail = head + 1
    ticket = s.ri[r, c.TICKET]
    after = s.pi[p, tail]
    if after >= 0 and s.ri[after, c.TICKET] > ticket:
        # A preempted request comes back near the head, a transferred one near the tail.
        first = s.pi[p, head]
        if s.ri[r, c.PREEMPTED] > 0:
            before = first
            while before >= 0 and s.ri[before, c.TICKET] < ticket:
                before = s.ri[before, c.NEXT]
            after = s.ri[before, c.PREV]
        else:
            while after >= 0 and s.ri[after, c.TICKET] > ticket:
                after = s.ri[after, c.PREV]
    before = s.pi[p, head] if after < 0 else s.ri[after, c.NEXT]
    s.ri[r, c.PREV] = after
    s.ri[r, c.NEXT] = before
    if after < 0:
        s.pi[p, head] = r
    else:
        s.ri[after, c.NEXT] = r
    if before < 0:
        s.pi[p, tail] = r
    else:
        s.ri[before, c.PREV] = r
    s.pi[p, c.QUEUED] += 1


def wait_first(s: State, p: int) -> int:
    """Return the request that is next on replica p, or -1."""
    base = s.gi[c.QUEUE_AT]
    for k in range(s.gi[c.CLASSES]):
        r = s.pi[p, base + 2 * k]
        if r >= 0:
            return int(r)
    return -1


def wait_remove(s: State, p: int, r: int) -> None:
    """Take request r off replica p's waiting list."""
    head = s.gi[c.QUEUE_AT] + 2 * s.ri[r, c.CLASS]
    before, after = s.ri[r, c.PREV], s.ri[r, c.NEXT]
    if before < 0:
        s.pi[p, head] = after
    else:
        s.ri[before, c.NEXT] = after
    if after < 0:
        s.pi[p, head + 1] = before
    else:
        s.ri[after, c.PREV] = before
    s.pi[p, c.QUEUED] -= 1


def run_push(s: State, p: int, r: int) -> None:
    """Put request r on the running list, which is kept in order of class and arrival: the last one loses first."""
    after = s.pi[p, c.RUN_TAIL]
    while after >= 0 and (
        s.ri[after, c.CLASS] > s.ri[r, c.CLASS]
        or (s.ri[after, c.CLASS] == s.ri[r, c.CLASS] and s.ri[after, c.TICKET] > s.ri[r, c.TICKET])
    ):
        after = s.ri[after, c.PREV]
    before = s.pi[p, c.RUN_HEAD] if after < 0 else s.ri[after, c.NEXT]
    s.ri[r, c.PREV] = after
    s.ri[r, c.NEXT] = before
    if after < 0:
        s.pi[p, c.RUN_HEAD] = r
    else:
        s.ri[after, c.NEXT] = r
    if before < 0:
        s.pi[p, c.RUN_TAIL] = r
    else:
        s.ri[before, c.PREV] = r
    s.pi[p, c.RUNNING] += 1
    s.pf[p, c.PROMISED] += s.ri[r, c.PROMISE]


def run_remove(s: State, p: int, r: int) -> None:
    """Take request r off the running list."""
    before, after = s.ri[r, c.PREV], s.ri[r, c.NEXT]
    if before < 0:
        s.pi[p, c.RUN_HEAD] = after
    else:
        s.ri[before, c.NEXT] = after
    if after < 0:
        s.pi[p, c.RUN_TAIL] = before
    else:
        s.ri[after, c.PREV] = before
    s.pi[p, c.RUNNING] -= 1
    s.pf[p, c.PROMISED] -= s.ri[r, c.PROMISE]


def finish_sift(s: State, p: int, i: int) -> None:
    """Restore the finish heap of replica p around place i; HEAP holds places, the key is the step of the last token."""
    at, size = c.FINISHERS, s.pi[p, c.BATCH]
    r = s.pi[p, at + i]
    key = s.ri[r, c.REMAINING]
    while i > 0:
        up = (i - 1) // 2
        if s.ri[s.pi[p, at + up], c.REMAINING] <= key:
            break
        s.pi[p, at + i] = s.pi[p, at + up]
        s.ri[s.pi[p, at + i], c.HEAP] = i
        i = up
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if (
            child + 1 < size
            and s.ri[s.pi[p, at + child + 1], c.REMAINING] < s.ri[s.pi[p, at + child], c.REMAINING]
        ):
            child += 1
        if s.ri[s.pi[p, at + child], c.REMAINING] >= key:
            break
        s.pi[p, at + i] = s.pi[p, at + child]
        s.ri[s.pi[p, at + i], c.HEAP] = i
        i = child
    s.pi[p, at + i] = r
    s.ri[r, c.HEAP] = i


def finish_remove(s: State, p: int, r: int) -> None:
    """Take request r out of the finish heap of replica p, and out of the batch."""
    i = s.ri[r, c.HEAP]
    s.pi[p, c.BATCH] -= 1
    last = s.pi[p, c.BATCH]
    if i != last:
        s.pi[p, c.FINISHERS + i] = s.pi[p, c.FINISHERS + last]
        finish_sift(s, p, i)


def replica_sift(s: State, p: int) -> None:
    """Restore the heap of replicas after replica p's next event changed; ties go to the lower index."""
    n = s.pi.shape[0]
    i = s.pi[p, c.PLACE]
    t = s.pf[p, c.EVENT]
    while i > 0:
        up = (i - 1) // 2
        q = s.pi[up, c.HEAPED]
        if s.pf[q, c.EVENT] < t or (s.pf[q, c.EVENT] == t and q < p):
            break
        s.pi[i, c.HEAPED] = q
        s.pi[q, c.PLACE] = i
        i = up
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        q = s.pi[child, c.HEAPED]
        if child + 1 < n:
            other = s.pi[child + 1, c.HEAPED]
            if s.pf[other, c.EVENT] < s.pf[q, c.EVENT] or (
                s.pf[other, c.EVENT] == s.pf[q, c.EVENT] and other < q
            ):
                child += 1
                q = other
        if t < s.pf[q, c.EVENT] or (t == s.pf[q, c.EVENT] and p < q):
            break
        s.pi[i, c.HEAPED] = q
        s.pi[q, c.PLACE] = i
        i = child
    s.pi[i, c.HEAPED] = p
    s.pi[p, c.PLACE] = i


def event_push(s: State, t: float, r: int) -> None:
    """Add request r to the event heap at time t; ties go to the lower request.

    Takes t [s].
    """
    i = s.gi[c.EVENTS]
    s.gi[c.EVENTS] = i + 1
    while i > 0:
        up = (i - 1) // 2
        if s.rf[up, c.ENTRY_AT] < t or (s.rf[up, c.ENTRY_AT] == t and s.ri[up, c.ENTRY] < r):
            break
        s.rf[i, c.ENTRY_AT] = s.rf[up, c.ENTRY_AT]
        s.ri[i, c.ENTRY] = s.ri[up, c.ENTRY]
        i = up
    s.rf[i, c.ENTRY_AT] = t
    s.ri[i, c.ENTRY] = r


def event_pop(s: State) -> int:
    """Take the earliest entry off the event heap and return its request."""
    top = s.ri[0, c.ENTRY]
    n = s.gi[c.EVENTS] - 1
    s.gi[c.EVENTS] = n
    t, r = s.rf[n, c.ENTRY_AT], s.ri[n, c.ENTRY]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        other = child + 1
        if other < n and (
            s.rf[other, c.ENTRY_AT] < s.rf[child, c.ENTRY_AT]
            or (
                s.rf[other, c.ENTRY_AT] == s.rf[child, c.ENTRY_AT]
                and s.ri[other, c.ENTRY] < s.ri[child, c.ENTRY]
            )
        ):
            child = other
        if t < s.rf[child, c.ENTRY_AT] or (t == s.rf[child, c.ENTRY_AT] and r < s.ri[child, c.ENTRY]):
            break
        s.rf[i, c.ENTRY_AT] = s.rf[child, c.ENTRY_AT]
        s.ri[i, c.ENTRY] = s.ri[child, c.ENTRY]
        i = child
    s.rf[i, c.ENTRY_AT] = t
    s.ri[i, c.ENTRY] = r
    return int(top)
