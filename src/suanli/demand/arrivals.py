"""Arrival generators: Poisson, gamma with a coefficient of variation, a day's curve, closed loop, multi-turn agents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suanli.demand.traces import Trace
from suanli.errors import InputError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def poisson(trace: Trace, rate_per_s: float, seed: int) -> Trace:
    """Replace arrivals by a Poisson process, first arrival at 0.

    Args:
        trace: lengths.
        rate_per_s: mean rate [1/s].
        seed: of the draws.
    """
    return gamma(trace, rate_per_s, 1.0, seed)


def gamma(trace: Trace, rate_per_s: float, variation: float, seed: int) -> Trace:
    """Replace arrivals by a renewal process with gamma gaps of mean 1/rate and the given coefficient of variation.

    Args:
        trace: lengths.
        rate_per_s: mean rate [1/s].
        variation: standard deviation of a gap over its mean [1]; 1 is Poisson, above 1 is bursty, 0 is regular.
        seed: of the draws.

    Raises:
        InputError: a rate that is not positive, or a negative variation.
    """
    if rate_per_s <= 0.0 or variation < 0.0:
        raise InputError(
            f"arrivals: rate {rate_per_s:g}/s must be positive and variation {variation:g} not negative"
        )
    gaps = np.full(len(trace), 1.0 / rate_per_s)
    if variation > 0.0:
        shape = 1.0 / variation**2
        gaps = np.random.default_rng(seed).gamma(shape, 1.0 / (rate_per_s * shape), len(trace))
    return _with_arrivals(trace, np.cumsum(gaps) - gaps[:1])


def diurnal(
    trace: Trace, mean_rate_per_s: float, peak_to_mean: float, seed: int, period_s: float = 86400.0
) -> Trace:
    """Replace arrivals by a Poisson process whose rate follows a sine over the day: r (1 + (p - 1) sin).

    The draws are a Poisson process in operational time, mapped through the inverse of the cumulated rate.

    Args:
        trace: lengths.
        mean_rate_per_s: r, mean rate [1/s].
        peak_to_mean: p, from 1 to 2 [1].
        seed: of the draws.
        period_s: length of the cycle [s]; it starts at the mean, rising.

    Raises:
        InputError: a peak outside 1 ... 2 times the mean.

    Reference:
        E. Cinlar, "Introduction to Stochastic Processes", 1975, section 4.7 (time change of a Poisson process).
    """
    if not 1.0 <= peak_to_mean <= 2.0:
        raise InputError(f"arrivals: peak over mean must lie in 1 ... 2 for a sine, not {peak_to_mean:g}")
    gaps = np.random.default_rng(seed).exponential(1.0 / mean_rate_per_s, len(trace))
    clock = np.cumsum(gaps) - gaps[:1]
    swing, turn = (peak_to_mean - 1.0) * period_s / (2.0 * np.pi), 2.0 * np.pi / period_s
    low, high = clock - 2.0 * swing, clock + 2.0 * swing
    for _ in range(60):  # bisection: the cumulated rate t + swing (1 - cos) rises
        middle = 0.5 * (low + high)
        below = middle + swing * (1.0 - np.cos(turn * middle)) < clock
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    found = np.maximum.accumulate(0.5 * (low + high))
    return _with_arrivals(trace, np.maximum(found - found[:1], 0.0))


def closed_loop(trace: Trace, clients: int, think_s: float = 0.0) -> Trace:
    """Let N clients send the requests in turn, each its next one `think_s` after its last one ended.

    Args:
        trace: lengths; request i belongs to client i mod N.
        clients: N.
        think_s: time between an answer and the next request [s].

    Raises:
        InputError: no client.
    """
    if clients < 1:
        raise InputError(f"arrivals: a closed loop needs at least one client, not {clients}")
    n = len(trace)
    follows = np.arange(n, dtype=np.int64) - clients
    follows[follows < 0] = -1
    arrivals = np.where(follows < 0, 0.0, np.nan)
    return replace(trace, arrival_s=arrivals, follows=follows, delay_s=np.full(n, float(think_s)))


def agents(
    sessions: int,
    turns: int,
    rate_per_s: float,
    *,
    first_input_tokens: float,
    turn_input_tokens: float,
    output_tokens: float,
    tool_wait_s: float,
    seed: int,
    shared_tokens: int = 0,
    block_tokens: int = 512,
) -> Trace:
    """Generate multi-turn agents: each turn's prompt is all that came before, an answer, a tool result.

    Session starts are Poisson; turns are geometric, lengths and tool waits exponential, all with the given means. Every
    prompt block is the same as in the turn before it as far as that went, so a prefix cache can answer it.

    Args:
        sessions: how many sessions.
        turns: mean turns of a session [1].
        rate_per_s: session starts [1/s].
        first_input_tokens: mean first prompt beside the shared part [token].
        turn_input_tokens: mean new tokens a turn (tool result, user) [token].
        output_tokens: mean answer [token].
        tool_wait_s: mean time between an answer and the next turn [s].
        seed: of the draws.
        shared_tokens: a system prompt that all sessions share [token].
        block_tokens: tokens of a prefix block [token].

    Returns:
        The trace, sessions one after the other.
    """
    rng = np.random.default_rng(seed)
    starts = np.cumsum(rng.exponential(1.0 / rate_per_s, sessions))
    rounds = rng.geometric(1.0 / max(turns, 1), sessions)
    n = int(rounds.sum())
    first = np.concatenate([[0], np.cumsum(rounds)[:-1]])
    opening = np.zeros(n, dtype=bool)
    opening[first] = True
    outputs = 1 + rng.exponential(output_tokens, n).astype(np.int64)
    mean = np.where(opening, first_input_tokens, turn_input_tokens)
    added = 1 + (rng.exponential(1.0, n) * mean).astype(np.int64)
    session = np.repeat(np.arange(sessions), rounds)
    grown = added + np.where(opening, shared_tokens, np.roll(outputs, 1))
    total = np.cumsum(grown)
    inputs = total - (total - grown)[first][session]
    lengths = (
        inputs // block_tokens
    )  # whole blocks only: the end of a prompt is not the same in the next turn
    start = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(int(start[-1])) - np.repeat(start[:-1], lengths)
    common = shared_tokens // block_tokens
    longest = int(lengths.max(initial=0)) + 1
    own = np.repeat(session, lengths) * longest + within + common
    return Trace(
        np.where(opening, np.repeat(starts, rounds), np.nan),
        inputs,
        outputs,
        follows=np.where(opening, -1, np.arange(n) - 1),
        delay_s=rng.exponential(tool_wait_s, n) if tool_wait_s > 0.0 else np.zeros(n),
        block_ids=np.where(within < common, within, own),
        block_start=start,
        block_tokens=block_tokens,
        name="agents",
    )


def _with_arrivals(trace: Trace, arrival_s: Array) -> Trace:
    none: Ints = np.zeros(0, dtype=np.int64)
    return replace(trace, arrival_s=arrival_s, follows=none, delay_s=np.zeros(0))
