"""Waiting times against queueing theory, at four loads. A server is a seat of a replica with constant steps.

Service is a whole number of short steps. At a load of 0.95 the mean wait of even ten million requests is off by some
per cent, so the recursion of Kiefer and Wolfowitz serves as control variate: it runs on the simulated requests and on
far more of the same kind, and the difference of the two is added. The recursion knows nothing of replicas and steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numba
import numpy as np
import pytest

from suanli.demand.traces import Trace
from suanli.serving.sim import Cluster, Replica, StepModel, simulate

STEP_S = 1e-3
MEAN_STEPS = 1000  # a mean service time of 1 s
LOADS = (0.3, 0.6, 0.8, 0.95)
SIMULATED, N = 2, 200_000
Draw = Callable[[np.random.Generator, int], np.ndarray]


@numba.njit
def waits_of(gaps: np.ndarray, service: np.ndarray, servers: int) -> np.ndarray:
    """Kiefer and Wolfowitz 1955: when each server is free, in order; an arrival takes the first (c = 1: Lindley)."""
    free = np.zeros(servers)
    waits = np.empty(gaps.size)
    now = 0.0
    for i in range(gaps.size):
        now += gaps[i]
        begin = max(now, free[0])
        waits[i] = begin - now
        end = begin + service[i]
        k = 0
        while k + 1 < servers and free[k + 1] < end:
            free[k] = free[k + 1]
            k += 1
        free[k] = end
    return waits


def sample(draw: Draw, rho: float, servers: int, seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    steps = np.maximum(np.rint(draw(rng, n) * MEAN_STEPS), 1).astype(np.int64)
    return rng.exponential(1.0 / (rho * servers), n), steps


def simulated_waits(gaps: np.ndarray, steps: np.ndarray, servers: int) -> np.ndarray:
    trace = Trace(np.cumsum(gaps), np.ones(steps.size, dtype=np.int64), steps)
    one = Replica(
        StepModel.constant(STEP_S), kv_tokens=10**9, max_num_seqs=servers, max_batched_tokens=servers
    )
    outcome = simulate(trace, Cluster((one,)))
    assert outcome.completed.all()
    return outcome.queue_s


def mean_wait(draw: Draw, rho: float, servers: int = 1) -> tuple[float, float]:
    """Mean wait, and the second moment of the service times [s2]."""
    own, control = [], []
    for seed in range(SIMULATED):
        gaps, steps = sample(draw, rho, servers, seed, N)
        own.append(simulated_waits(gaps, steps, servers).mean())
        control.append(waits_of(gaps, steps * STEP_S, servers).mean())
        if servers == 1:  # with one seat each single wait is that of Lindley's recursion
            found = simulated_waits(gaps[:1000], steps[:1000], 1)
            np.testing.assert_allclose(found, waits_of(gaps[:1000], steps[:1000] * STEP_S, 1), atol=1e-8)
    many, second = [], []
    for seed in range(24 if rho > 0.9 else 6):
        gaps, steps = sample(draw, rho, servers, 100 + seed, 2_000_000)
        many.append(waits_of(gaps, steps * STEP_S, servers)[20_000:].mean())
        second.append(float(np.mean((steps * STEP_S) ** 2)))
    return float(np.mean(own) - np.mean(control) + np.mean(many)), float(np.mean(second))


def exponential(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.exponential(1.0, n)


def constant(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.ones(n)


def mixed(rng: np.random.Generator, n: int) -> np.ndarray:
    """A mixture of two exponentials of mean 1 whose squared coefficient of variation is 4."""
    share = 0.5 * (1.0 + math.sqrt(3.0 / 5.0))
    fast = rng.random(n) < share
    return rng.exponential(1.0, n) * np.where(fast, 0.5 / share, 0.5 / (1.0 - share))


@pytest.mark.parametrize("rho", LOADS)
def test_m_m_1(rho: float) -> None:
    wait, _ = mean_wait(exponential, rho)
    assert wait == pytest.approx(rho / (1.0 - rho), rel=0.02)


@pytest.mark.parametrize("rho", LOADS)
def test_m_d_1(rho: float) -> None:
    wait, _ = mean_wait(constant, rho)
    assert wait == pytest.approx(rho / (2.0 * (1.0 - rho)), rel=0.02)


@pytest.mark.parametrize("rho", LOADS)
def test_m_g_1(rho: float) -> None:
    wait, second = mean_wait(mixed, rho)
    assert second == pytest.approx(5.0, rel=0.02)
    assert wait == pytest.approx(rho * 5.0 / (2.0 * (1.0 - rho)), rel=0.02)  # Pollaczek-Khinchine


@pytest.mark.parametrize("rho", LOADS)
def test_m_m_c(rho: float) -> None:
    """Four servers are the four seats of a replica whose step does not depend on the batch."""
    wait, _ = mean_wait(exponential, rho, 4)
    assert wait == pytest.approx(erlang_c_wait(4, rho) + STEP_S * boundary_share(4, rho), rel=0.02)


def erlang_c_wait(servers: int, rho: float) -> float:
    """Mean wait of M/M/c with mean service 1: C/(c (1 - rho)), C the Erlang C probability of waiting."""
    states, tail = erlang_states(servers, rho)
    return tail / (sum(states) + tail) / (servers * (1.0 - rho))


def boundary_share(servers: int, rho: float) -> float:
    """Steps that an arrival at a busy replica with a free seat waits: half of one, for the next boundary."""
    states, tail = erlang_states(servers, rho)
    return 0.5 * sum(states[1:]) / (sum(states) + tail)


def erlang_states(servers: int, rho: float) -> tuple[list[float], float]:
    offered = servers * rho
    states = [offered**k / math.factorial(k) for k in range(servers)]
    return states, offered**servers / math.factorial(servers) / (1.0 - rho)
