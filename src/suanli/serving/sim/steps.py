"""Decode steps in closed form: how long k of them take, and how many end before an arrival."""

from __future__ import annotations

import math

from suanli.serving.sim import columns as c
from suanli.serving.sim.queues import replica_sift
from suanli.serving.sim.state import State


def steps_s(first_s: float, more_s: float, steps: int) -> float:
    """Time of `steps` steps, each `more_s` longer than the one before: k A + B k (k - 1)/2.

    Args:
        first_s: A, the first step [s].
        more_s: B, how much longer each following one is [s].
        steps: k.

    Returns:
        The sum [s].
    """
    return first_s * steps + more_s * (0.5 * steps * (steps - 1))


def steps_until(first_s: float, more_s: float, wait_s: float, most: int) -> int:
    """The fewest steps (1 to `most`) that take at least `wait_s`: the root of the closed form, put right by hand.

    Args:
        first_s: the first step [s].
        more_s: how much longer each following one is [s].
        wait_s: the time to reach [s].
        most: the most steps.

    Returns:
        The number of steps [1].
    """
    half = first_s - 0.5 * more_s
    root = half + math.sqrt(max(half * half + 2.0 * more_s * wait_s, 0.0))
    guess = 2.0 * wait_s / root if root > 0.0 else float(most)
    k = most if guess >= most else max(int(guess), 1)
    while k > 1 and steps_s(first_s, more_s, k - 1) >= wait_s:
        k -= 1
    while k < most and steps_s(first_s, more_s, k) < wait_s:
        k += 1
    return k


def shorten(s: State, p: int, t: float) -> None:
    """Let replica p stop its run of decode steps at the first step that ends at or after time t.

    Takes t [s].
    """
    if s.pi[p, c.KIND] != c.DECODE or s.pi[p, c.COUNT] <= 1 or t >= s.pf[p, c.EVENT]:
        return
    start = s.pf[p, c.TIME]
    a, b = s.pf[p, c.STEP_A], s.pf[p, c.STEP_B]
    k = steps_until(a, b, t - start, s.pi[p, c.COUNT])
    while k > 1 and start + steps_s(a, b, k - 1) >= t:
        k -= 1
    if k < s.pi[p, c.COUNT]:
        s.pi[p, c.COUNT] = k
        s.pf[p, c.EVENT] = start + steps_s(a, b, k)
        replica_sift(s, p)
