"""Redundancy: schemes, availability with and without common causes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InputError
from suanli.power import availability, needed_of_installed, unit_load_max


@pytest.mark.parametrize(
    ("scheme", "load"),
    [
        ("N", 1.0),
        ("2N", 0.5),
        ("2N+1", 0.5),
        ("2(N+1)", 0.5),
        ("4+1", 0.8),
        ("4N3", 0.75),
        ("3N2", 2.0 / 3.0),
    ],
)
def test_unit_load(scheme, load) -> None:
    assert unit_load_max(scheme) == pytest.approx(load)


@pytest.mark.parametrize(
    ("scheme", "hint"), [("N+1", 'such as "4\\+1"'), ("3N4", "not known"), ("0+1", "not known")]
)
def test_bad_scheme(scheme, hint) -> None:
    with pytest.raises(InputError, match=hint):
        needed_of_installed(scheme)


def test_binomial_by_hand() -> None:
    # 0.999^4 and 0.999^5 + 5 x 0.999^4 x 0.001; eight units of which four suffice fail with 56 U^5.
    assert availability(4, 4, 0.999) == pytest.approx(0.996006, abs=5e-7)
    assert availability(4, 5, 0.999) == pytest.approx(0.99999002, abs=5e-9)
    assert 1.0 - availability(4, 8, 0.999) == pytest.approx(5.6e-14, rel=0.02)


def test_common_cause_ends_the_miracle() -> None:
    assert 1.0 - availability(4, 8, 0.999, 0.05) == pytest.approx(0.05 * 1e-3, rel=1e-6)


@settings(deadline=None)
@given(needed=st.integers(1, 6), spare=st.integers(0, 4), up=st.floats(0.5, 1.0), beta=st.floats(0.0, 1.0))
def test_availability_laws(needed, spare, up, beta) -> None:
    here = availability(needed, needed + spare, up, beta)
    assert -1e-12 <= here <= 1.0 + 1e-12
    assert availability(needed, needed + spare + 1, up, beta) >= here - 1e-12
    assert availability(needed, needed + spare, up, 1.0) == pytest.approx(up)


def test_too_few_units() -> None:
    with pytest.raises(InputError, match="needed = 3"):
        availability(3, 2, 0.99)
