"""Chains: energy adds up, redundancy sets the load, and what the published comparisons say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InputError, UnknownIdError
from suanli.power import (
    CHAINS,
    Converter,
    QuadraticLoss,
    Stage,
    find_chain,
    grid_to_chip,
    rebase_it_w,
    size_stages,
    walk,
    with_redundancy,
)

names = st.sampled_from(sorted(CHAINS))


@settings(deadline=None)
@given(name=names, fraction=st.floats(0.0, 1.0), headroom=st.floats(1.0, 2.0))
def test_losses_add_up_and_stages_join(converters, name, fraction, headroom) -> None:
    sized = size_stages(CHAINS[name].facility, converters, 5e6, headroom)
    flow = walk(sized, fraction * 5e6)
    assert sum(stage.loss_w for stage in flow.stages) == pytest.approx(flow.source_w - flow.load_w, rel=1e-12)
    assert flow.stages[-1].output_w == flow.load_w
    for upper, lower in zip(flow.stages, flow.stages[1:], strict=False):
        assert upper.output_w == lower.input_w
    assert all(stage.loss_w >= 0.0 for stage in flow.stages)


@settings(deadline=None)
@given(name=names, fraction=st.floats(0.01, 0.99), step=st.floats(0.001, 0.5))
def test_more_load_draws_more(converters, name, fraction, step) -> None:
    sized = size_stages(CHAINS[name].facility, converters, 5e6)
    drawn = walk(sized, 5e6 * np.array([fraction, fraction + step])).source_w
    assert drawn[1] - drawn[0] > 5e6 * step


@settings(deadline=None)
@given(name=names, fraction=st.floats(0.0, 1.0), scale=st.floats(1e-3, 1e4))
def test_efficiency_does_not_know_the_size_of_the_site(converters, name, fraction, scale) -> None:
    small = grid_to_chip(CHAINS[name], converters, fraction)
    large = grid_to_chip(CHAINS[name], converters, fraction, design_chip_w=1e6 * scale)
    assert large.efficiency == pytest.approx(small.efficiency, rel=1e-9)


def test_two_paths_load_each_unit_at_half(converters) -> None:
    flow = walk(size_stages(CHAINS["ups-double-conversion"].facility, converters, 1e6), 0.7e6)
    loads = {stage.name: float(stage.load_fraction) for stage in flow.stages}
    assert loads["switchgear and busway"] == pytest.approx(0.35)
    assert loads["double-conversion UPS"] == pytest.approx(0.35, rel=0.01)


def test_redundancy_override_moves_the_load_point(converters) -> None:
    chain = CHAINS["ups-double-conversion"]
    flow = walk(size_stages(with_redundancy(chain, "N").facility, converters, 1e6), 1e6)
    assert [float(stage.load_fraction) for stage in flow.stages] == pytest.approx([1.0] * 3)
    shared = walk(size_stages(with_redundancy(chain, "4N3").facility, converters, 1e6), 1e6)
    assert [float(stage.load_fraction) for stage in shared.stages] == pytest.approx([0.75] * 3)
    with pytest.raises(InputError, match="not known"):
        with_redundancy(chain, "3x")


def test_ups_chain_by_hand() -> None:
    # Two stages with a = 1 %, c = 2 %, at half load of 2 x 100 kW: loss = 200 (0.01 + 0.02 x^2) kW.
    device = Converter("device", QuadraticLoss(0.01, 0.0, 0.02))
    stages = (Stage("upper", "device", "N"), Stage("lower", "device", "2N"))
    sized = size_stages(stages, {"device": device}, 100e3)
    flow = walk(sized, 100e3)
    lower = 100e3 + 200e3 * (0.01 + 0.02 * 0.25)
    assert flow.stages[1].input_w == pytest.approx(lower)
    assert flow.source_w == pytest.approx(lower + lower * 0.03)


def test_dc_against_ac_is_small_as_wp127_found(converters) -> None:
    # Schneider white paper 127 (rev. 3): AC and DC distribution have "virtually the same" efficiency. Ours:
    # grade D curves of 240 V and 336 V rectifiers, within 0.5 points of the UPS at the same 2N redundancy.
    load = np.array([0.3, 0.5, 0.75, 1.0])
    ac = grid_to_chip(CHAINS["ups-double-conversion"], converters, load).efficiency
    for name in ("hvdc-240v", "hvdc-336v"):
        assert np.max(np.abs(grid_to_chip(CHAINS[name], converters, load).efficiency - ac)) < 0.005


def test_panama_against_its_published_peak(converters) -> None:
    # Alibaba and Delta: 97.5 % peak from 10 kV to 240 V DC.
    sized = size_stages(CHAINS["panama-10kv-240v"].facility[:1], converters, 1e6)
    peak = np.max(walk(sized, np.linspace(0.05, 1.0, 40) * 1e6).efficiency)
    assert peak == pytest.approx(0.975, abs=0.005)


def test_800v_gain_is_below_the_claim(converters) -> None:
    # NVIDIA claims "up to" 5 points end to end for 800 V DC. With the same 2N at half load: between 1 and 5.
    ac = grid_to_chip(CHAINS["ups-double-conversion"], converters, 0.5).efficiency
    for name in ("hvdc-800v", "sst-800v"):
        assert 0.01 < grid_to_chip(CHAINS[name], converters, 0.5).efficiency - ac < 0.05


def test_it_power_is_rebased_to_the_supply(converters) -> None:
    ac, dc = CHAINS["ups-double-conversion"], CHAINS["sst-800v"]
    assert rebase_it_w(CHAINS["hvdc-240v"], ac, converters, 5e5, 1e6) == 5e5
    there = rebase_it_w(dc, ac, converters, np.array([3e5, 1e6]), 1e6)
    assert np.all(there < np.array([3e5, 1e6]))
    # The 54 V power is the same seen from both sides.
    both = [
        walk(size_stages(chain.server[:1], converters, bus), bus).source_w
        for chain, bus in ((ac, 9e5), (dc, 9e5))
    ]
    assert rebase_it_w(dc, ac, converters, both[0], both[0]) == pytest.approx(both[1], rel=1e-3)


def test_unknown_chain_names_the_close_ones() -> None:
    with pytest.raises(UnknownIdError, match="ups-double-conversion"):
        find_chain("ups-double")


def test_missing_converter_is_named() -> None:
    with pytest.raises(InputError, match="54 V power shelf"):
        size_stages(CHAINS["hvdc-240v"].server[:1], {}, 1e6)


def test_samples_flow_through(converters) -> None:
    ups = Converter("ups-double-conversion", QuadraticLoss(np.array([0.005, 0.01]), 0.013, 0.019))
    flow = walk(
        size_stages(CHAINS["ups-double-conversion"].facility, {**converters, ups.name: ups}, 1e6), 5e5
    )
    assert flow.source_w.shape == (2,)
    assert flow.source_w[1] > flow.source_w[0]
    assert flow.indoor_loss_w.shape == (2,)
    outdoor = flow.stages[0]
    assert not outdoor.indoor
    assert flow.indoor_loss_w + outdoor.loss_w == pytest.approx(flow.loss_w)
