"""Time to first token: service, wait and first step, against the queue simulated request by request."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.serving import ttft_s

laws = settings(deadline=None, max_examples=100)
LOAD = st.floats(0.0, 0.99)


def test_an_idle_rank_waits_for_nothing() -> None:
    assert ttft_s(0.2, 0.0, 0.02) == pytest.approx(0.22)


def test_half_use_waits_half_a_service() -> None:
    """M/D/1: W = rho S / (2 (1 - rho)); at 1/2 it is S/2, at 2/3 it is S."""
    assert ttft_s(1.0, 0.5, 0.0) == pytest.approx(1.5)
    assert ttft_s(1.0, 2 / 3, 0.0) == pytest.approx(2.0)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_against_a_simulated_queue(load: float) -> None:
    """Poisson arrivals, one server, fixed service of 1 s, Lindley's recursion over 300,000 requests."""
    gaps = np.random.default_rng(7).exponential(1.0 / load, 300_000)
    wait, total = 0.0, 0.0
    for gap in gaps:
        wait = max(0.0, wait + 1.0 - gap)
        total += wait
    assert float(ttft_s(1.0, load, 0.0)) == pytest.approx(1.0 + total / len(gaps), rel=0.03)


@laws
@given(st.floats(1e-6, 1e3), LOAD, st.floats(0.0, 1.0), st.floats(1.0, 5.0))
def test_more_prompt_or_load_never_answers_sooner(
    prompt: float, load: float, step: float, factor: float
) -> None:
    base = float(ttft_s(prompt, load, step))
    assert base >= prompt + step - 1e-12
    assert float(ttft_s(prompt * factor, load, step)) >= base * (1 - 1e-12)
    assert float(ttft_s(prompt, load / factor, step)) <= base * (1 + 1e-12)


def test_an_overloaded_rank_never_answers() -> None:
    for load in (1.0, 1.5):
        assert math.isinf(float(ttft_s(1.0, load, 0.01)))


def test_samples_broadcast() -> None:
    found = ttft_s(np.array([1.0, 0.5]), np.array([0.5, 1.0]), 0.0)
    assert found[0] == pytest.approx(1.5) and math.isinf(found[1])
