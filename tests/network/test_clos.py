"""Laws of folded Clos fabrics and of the direct topologies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InfeasibleError, InputError
from suanli.network.clos import clos, clos_capacity, full_clos, leaf_ports, path_latency_s
from suanli.network.topologies import dragonfly, slim_fly, torus, torus_bisection_links

EVEN = st.integers(2, 128).map(lambda half: 2 * half)


@pytest.mark.parametrize(
    ("radix", "tiers", "hosts", "switches"),
    [
        # arXiv 2505.09343 counts at k = 64; the rest follow from 2 (k/2)^t and (2t - 1)(k/2)^(t - 1) by hand
        (64, 1, 64, 1),
        (64, 2, 2_048, 96),
        (64, 3, 65_536, 5_120),
        (64, 4, 2_097_152, 229_376),
        (128, 2, 8_192, 192),
        (512, 2, 131_072, 768),
    ],
)
def test_full_tree_by_both_ways(radix, tiers, hosts, switches):
    endpoints, count, links = full_clos(radix, tiers)
    assert (endpoints, count, links) == (hosts, switches, (tiers - 1) * hosts)
    fabric = clos(hosts, radix)
    assert fabric.tiers == tiers
    assert fabric.switches == switches
    assert fabric.switch_links == links
    assert clos_capacity(radix, tiers) == hosts


@settings(deadline=None)
@given(EVEN, st.integers(1, 4))
def test_sizing_of_a_full_tree_is_the_closed_form(radix, tiers):
    endpoints, switches, links = full_clos(radix, tiers)
    fabric = clos(endpoints, radix)
    # a 4-port switch in two tiers holds as many hosts as some smaller tree: only compare where tiers agree
    if fabric.tiers == tiers:
        assert fabric.switches == switches
        assert fabric.switch_links == links


@settings(deadline=None)
@given(st.integers(0, 60_000), st.integers(2, 200), st.integers(1, 60))
def test_more_radix_never_takes_more_switches(endpoints, radix, more):
    if endpoints > clos_capacity(radix, 4):
        return
    small, large = clos(endpoints, radix), clos(endpoints, radix + more)
    assert large.switches <= small.switches
    assert large.tiers <= small.tiers


@settings(deadline=None)
@given(st.integers(0, 100_000), st.integers(0, 5_000), EVEN.filter(lambda k: k >= 32))
def test_more_endpoints_never_take_fewer_switches(endpoints, more, radix):
    one, two = clos(endpoints, radix), clos(endpoints + more, radix)
    assert two.switches >= one.switches
    assert two.switch_links >= one.switch_links


@settings(deadline=None)
@given(st.integers(1, 100_000), EVEN.filter(lambda k: k >= 32), st.sampled_from([1.0, 2.0, 3.0]))
def test_ports_suffice(endpoints, radix, oversubscription):
    fabric = clos(endpoints, radix, oversubscription=oversubscription)
    assert fabric.host_links + 2 * fabric.switch_links <= fabric.switches * radix
    if fabric.tiers > 1:
        down, up = leaf_ports(radix, oversubscription)
        assert down + up <= radix
        assert down / up <= oversubscription + 1e-9
        assert fabric.leaf_switches * down >= endpoints


@settings(deadline=None)
@given(st.integers(100, 60_000), EVEN.filter(lambda k: k >= 64))
def test_oversubscription_saves_links(endpoints, radix):
    if clos(endpoints, radix).tiers > 1:
        assert (
            clos(endpoints, radix, oversubscription=3.0).switch_links <= clos(endpoints, radix).switch_links
        )


def test_rails_and_planes():
    one = clos(2_048, 64)
    rails = clos(8 * 2_048, 64, rails=8)
    assert rails.switches == 8 * one.switches
    assert rails.host_links == 8 * 2_048
    planes = clos(2_048, 64, planes=4)
    assert planes.switches == 4 * one.switches
    assert planes.host_links == 4 * 2_048
    assert planes.endpoints == 2_048


def test_samples_are_sized_one_by_one():
    fabric = clos(np.array([0.0, 1.0, 63.2, 64.0, 64.1, 2_048.0, 2_049.0]), 64)
    assert fabric.tiers.tolist() == [1, 1, 1, 1, 2, 2, 3]
    assert fabric.switches[:4].tolist() == [0, 1, 1, 1]
    assert fabric.endpoints[2] == 64
    alone = [clos(float(n), 64).switches for n in (0.0, 1.0, 63.2, 64.0, 64.1, 2_048.0, 2_049.0)]
    assert fabric.switches.tolist() == [float(value) for value in alone]


def test_refusals():
    with pytest.raises(InfeasibleError, match="do not fit into 2 tiers"):
        clos(2_049, 64, max_tiers=2)
    with pytest.raises(InputError):
        clos(-1, 64)
    with pytest.raises(InputError):
        clos(10, 64, oversubscription=0.5)
    with pytest.raises(InputError):
        full_clos(64, 0)


def test_longest_path():
    # 2 tiers: leaf, spine, leaf; NIC to leaf and back twice: 3 switches, 4 links, 2 NICs
    assert path_latency_s(2, 600e-9, 50e-9, 1e-6) == pytest.approx(3 * 600e-9 + 4 * 50e-9 + 2e-6)
    assert clos(100, 64).longest_path_switches == 3


def test_slim_fly_moves_with_q():
    # Besta & Hoefler, SC 2014: q = 19 (d = -1): 722 routers, network radix 29, 10,830 endpoints (p = 15)
    fly = slim_fly(19)
    assert (fly.switches, fly.endpoints, fly.radix) == (722, 10_830, 44)
    assert fly.buildable
    assert not slim_fly(28).buildable
    assert slim_fly(27).buildable and slim_fly(29).buildable and slim_fly(32).buildable
    with pytest.raises(InputError):
        slim_fly(6)


def test_dragonfly_is_balanced_and_bounded():
    # Kim et al., ISCA 2008, figure 5: p = h = 2, a = 4: 9 groups, 36 switches, 72 terminals, radix 7
    fly = dragonfly(2, 4, 2)
    assert (fly.endpoints, fly.switches, fly.radix) == (72, 36, 7)
    assert fly.switch_links == 36 * 3 // 2 + 9 * 8 // 2
    with pytest.raises(InputError):
        dragonfly(2, 4, 2, groups=10)


def test_torus():
    cube = torus((16, 16, 16))
    assert (cube.endpoints, cube.switches, cube.switch_links, cube.radix) == (4_096, 0, 3 * 4_096, 6)
    assert torus((4,)).switch_links == 4
    assert torus((2, 2)).switch_links == 4
    assert torus((1, 5)).radix == 2
    assert torus_bisection_links((16, 20, 28)) == 2 * 16 * 20
    assert torus_bisection_links((2, 2)) == 2
    with pytest.raises(InputError):
        torus((0, 4))


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_every_torus_link_has_two_ends(sides):
    size = torus(tuple(sides))
    assert 2 * size.switch_links == size.endpoints * size.radix
