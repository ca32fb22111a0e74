"""Expert dispatch and combine: counts by enumeration, published arithmetic, laws."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InputError
from suanli.network.expert_exchange import (
    direct_volume,
    exchange_s,
    expected_distinct_groups,
    message_bytes,
    node_limited_volume,
)
from suanli.network.link import LinkCoefficients

FP8 = 1 + 4 / 128


@pytest.mark.parametrize(("groups", "experts", "k"), [(2, 8, 2), (4, 8, 3), (3, 9, 4), (8, 8, 5), (1, 6, 3)])
def test_distinct_groups_by_enumeration(groups, experts, k):
    size = experts // groups
    hits = [len({expert // size for expert in chosen}) for chosen in combinations(range(experts), k)]
    assert expected_distinct_groups(groups, experts, k) == pytest.approx(np.mean(hits), rel=1e-12)


@settings(deadline=None)
@given(st.integers(1, 32), st.integers(1, 8), st.integers(1, 16))
def test_distinct_groups_are_bounded(groups, per_group, k):
    experts = groups * per_group
    if k > experts:
        return
    hit = float(expected_distinct_groups(groups, experts, k))
    assert 1 - 1e-9 <= hit <= min(groups, k) + 1e-9


def test_communication_time_of_deepseek():
    # arXiv 2505.09343 section 2.3.2: (1 + 2) byte x 32 x 9 x 7K / 50 GB/s = 120.96 us; at 900 GB/s 6.72 us
    both = message_bytes(32, 7_000, 9, 1) + message_bytes(32, 7_000, 9, 2)
    assert both / 50e9 == pytest.approx(120.96e-6, rel=1e-12)
    assert both / 900e9 == pytest.approx(6.72e-6, rel=1e-12)
    # two micro-batches, 61 layers: 14.76 ms a token
    assert 61 * 2 * both / 50e9 == pytest.approx(14.76e-3, rel=1e-3)


def test_node_limited_routing_sends_one_copy_a_node():
    # DeepSeek-V3: 256 experts, top 8, at most 4 of 8 nodes; one in eight is the token's own
    volume = node_limited_volume(1, 1, 8, 1.0, experts=256, ranks=64, ranks_per_node=8, node_limit=4)
    assert volume.network_bytes <= 4 * 7 / 8
    hits = expected_distinct_groups(4, 128, 8)
    assert volume.network_bytes == pytest.approx(float(hits) * 7 / 8)
    free = node_limited_volume(1, 1, 8, 1.0, experts=256, ranks=64, ranks_per_node=8)
    assert free.network_bytes > volume.network_bytes
    naive = direct_volume(1, 1, 8, 1.0, ranks=64, ranks_per_node=8)
    assert naive.network_bytes == pytest.approx(8 * 56 / 64)
    assert naive.network_bytes > free.network_bytes


def test_one_node_needs_no_network():
    limited = node_limited_volume(128, 7_168, 8, FP8, experts=256, ranks=8, ranks_per_node=8)
    direct = direct_volume(128, 7_168, 8, FP8, ranks=8, ranks_per_node=8)
    assert limited.network_bytes == 0
    assert direct.network_bytes == 0
    assert direct.scale_up_bytes == pytest.approx(128 * 7_168 * 8 * FP8 * 7 / 8)
    assert limited.scale_up_bytes < direct.scale_up_bytes
    rack = direct_volume(128, 7_168, 8, FP8, ranks=64, ranks_per_node=72)
    assert rack.network_bytes == 0


@settings(deadline=None)
@given(st.sampled_from([8, 16, 32, 64, 128]), st.integers(1, 8), st.integers(1, 16))
def test_limits_only_save_network_bytes(ranks, k, limit):
    nodes = max(ranks // 8, 1)
    arguments = {"experts": 256, "ranks": ranks, "ranks_per_node": 8}
    free = node_limited_volume(100, 7_168, k, FP8, **arguments)
    held = node_limited_volume(100, 7_168, k, FP8, node_limit=min(limit, nodes), **arguments)
    direct = direct_volume(100, 7_168, k, FP8, ranks=ranks, ranks_per_node=8)
    assert held.network_bytes <= free.network_bytes * (1 + 1e-12)
    assert free.network_bytes <= direct.network_bytes * (1 + 1e-12)


@settings(deadline=None)
@given(st.floats(1.0, 3.0), st.integers(1, 4_096))
def test_imbalance_and_tokens_only_slow_down(imbalance, tokens):
    network, inside = LinkCoefficients(20e-6, 0.0, 50e9), LinkCoefficients(10e-6, 0.0, 160e9)
    volume = direct_volume(tokens, 7_168, 8, FP8, ranks=32, ranks_per_node=8)
    assert exchange_s(volume, network, inside, imbalance=imbalance) >= exchange_s(volume, network, inside)
    more = direct_volume(tokens + 1, 7_168, 8, FP8, ranks=32, ranks_per_node=8)
    assert exchange_s(more, network, inside) > exchange_s(volume, network, inside)


def test_slower_network_decides_and_an_idle_one_is_free():
    network, inside = LinkCoefficients(20e-6, 0.0, 50e9), LinkCoefficients(10e-6, 0.0, 160e9)
    one_node = direct_volume(1_000, 7_168, 8, FP8, ranks=8, ranks_per_node=8)
    assert exchange_s(one_node, network, inside) == pytest.approx(
        10e-6 + float(one_node.scale_up_bytes) / 160e9
    )
    four = direct_volume(1_000, 7_168, 8, FP8, ranks=32, ranks_per_node=8)
    assert exchange_s(four, network, inside) == pytest.approx(20e-6 + float(four.network_bytes) / 50e9)


def test_refusals():
    with pytest.raises(InputError):
        expected_distinct_groups(4, 8, 9)
    with pytest.raises(InputError):
        expected_distinct_groups(9, 8, 1)
