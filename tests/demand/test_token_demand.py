"""A day of tokens: requests, lengths and rates that give the day back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.demand import token_demand

TOKENS = st.floats(1e3, 1e14)
LENGTH = st.floats(1.0, 1e6)
SHARE = st.floats(0.0, 1.0)
laws = settings(deadline=None, max_examples=100)


@laws
@given(TOKENS, TOKENS, SHARE, LENGTH)
def test_requests_times_lengths_give_the_day_back(
    inputs: float, outputs: float, hit: float, context: float
) -> None:
    found = token_demand(inputs, outputs, hit, mean_context_tokens=context)
    assert found.requests_per_day * found.input_tokens == pytest.approx(inputs, rel=1e-9)
    assert found.requests_per_day * found.output_tokens == pytest.approx(outputs, rel=1e-9)


@laws
@given(TOKENS, TOKENS, SHARE, LENGTH)
def test_every_token_is_computed_or_cached(inputs: float, outputs: float, hit: float, prompt: float) -> None:
    found = token_demand(inputs, outputs, hit, mean_input_tokens=prompt)
    assert (found.prefill_tokens_per_s + found.cached_tokens_per_s) * 86400 == pytest.approx(inputs, rel=1e-9)
    assert found.decode_tokens_per_s * 86400 == pytest.approx(outputs, rel=1e-9)
    assert found.prefill_tokens_per_s >= 0.0


@laws
@given(TOKENS, TOKENS, LENGTH)
def test_prompt_and_context_are_two_ways_to_say_the_same(
    inputs: float, outputs: float, prompt: float
) -> None:
    by_prompt = token_demand(inputs, outputs, 0.5, mean_input_tokens=prompt)
    by_context = token_demand(inputs, outputs, 0.5, mean_context_tokens=by_prompt.context_tokens)
    for name in ("input_tokens", "output_tokens", "context_tokens", "requests_per_day"):
        assert getattr(by_context, name) == pytest.approx(getattr(by_prompt, name), rel=1e-9), name


@laws
@given(st.integers(1, 3000), st.integers(1, 3000))
def test_mean_context_is_the_mean_over_the_steps_of_an_answer(prompt: int, answer: int) -> None:
    """Step k of an answer looks back on the prompt and the k tokens before it: counted, not derived."""
    found = token_demand(1e6 * prompt, 1e6 * answer, 0.0, mean_input_tokens=prompt)
    counted = np.mean(prompt + np.arange(answer))
    assert found.context_tokens == pytest.approx(counted, abs=0.5 + 1e-9)


@laws
@given(TOKENS, TOKENS, SHARE, LENGTH, st.floats(0.01, 100))
def test_scale(inputs: float, outputs: float, hit: float, prompt: float, factor: float) -> None:
    one = token_demand(inputs, outputs, hit, mean_input_tokens=prompt)
    more = token_demand(inputs * factor, outputs * factor, hit, mean_input_tokens=prompt)
    assert more.requests_per_day == pytest.approx(one.requests_per_day * factor, rel=1e-9)
    assert more.context_tokens == pytest.approx(one.context_tokens, rel=1e-9)


def test_the_published_day_of_deepseek() -> None:
    """608 B in, 168 B out, mean KV length 4,989 (open-infra-index, day 6): O/I = 0.2763, so I = 4989/1.13816."""
    found = token_demand(608e9, 168e9, 342 / 608, mean_context_tokens=4989.0)
    assert found.input_tokens == pytest.approx(4383.4, abs=0.1)
    assert found.output_tokens == pytest.approx(1211.2, abs=0.1)
    assert found.prefill_tokens_per_s == pytest.approx(266e9 / 86400)


def test_lengths_that_are_given_are_kept() -> None:
    found = token_demand(
        4e9, 1e9, 0.0, mean_input_tokens=2000.0, mean_output_tokens=500.0, mean_context_tokens=2600.0
    )
    assert (found.input_tokens, found.output_tokens, found.context_tokens) == (2000.0, 500.0, 2600.0)


def test_arrays_broadcast() -> None:
    found = token_demand(np.full((3, 1), 1e9), 1e8, np.linspace(0, 1, 4), mean_input_tokens=1000.0)
    assert found.prefill_tokens_per_s.shape == (3, 4)
    assert np.all(np.diff(found.prefill_tokens_per_s, axis=1) < 0)


def test_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="mean_context_tokens or mean_input_tokens"):
        token_demand(1e9, 1e8, 0.0)
