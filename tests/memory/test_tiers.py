"""Memory tiers: load time, break-even against computing again, cost over a run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.memory.tiers import break_even_tokens, load_s, run_cost_usd

positive = st.floats(1e-3, 1e3)


def test_load_time_by_hand() -> None:
    assert load_s(64e9, 32e9, 0.5) == pytest.approx(2.5)
    assert load_s(64e9, math.inf, 0.0) == 0.0


@given(positive, positive, positive, positive)
def test_break_even_is_where_both_take_the_same_time(token_s, kv_bytes, bandwidth, latency_s) -> None:
    tokens = float(break_even_tokens(token_s, kv_bytes, bandwidth, latency_s))
    if math.isinf(tokens):
        assert token_s <= kv_bytes / bandwidth
    else:
        load = float(load_s(tokens * kv_bytes, bandwidth, latency_s))
        assert tokens * token_s == pytest.approx(load, rel=1e-6, abs=latency_s * 1e-6)


def test_a_slow_tier_never_pays() -> None:
    assert math.isinf(float(break_even_tokens(1e-5, 1e6, 1e9, 1e-3)))


def test_run_cost_by_hand() -> None:
    # 1 TB at 10 USD/GB for a day of five years.
    five_years = 5 * 365.25 * 86400.0
    assert run_cost_usd(10e-9, 1e12, 86400.0, five_years) == pytest.approx(10_000 / (5 * 365.25))
