"""Collectives: bus factors, limits at small and large sizes, laws, the fit of a link."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InputError
from suanli.network.all_reduce import (
    all_reduce_hierarchical_s,
    all_reduce_in_network_s,
    all_reduce_one_shot_s,
    all_reduce_ring_s,
    all_reduce_s,
    all_reduce_tree_s,
)
from suanli.network.collectives import (
    all_gather_s,
    all_to_all_s,
    bus_bandwidth_bytes_per_s,
    bus_factor,
    collective_s,
    reduce_scatter_s,
    send_recv_s,
)
from suanli.network.link import LinkCoefficients, datasheet_coefficients
from suanli.network.link_fit import fit_link

LINK = LinkCoefficients(2e-6, 5e-9, 400e9)
WIRE = LinkCoefficients(0.0, 0.0, 1.0)
RANKS = st.integers(2, 1_024)
SIZES = st.floats(1.0, 1e11)


@pytest.mark.parametrize(
    ("operation", "n", "factor"),
    [
        # NVIDIA/nccl-tests doc/PERFORMANCE.md, summary
        ("all_reduce", 8, 2 * 7 / 8),
        ("reduce_scatter", 8, 7 / 8),
        ("all_gather", 8, 7 / 8),
        ("all_to_all", 8, 7 / 8),
        ("broadcast", 8, 1),
        ("reduce", 8, 1),
        ("send_recv", 2, 1),
        ("all_reduce", 2, 1),
        ("all_reduce", 1, 0),
    ],
)
def test_bus_factors_of_nccl_tests(operation, n, factor):
    assert bus_factor(operation, n) == factor


@settings(deadline=None)
@given(RANKS, SIZES)
def test_bytes_of_the_algorithms(n, size):
    assert all_reduce_ring_s(n, size, WIRE) == pytest.approx(float(bus_factor("all_reduce", n)) * size)
    assert all_gather_s(n, size, WIRE) == pytest.approx(float(bus_factor("all_gather", n)) * size)
    assert reduce_scatter_s(n, size, WIRE) == pytest.approx(float(bus_factor("reduce_scatter", n)) * size)
    assert all_to_all_s(n, size, WIRE) == pytest.approx(float(bus_factor("all_to_all", n)) * size)
    assert all_reduce_tree_s(n, size, WIRE) == pytest.approx(2 * size)
    assert all_reduce_one_shot_s(n, size, WIRE) == pytest.approx((n - 1) * size)
    # in the switch: n + 1 parts out of n are sent (nccl-tests issue 212: algbw = busbw n/(n + 1))
    assert all_reduce_in_network_s(n, size, WIRE) == pytest.approx((n + 1) / n * size)


def test_hops_of_the_algorithms():
    hop = LinkCoefficients(1.0, 0.0, 1e300)
    assert all_reduce_ring_s(8, 1.0, hop) == 14
    assert all_reduce_tree_s(8, 1.0, hop) == 6
    assert all_reduce_tree_s(9, 1.0, hop) == 8
    assert all_reduce_one_shot_s(8, 1.0, hop) == 1
    assert all_reduce_in_network_s(8, 1.0, hop) == 2
    assert all_gather_s(8, 1.0, hop) == 7
    assert all_to_all_s(8, 1.0, hop) == 7
    assert send_recv_s(1.0, hop) == 1


def test_one_rank_has_nothing_to_send():
    for collective in (all_reduce_ring_s, all_reduce_tree_s, all_reduce_one_shot_s, all_reduce_in_network_s):
        assert collective(1, 1e9, LINK) == 0
    assert all_gather_s(np.array([1, 2]), 1e9, LINK)[0] == 0
    assert collective_s("all_reduce", 1, 1e9, LINK) == 0


@settings(deadline=None)
@given(RANKS, SIZES, st.floats(1.0, 100.0))
def test_more_bytes_never_take_less_time(n, size, factor):
    assert all_reduce_s(n, factor * size, LINK) >= all_reduce_s(n, size, LINK)
    assert collective_s("all_to_all", n, factor * size, LINK) >= collective_s("all_to_all", n, size, LINK)
    assert all_reduce_s(n, size, LINK, in_network=True) <= all_reduce_s(n, size, LINK)
    assert all_to_all_s(n, size, LINK, imbalance=1.3) >= all_to_all_s(n, size, LINK)


@settings(deadline=None)
@given(st.integers(2, 16), st.integers(2, 64), SIZES)
def test_hierarchy_costs_what_its_steps_cost(g, k, size):
    inside, between = LinkCoefficients(1e-6, 0.0, 400e9), LinkCoefficients(5e-6, 0.0, 50e9)
    steps = reduce_scatter_s(g, size, inside) + all_gather_s(g, size, inside)
    ring = all_reduce_ring_s(k, size / g, between)
    total = all_reduce_hierarchical_s(g, k, size, inside, between)
    assert steps < total <= steps + ring + 1e-15
    # one node: only the inside is left; one rank a node: only the network is left
    assert all_reduce_hierarchical_s(g, 1, size, inside, between) == pytest.approx(float(steps))


def test_bytes_per_nic_of_a_hierarchy():
    # stas00/ml-engineering network/README.md: a NIC carries 2 (k - 1)/k S/g
    free = LinkCoefficients(0.0, 0.0, 1e300)
    wire = LinkCoefficients(0.0, 0.0, 50e9)
    assert all_reduce_hierarchical_s(8, 4, 16 * 2**30, free, wire) == pytest.approx(
        2 * 3 / 4 * 16 * 2**30 / 8 / 50e9
    )


@settings(deadline=None)
@given(st.floats(1e-7, 1e-4), st.floats(0.0, 5e-8), st.floats(1e9, 1e12), st.sampled_from([2, 4, 8]))
def test_fit_recovers_a_known_link(alpha, root, bandwidth, n):
    truth = LinkCoefficients(alpha, root, bandwidth)
    sizes = np.geomspace(256, 1e9, 12)
    found = fit_link("all_reduce", n, sizes, collective_s("all_reduce", n, sizes, truth))
    again = collective_s("all_reduce", n, sizes, found)
    np.testing.assert_allclose(again, collective_s("all_reduce", n, sizes, truth), rtol=1e-6)


def test_refusals():
    with pytest.raises(InputError):
        bus_factor("gossip", 8)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        bus_factor("all_reduce", 0)
    with pytest.raises(InputError):
        fit_link("all_reduce", 8, [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(InputError, match="do not grow"):
        fit_link("all_reduce", 8, [1e6, 1e7, 1e8], [1e-3, 1e-4, 1e-5])


def test_broadcast_over_samples():
    link = LinkCoefficients(np.array([1e-6, 2e-6]), 0.0, np.array([1e9, 2e9]))
    sizes = np.array([[1e3], [1e6], [1e9]])
    assert all_reduce_s(8, sizes, link).shape == (3, 2)
    datasheet = datasheet_coefficients(np.array([100e9, 200e9]), 0.8, 5e-6)
    np.testing.assert_allclose(send_recv_s(8e9, datasheet), [5e-6 + 0.1, 5e-6 + 0.05])
    assert bus_bandwidth_bytes_per_s("all_gather", 8, 8e9, 1.0) == 7e9
