"""The fleet: capacity meets demand, whole systems are installed, a fixed fleet keeps its split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.serving import fleet_size

laws = settings(deadline=None, max_examples=100)
RATE = st.floats(1.0, 1e8)
LOAD = st.floats(0.1, 1.0)
PEAK = st.floats(1.0, 5.0)


@laws
@given(RATE, RATE, RATE, RATE, st.integers(1, 384), LOAD, LOAD, PEAK)
def test_capacity_at_the_load_factor_is_the_demand(
    prefill: float, decode: float, fill: float, run: float, chips: int, busy: float, full: float, peak: float
) -> None:
    size = fleet_size(prefill, decode, fill, run, chips, busy, full, peak)
    assert size.prefill_nodes * chips * fill * busy == pytest.approx(prefill, rel=1e-9)
    assert size.decode_nodes * chips * run * full == pytest.approx(decode, rel=1e-9)
    assert size.nodes == pytest.approx(float(size.prefill_nodes + size.decode_nodes), rel=1e-12)


@laws
@given(RATE, RATE, RATE, RATE, st.integers(1, 384), LOAD, LOAD, PEAK)
def test_installed_systems_are_whole_and_cover_the_peak(
    prefill: float, decode: float, fill: float, run: float, chips: int, busy: float, full: float, peak: float
) -> None:
    size = fleet_size(prefill, decode, fill, run, chips, busy, full, peak)
    installed, needed = float(size.installed_nodes), float(size.nodes) * peak
    assert installed == int(installed) >= 1
    assert installed >= needed * (1 - 1e-9) - 1e-9
    assert installed < needed + 1 + 1e-9 or installed == 1.0


@laws
@given(RATE, RATE, RATE, RATE, st.floats(1.0, 1e4))
def test_a_fixed_fleet_keeps_the_split(
    prefill: float, decode: float, fill: float, run: float, nodes: float
) -> None:
    free = fleet_size(prefill, decode, fill, run, 8, 0.6, 0.9, 1.5)
    fixed = fleet_size(prefill, decode, fill, run, 8, 0.6, 0.9, 1.5, nodes=nodes)
    assert float(fixed.nodes) == nodes
    assert fixed.prefill_nodes + fixed.decode_nodes == pytest.approx(nodes, rel=1e-9)
    assert fixed.prefill_nodes / nodes == pytest.approx(float(free.prefill_nodes / free.nodes), rel=1e-9)


@pytest.mark.parametrize("nodes", [1, 2, 3, 7, 226, 278, 1000])
def test_exactly_n_nodes_are_n(nodes: int) -> None:
    """The last digit of a float buys no system: 0.1 + 0.2 must not install one more."""
    for share in (0.05, 0.1, 0.3, 1 / 3, 0.35, 0.7, 0.85):
        for rate in (3.0, 7.0, 11.0, 13.0):
            demand = nodes * 8.0 * rate * 0.7
            size = fleet_size(demand * share, demand * (1 - share), rate, rate, 8, 0.7, 0.7, 1.0)
            assert float(size.installed_nodes) == nodes, (share, rate, float(size.nodes))


def test_the_published_peak_of_deepseek() -> None:
    """226.75 nodes on average and 278 at the peak (open-infra-index, day 6): what must stand there is 278."""
    size = fleet_size(1.0, 1.0, 1.0, 1.0, 8, 1.0, 1.0, 278 / 226.75, nodes=226.75)
    assert float(size.installed_nodes) == 278


def test_samples_broadcast() -> None:
    size = fleet_size(1e6, 1e5, np.array([5e3, 6e3]), 2e3, 8, 0.6, np.array([0.8, 0.9]), 1.5)
    assert size.nodes.shape == size.installed_nodes.shape == (2,)
    assert np.all(np.isnan(fleet_size(1e6, 1e5, np.array([np.nan]), 2e3, 8, 0.6, 0.9, 1.5).nodes))
