"""Draws: the samples of a stated band, the same for the same fact, and the band of a result."""

from __future__ import annotations

import numpy as np
import pytest

from suanli.result.draws import Draws, band


def test_the_nominal_value_comes_first() -> None:
    samples = Draws(100, 1).of("a", 3.0, 1.0, 10.0)
    assert np.shape(samples) == (101,)
    assert np.asarray(samples)[0] == 3.0


def test_samples_stay_in_the_band_with_half_on_each_side() -> None:
    drawn = np.asarray(Draws(1000, 1).of("a", 3.0, 1.0, 10.0))[1:]
    assert drawn.min() >= 1.0 and drawn.max() <= 10.0
    assert np.mean(drawn < 3.0) == pytest.approx(0.5)
    # Uniform out to each end: the means of the halves stand in their middles.
    assert drawn[drawn < 3.0].mean() == pytest.approx(2.0, rel=0.01)
    assert drawn[drawn >= 3.0].mean() == pytest.approx(6.5, rel=0.01)


def test_a_latin_hypercube_has_one_sample_in_every_slice() -> None:
    drawn = np.asarray(Draws(50, 1).of("a", 0.5, 0.0, 1.0))[1:]
    assert sorted(np.floor(drawn * 50).astype(int)) == list(range(50))


def test_no_band_or_no_draws_gives_the_bare_value() -> None:
    assert Draws(100, 1).of("a", 3.0, 3.0, 3.0) == 3.0
    assert Draws(0, 1).of("a", 3.0, 1.0, 10.0) == 3.0


def test_draws_depend_on_name_and_seed_alone() -> None:
    def of(name: str, seed: int, *before: str) -> list[float]:
        draws = Draws(20, seed)
        for other in before:
            draws.of(other, 1.0, 0.0, 2.0)
        return list(np.asarray(draws.of(name, 1.0, 0.0, 2.0)))

    assert of("a", 1) == of("a", 1, "b", "c"), "the order of facts must not matter"
    assert of("a", 1) != of("b", 1)
    assert of("a", 1) != of("a", 2)


def test_two_facts_are_not_correlated() -> None:
    draws = Draws(2000, 5)
    first, second = (
        np.asarray(draws.of(name, 0.5, 0.0, 1.0))[1:] for name in ("chips/a/tdp", "chips/a/price")
    )
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.08


def test_a_one_sided_band_stays_on_its_side() -> None:
    drawn = np.asarray(Draws(100, 1).of("a", 1.0, 1.0, 2.0))
    assert drawn.min() == 1.0 and 1.9 < drawn.max() <= 2.0


def test_band_is_the_5th_and_95th_percentile() -> None:
    samples = np.concatenate(([50.0], np.arange(101.0)))
    assert band(samples) == (50.0, 5.0, 95.0)


def test_band_is_widened_to_hold_the_nominal_value() -> None:
    assert band(np.array([200.0, *np.arange(101.0)])) == (200.0, 5.0, 200.0)
    assert band(np.array([-7.0, *np.arange(101.0)])) == (-7.0, -7.0, 95.0)


def test_band_of_a_bare_number_is_the_number() -> None:
    assert band(3.0) == (3.0, 3.0, 3.0)
    assert band(np.array([3.0])) == (3.0, 3.0, 3.0)


def test_draws_that_are_no_numbers_are_left_out() -> None:
    assert band(np.array([1.0, np.nan, 2.0, np.nan, 2.0])) == (1.0, 1.0, 2.0)
    assert band(np.array([1.0, np.nan, np.nan])) == (1.0, 1.0, 1.0)
