"""Media are chosen by reach, and a fabric's bill adds up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InfeasibleError, InputError
from suanli.network.fabric import Nic, Switch, scale_out_fabric
from suanli.network.media import Medium, choose_medium

DAC = Medium("dac-400g", "dac", 3.0, 0.1, price_per_cable_usd=80.0, latency_s_per_m=4.5e-9)
AEC = Medium("aec-400g", "aec", 7.0, 5.0, price_per_cable_usd=200.0)
OPTIC = Medium("optic-400g-dr4", "optic", 500.0, 9.0, price_per_end_usd=280.0, latency_s=100e-9)
CPO = Medium("cpo-400g", "cpo", 500.0, 2.0, price_per_end_usd=400.0)
MEDIA = (DAC, AEC, OPTIC)
QM9700 = Switch("nvidia-qm9700", 64, 747.0, 38_000.0, 230e-9)
CX7 = Nic("nvidia-connectx-7", 25.0, 1_500.0)


@pytest.mark.parametrize(("length", "index"), [(0.0, 0), (3.0, 0), (3.1, 1), (7.0, 1), (30.0, 2), (500.0, 2)])
def test_cheapest_medium_that_reaches(length, index):
    choice = choose_medium(MEDIA, length)
    assert choice.index == index
    assert choice.transceivers_per_link == (2 if index == 2 else 0)


def test_choice_by_sample_and_its_parts():
    choice = choose_medium(MEDIA, np.array([1.0, 5.0, 100.0]))
    assert choice.index.tolist() == [0, 1, 2]
    assert choice.cable_power_w.tolist() == [0.2, 10.0, 0.0]
    assert choice.transceiver_power_w.tolist() == [0.0, 0.0, 18.0]
    assert choice.transceiver_price_usd.tolist() == [0.0, 0.0, 560.0]
    assert choice.cable_price_usd.tolist() == [80.0, 200.0, 0.0]
    assert choice.latency_s[0] == pytest.approx(4.5e-9)
    assert choice.latency_s[2] == pytest.approx(100e-9 + 100 * 1.468 / 299_792_458)


def test_a_watt_may_be_worth_more_than_a_dollar():
    assert choose_medium((OPTIC, CPO), 100.0).index == 0
    assert choose_medium((OPTIC, CPO), 100.0, by="power").index == 1
    # 14 W saved a link against 240 USD more: worth it above 17.14 USD/W
    assert choose_medium(
        (OPTIC, CPO), 100.0, power_value_usd_per_w=np.array([17.0, 17.3])
    ).index.tolist() == [0, 1]
    chosen = choose_medium((OPTIC, CPO), 100.0, by="power")
    assert chosen.transceivers_per_link == 0
    assert chosen.transceiver_power_w == 4.0


def test_prices_with_samples_choose_by_sample():
    dear = Medium("aec", "aec", 7.0, 5.0, price_per_cable_usd=np.array([200.0, 700.0]))
    assert choose_medium((dear, OPTIC), 5.0).index.tolist() == [0, 1]


def test_refusals():
    with pytest.raises(InfeasibleError, match=r"no medium reaches 600 m.*500 m"):
        choose_medium(MEDIA, 600.0)
    with pytest.raises(InputError):
        choose_medium((), 1.0)
    with pytest.raises(InputError):
        choose_medium(MEDIA, -1.0)


def test_bill_of_the_ft2_of_deepseek_by_hand():
    size, bill = scale_out_fabric(2_048, QM9700, MEDIA, host_length_m=2.0, switch_length_m=30.0, nic=CX7)
    assert size.switches == 96
    assert bill.transceivers == 2 * 2_048
    assert bill.links == 4_096
    assert bill.power_w.switches == 96 * 747
    assert bill.power_w.transceivers == 2 * 2_048 * 9
    assert bill.power_w.cables == pytest.approx(2 * 2_048 * 0.1)
    assert bill.power_w.nics == 2_048 * 25
    assert bill.capex_usd.total == 96 * 38_000 + 2_048 * 560 + 2_048 * 80 + 2_048 * 1_500


@settings(deadline=None)
@given(
    st.integers(1, 50_000),
    st.floats(0.0, 400.0),
    st.floats(0.0, 400.0),
    st.booleans(),
    st.sampled_from([1.0, 2.0, 3.0]),
)
def test_parts_sum_to_the_total(endpoints, host_m, switch_m, with_nic, oversubscription):
    _, bill = scale_out_fabric(
        endpoints,
        QM9700,
        MEDIA,
        host_length_m=host_m,
        switch_length_m=switch_m,
        oversubscription=oversubscription,
        nic=CX7 if with_nic else None,
    )
    for parts in (bill.power_w, bill.capex_usd):
        summed = parts.switches + parts.transceivers + parts.cables + parts.nics
        assert parts.total == pytest.approx(float(summed), rel=1e-12)
        assert sum(float(share) for share in parts.shares().values()) == pytest.approx(1.0, rel=1e-12)
        assert all(float(share) >= 0 for share in parts.shares().values())


@settings(deadline=None)
@given(st.integers(1, 40_000), st.integers(0, 5_000), st.floats(1.0, 3.0))
def test_cost_grows_with_endpoints_and_prices(endpoints, more, dearer):
    def capex(count, switch):
        return scale_out_fabric(count, switch, MEDIA, host_length_m=2.0, switch_length_m=30.0)[
            1
        ].capex_usd.total

    assert capex(endpoints + more, QM9700) >= capex(endpoints, QM9700)
    assert capex(endpoints, Switch("dearer", 64, 747.0, 38_000.0 * dearer)) >= capex(endpoints, QM9700)


def test_sampled_endpoints_and_prices_broadcast():
    endpoints = np.array([100.0, 2_000.0, 60_000.0])
    switch = Switch("s", 64, np.array([700.0, 747.0, 800.0]), 38_000.0)
    size, bill = scale_out_fabric(endpoints, switch, MEDIA, host_length_m=2.0, switch_length_m=30.0)
    assert bill.power_w.total.shape == (3,)
    for index, count in enumerate(endpoints):
        alone = Switch("s", 64, float(np.asarray(switch.power_w)[index]), 38_000.0)
        _, one = scale_out_fabric(count, alone, MEDIA, host_length_m=2.0, switch_length_m=30.0)
        assert bill.power_w.total[index] == pytest.approx(float(one.power_w.total), rel=1e-12)
        assert bill.capex_usd.total[index] == pytest.approx(float(one.capex_usd.total), rel=1e-12)
    assert size.tiers.tolist() == [2, 2, 3]
