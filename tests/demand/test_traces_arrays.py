"""Traces as arrays and arrival generators: rates, repeats, variation, the day's curve, sessions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.demand import arrivals
from suanli.demand.traces import (
    Trace,
    at_rate,
    first,
    from_rows,
    infinite_cache_reuse,
    resized,
    scaled_lengths,
)
from suanli.errors import InputError


def trace(n: int = 10_000) -> Trace:
    ones = np.ones(n, dtype=np.int64)
    return Trace(np.arange(n, dtype=float), 100 * ones, 10 * ones)


@given(rate=st.floats(0.01, 1e4), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_poisson_has_its_rate_and_variation(rate: float, seed: int) -> None:
    gaps = np.diff(arrivals.poisson(trace(), rate, seed).arrival_s)
    assert gaps.mean() == pytest.approx(1.0 / rate, rel=0.06)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("variation", [0.0, 0.5, 2.0])
def test_gamma_has_its_variation(variation: float) -> None:
    gaps = np.diff(arrivals.gamma(trace(100_000), 5.0, variation, 1).arrival_s)
    assert gaps.mean() == pytest.approx(0.2, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(variation, abs=0.05)


def test_diurnal_follows_a_sine() -> None:
    made = arrivals.diurnal(trace(200_000), 200_000 / 86400.0, 1.8, 3)
    hours = np.histogram(made.arrival_s, bins=24, range=(0.0, 86400.0))[0] / (200_000 / 24)
    middle = np.sin(2.0 * np.pi * (np.arange(24) + 0.5) / 24.0)
    np.testing.assert_allclose(hours, 1.0 + 0.8 * middle, atol=0.06)


@given(times=st.integers(1, 4), extra=st.integers(0, 4))
def test_repeats_have_fresh_prefixes(times: int, extra: int) -> None:
    blocks = [[0, 1], [0, 2], [0, 1], [3], [0]]
    base = from_rows(np.arange(5.0), np.full(5, 1000), np.full(5, 3), blocks=blocks)
    made = resized(base, 5 * times + extra)
    assert len(made) == 5 * times + extra
    assert np.all(np.diff(made.arrival_s) >= 0.0)
    whole = first(made, 5 * times)
    assert infinite_cache_reuse(whole) == pytest.approx(infinite_cache_reuse(base))


def test_too_few_requests_are_an_error_without_wrap() -> None:
    with pytest.raises(InputError, match="has 5 requests, 9 were asked for"):
        resized(trace(5), 9, wrap=False)


def test_rate_and_lengths() -> None:
    made = scaled_lengths(at_rate(trace(101), 4.0), 0.5, 3.0)
    assert made.duration_s == pytest.approx(25.0)
    assert made.input_tokens[0] == 50
    assert made.output_tokens[0] == 30
    assert scaled_lengths(made, 1e-6, 1e-6).input_tokens.min() == 1


def test_closed_loop_links_clients() -> None:
    made = arrivals.closed_loop(trace(7), 3, 0.5)
    assert made.follows.tolist() == [-1, -1, -1, 0, 1, 2, 3]
    assert np.isnan(made.arrival_s).tolist() == [False] * 3 + [True] * 4


def test_agents_grow_their_prompt() -> None:
    made = arrivals.agents(
        50, 5, 1.0, first_input_tokens=800, turn_input_tokens=200, output_tokens=100, tool_wait_s=2.0, seed=4,
        shared_tokens=1024, block_tokens=256,
    )  # fmt: skip
    later = made.follows >= 0
    before = made.follows[later]
    grown = made.input_tokens[before] + made.output_tokens[before]
    assert np.all(made.input_tokens[later] > grown)
    # A turn shares all whole blocks of the prompt before it, and the system prompt is the same for all.
    rows = [
        made.block_ids[a:b].tolist() for a, b in zip(made.block_start[:-1], made.block_start[1:], strict=True)
    ]
    for now, last in zip(np.flatnonzero(later), before, strict=True):
        assert rows[now][: len(rows[last])] == rows[last]
    assert all(row[:4] == [0, 1, 2, 3] for row in rows)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"arrival_s": np.array([1.0, 0.5])}, "must rise"),
        ({"arrival_s": np.array([-1.0, 0.5])}, "not be negative"),
        ({"input_tokens": np.array([0, 5])}, "at least one token"),
        ({"output_tokens": np.array([5])}, "differ in number"),
    ],
)
def test_traces_that_cannot_be(fields: dict, words: str) -> None:
    given_fields = {
        "arrival_s": np.array([0.0, 1.0]),
        "input_tokens": np.array([1, 1]),
        "output_tokens": np.array([1, 1]),
    }
    with pytest.raises(InputError, match=words):
        Trace(**(given_fields | fields))
