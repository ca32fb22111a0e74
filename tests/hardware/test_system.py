"""Systems: power between idle and nameplate, and how many a rack takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.hardware import System, system_power_w, systems_per_rack

laws = settings(deadline=None, max_examples=100)
SHARE = st.floats(0.0, 1.0)

# NVIDIA DGX H100 user guide: eight 700 W GPUs, 10.2 kW at most.
DGX = System("dgx-h100", 8, 10_200.0, 0.25)


def test_all_out_draws_the_nameplate() -> None:
    assert system_power_w(DGX, 700.0, 1.0, 0.12, 1.0) == pytest.approx(10_200.0)


def test_at_rest_the_chips_draw_their_idle_power() -> None:
    assert system_power_w(DGX, 700.0, 0.0, 0.1, 0.0) == pytest.approx(8 * 70.0)


@laws
@given(SHARE, SHARE, SHARE)
def test_power_stays_between_rest_and_nameplate(activity: float, idle: float, other: float) -> None:
    power = float(system_power_w(DGX, 700.0, activity, idle, other))
    assert 8 * 700.0 * idle * (1 - 1e-12) <= power <= 10_200.0 * (1 + 1e-12)


@laws
@given(SHARE, SHARE, SHARE, SHARE)
def test_more_activity_never_draws_less(low: float, high: float, idle: float, other: float) -> None:
    low, high = sorted((low, high))
    assert (
        system_power_w(DGX, 700.0, low, idle, other) <= system_power_w(DGX, 700.0, high, idle, other) + 1e-9
    )


def test_a_nameplate_below_the_chips_leaves_nothing_for_the_rest() -> None:
    """A vendor's typical power can be below the sum of TDPs; the rest is then 0 and not negative."""
    small = System("x", 8, 5_000.0, 0.25)
    assert system_power_w(small, 700.0, 1.0, 0.1, 1.0) == pytest.approx(5_600.0)


def test_samples_broadcast() -> None:
    assert system_power_w(DGX, np.full(5, 700.0), 0.5, 0.1, np.linspace(0, 1, 5)).shape == (5,)


@pytest.mark.parametrize(
    ("power_w", "height_m", "rack_w", "count"),
    [
        (10_200.0, 8 * 0.04445, 45_000.0, 4),  # power binds
        (1_000.0, 8 * 0.04445, 45_000.0, 5),  # 42 U hold five of 8 U
        (132_000.0, 42 * 0.04445, 45_000.0, 1),  # never none: a system stands somewhere
    ],
)
def test_systems_per_rack(power_w: float, height_m: float, rack_w: float, count: int) -> None:
    assert systems_per_rack(power_w, height_m, rack_w, 42 * 0.04445) == count


def test_exact_fits_are_not_lost_to_rounding() -> None:
    """Heights are read from rack units: 42 of 1 U must fill 42 U, 6 of 7 U too, whatever the float."""
    for units in (1, 2, 3, 6, 7, 14, 21):
        assert systems_per_rack(1.0, units * 0.04445, 1e6, 42 * 0.04445) == 42 // units, units


@laws
@given(st.floats(100.0, 2e5), st.floats(0.04, 2.0), st.floats(1e3, 2e5))
def test_a_rack_is_not_overloaded(power_w: float, height_m: float, rack_w: float) -> None:
    count = float(systems_per_rack(power_w, height_m, rack_w, 42 * 0.04445))
    assert count >= 1.0 and count == int(count)
    if count > 1.0:
        assert count * power_w <= rack_w * (1 + 1e-9) and count * height_m <= 42 * 0.04445 * (1 + 1e-9)
