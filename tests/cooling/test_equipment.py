"""Chillers against the published EnergyPlus curve, and the laws of the parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.cooling import Chiller, Terminal, chiller_power_w, cop
from suanli.cooling.equipment import terminal_power_w


def doe2(catalog, curve: str, x, y):
    c1, c2, c3, c4, c5, c6 = (
        catalog.fact("coolers", "chiller-doe2-centrifugal", f"{curve}_c{i}").si for i in range(1, 7)
    )
    return c1 + c2 * x + c3 * x**2 + c4 * y + c5 * y**2 + c6 * x * y


@pytest.fixture(scope="module")
def chiller(catalog) -> Chiller:
    def fact(parameter: str) -> float:
        return catalog.fact("coolers", "chiller-doe2-centrifugal", parameter).si

    return Chiller(
        fact("cop_reference"),
        fact("t_chilled_reference"),
        fact("t_condenser_reference"),
        part_load=tuple(fact(f"eirfplr_c{i}") for i in range(1, 4)),
        part_load_min=fact("plr_min"),
    )


def test_cop_at_the_reference(chiller) -> None:
    assert cop(chiller, 6.67, 29.4) == pytest.approx(5.5)


def test_cop_against_the_energyplus_curve(catalog, chiller) -> None:
    # EnergyPlus DOE-2 centrifugal: EIR = EIRFT(chilled, condenser)/COP_ref, valid near 5-9 C and 24-35 C.
    chilled, condenser = np.meshgrid([5.0, 6.67, 8.0], [24.0, 27.0, 29.4, 32.0, 35.0])
    published = 5.5 / doe2(catalog, "eirft", chilled, condenser)
    assert np.max(np.abs(cop(chiller, chilled, condenser) / published - 1.0)) < 0.06


def test_part_load_of_one_chiller_is_the_published_curve(catalog, chiller) -> None:
    c = [catalog.fact("coolers", "chiller-doe2-centrifugal", f"eirfplr_c{i}").si for i in range(1, 4)]
    one = Chiller(5.5, 6.67, 29.4, part_load=tuple(c), units=1)
    for p in (0.2, 0.5, 0.8, 1.0):
        wanted = 1e6 / 5.5 * (c[0] + c[1] * p + c[2] * p**2) / sum(c)
        assert chiller_power_w(one, p * 1e6, 1e6, 6.67, 29.4) == pytest.approx(wanted)


waters = st.floats(5.0, 40.0)
sinks = st.floats(-30.0, 60.0)


@settings(deadline=None)
@given(
    load=st.floats(0.0, 1.5),
    more=st.floats(0.0, 0.5),
    chilled=waters,
    sink=sinks,
    hotter=st.floats(0.0, 20.0),
)
def test_chiller_power_never_falls(chiller, load, more, chilled, sink, hotter) -> None:
    here = chiller_power_w(chiller, load * 1e6, 1e6, chilled, sink)
    assert here >= 0.0
    assert chiller_power_w(chiller, (load + more) * 1e6, 1e6, chilled, sink) >= here * (1 - 1e-12)
    assert chiller_power_w(chiller, load * 1e6, 1e6, chilled, sink + hotter) >= here * (1 - 1e-12)


def test_chiller_without_heat_is_off(chiller) -> None:
    assert chiller_power_w(chiller, 0.0, 1e6, 7.0, 35.0) == 0.0


def test_no_jump_between_one_chiller_and_two(chiller) -> None:
    edge = 1e6 / chiller.units
    around = chiller_power_w(chiller, edge * np.array([1.0 - 1e-9, 1.0 + 1e-9]), 1e6, 7.0, 30.0)
    assert around[1] == pytest.approx(around[0], rel=1e-6)


def test_fan_curve_of_the_catalogue(catalog) -> None:
    curve = tuple(catalog.fact("coolers", "fan-ec-plug-crah", f"fan_power_c{i}").si for i in range(1, 5))
    fans = Terminal(0.048, curve)
    assert terminal_power_w(fans, 1e6, 1e6) == pytest.approx(48e3, rel=0.01)
    half = terminal_power_w(fans, 5e5, 1e6)
    assert half == pytest.approx(48e3 * (0.06990146 + 0.69750306 - 0.83871834 + 0.3615404), rel=1e-6)
    flows = terminal_power_w(fans, np.linspace(0.0, 1.2, 50) * 1e6, 1e6)
    assert np.all(np.diff(flows) >= 0.0)
