"""Parts of the deployment search: Pareto filter, balance of pools, layouts and loads, limits, questions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.errors import InfeasibleError, InputError, NoDataError, UnitError
from suanli.llm import check_sharding, from_config
from suanli.serving.engine import with_redundant_experts
from suanli.study.deployment.solve import Deployments
from suanli.study.recommend import Question, recommend
from suanli.study.recommend.layouts import copies, layouts, loads
from suanli.study.recommend.limits import supply
from suanli.study.recommend.match import match_pools
from suanli.study.recommend.pareto import pareto_front
from suanli.study.recommend.question import Limit, read_limit

KNOWN = Deployments()
CHIP = KNOWN.chip("nvidia-h200-sxm")


def dominated(x: float, y: float, points: list[tuple[float, float]]) -> bool:
    return any(a >= x and b >= y and (a > x or b > y) for a, b in points)


# -- Pareto filter ----------------------------------------
POINTS = st.lists(st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float)), max_size=40)


@given(POINTS)
@settings(deadline=None)
def test_the_front_is_exactly_what_nothing_dominates(points: list[tuple[float, float]]) -> None:
    index = pareto_front([x for x, _ in points], [y for _, y in points])
    front = {points[at] for at in index}
    assert front == {p for p in points if not dominated(*p, points)}
    assert len(index) == len(front), "equal points appear once"
    assert [points[at][0] for at in index] == sorted((x for x, _ in front), reverse=True)


def test_an_unknown_point_is_never_on_the_front() -> None:
    assert pareto_front([1.0, math.nan, 2.0], [2.0, 9.0, 1.0]).tolist() == [2, 0]
    assert pareto_front([], []).size == 0


# -- balance of pools ----------------------------------------
@given(
    a=st.floats(0.05, 20.0),
    c=st.sampled_from([1, 2, 3, 4, 8, 16, 24]),
    decode=st.lists(
        st.tuples(st.floats(0.05, 20.0), st.sampled_from([1, 2, 4, 8, 12, 32])), min_size=1, max_size=5
    ),
    n=st.integers(1, 150),
)
@settings(deadline=None, max_examples=200)
def test_pools_are_balanced_as_well_as_trying_every_number_would(
    a: float, c: int, decode: list[tuple[float, int]], n: int
) -> None:
    found = match_pools(a, c, [b for b, _ in decode], [d for _, d in decode], n)
    for index, (b, d) in enumerate(decode):
        tried = [min(x * a, (n - x * c) // d * b) for x in range(1, n // c + 1) if (n - x * c) // d >= 1]
        best = max(tried, default=0.0)
        x, y = int(found.prefill[index]), int(found.decode[index])
        assert found.requests_per_s[index] == pytest.approx(best)
        assert x * c + y * d <= n
        assert (x > 0) == (y > 0) == (best > 0.0)
        if best:
            assert min(x * a, y * b) == pytest.approx(best)
            assert (x - 1) * a < best and (y - 1) * b < best, "no replica is there for nothing"


# -- layouts and loads ----------------------------------------
@pytest.mark.parametrize("name", ["qwen3-32b", "deepseek-v3", "kimi-k2", "gpt-oss-120b", "llama-3.1-405b"])
@pytest.mark.parametrize("chips", [1, 6, 32, 500])
def test_layouts_are_legal_distinct_and_within_the_chips(name: str, chips: int) -> None:
    model = KNOWN.model(name)[0]
    found = list(layouts(model, CHIP, chips))
    assert len(set(found)) == len(found) > 0
    for one in found:
        check_sharding(with_redundant_experts(model, copies(model, one.ep)), one.sharding)
        assert one.chips <= chips and one.replicas == 1
        assert one.pp <= model.layer_count
        assert one.tp <= 2 * CHIP.domain


def test_layouts_hold_the_ones_of_the_field() -> None:
    """DeepSeek's own: prefill EP32, decode EP144 with 32 copies; a rack of 72; Kimi's 384 experts in threes.

    DeepSeek-V3/R1 inference system overview (2025): decode on 18 nodes, EP144, two routed experts a chip.
    """
    deepseek = {(one.tp, one.pp, one.dp, one.ep) for one in layouts(KNOWN.model("deepseek-v3")[0], CHIP, 384)}
    assert {
        (8, 1, 1, 1),
        (8, 1, 1, 8),
        (1, 1, 8, 8),
        (4, 1, 8, 32),
        (1, 1, 128, 128),
        (1, 1, 144, 144),
        (1, 1, 72, 72),
        (8, 2, 1, 1),
    } <= deepseek
    assert [copies(KNOWN.model("deepseek-v3")[0], ep) for ep in (1, 32, 72, 144, 256)] == [0, 0, 32, 32, 0]
    kimi = {(one.tp, one.pp, one.dp, one.ep) for one in layouts(KNOWN.model("kimi-k2")[0], CHIP, 384)}
    assert {(1, 1, 24, 24), (1, 1, 96, 96), (1, 1, 384, 384)} <= kimi
    qwen = {(one.tp, one.pp, one.dp, one.ep) for one in layouts(KNOWN.model("qwen3-32b")[0], CHIP, 8)}
    assert qwen == {(tp, pp, 1, 1) for tp in (1, 2, 4, 8) for pp in (1, 2, 4, 8) if tp * pp <= 8}


@given(st.floats(0.0, 1e5))
@settings(deadline=None)
def test_loads_reach_from_one_to_all_in_small_steps(capacity: float) -> None:
    found = loads(capacity)
    if capacity < 1.0:
        assert not found.size
        return
    assert found[0] == 1.0 and found[-1] == int(capacity)
    assert np.all(np.diff(found) >= 1.0) and np.all(found == np.floor(found))
    assert np.all((found[1:] <= found[:-1] * 1.1) | (np.diff(found) == 1.0))


# -- limits ----------------------------------------
def test_a_budget_buys_whole_servers() -> None:
    """Catalogue: an 8-chip H200 server at 370,000 USD (mercatus-servers); 13 of them cost 4.81 MUSD, 14 5.18."""
    found = supply(read_limit(None, "5 MUSD", None), KNOWN.catalog, CHIP, KNOWN.cost(CHIP.id))
    assert (found.chips, found.unit) == (104, 8)
    assert "nvidia-hgx-h200-8" in found.reason


def test_power_feeds_whole_servers_and_exactly_n_are_n() -> None:
    """Catalogue: an 8-chip H200 server draws at most 10.2 kW."""
    for power, servers in (("1 MW", 98), ("102 kW", 10), ("10.2 kW", 1), ("101.9 kW", 9)):
        found = supply(read_limit(None, None, power), KNOWN.catalog, CHIP, None)
        assert found.chips == 8 * servers, power


def test_rent_is_by_the_chip() -> None:
    cost = KNOWN.cost(CHIP.id)
    assert cost is not None
    hourly = cost.usd_per_s.value * 3600.0
    for chips in (1, 7, 100):
        limit = read_limit(None, f"{hourly * chips * 1.001:.6f} USD/h", None)
        assert limit.kind == "rent"
        assert supply(limit, KNOWN.catalog, CHIP, cost).chips == chips


def test_too_little_says_how_much_is_missing() -> None:
    with pytest.raises(InfeasibleError, match=r'100 kUSD is less than one system .* --budget "370000 USD"'):
        supply(read_limit(None, "100 kUSD", None), KNOWN.catalog, CHIP, None)


@given(kind=st.sampled_from(["price", "rent", "power"]), amount=st.floats(1.0, 5000.0))
@settings(deadline=None, max_examples=40)
def test_the_amount_that_a_refusal_names_is_enough(kind: str, amount: float) -> None:
    written = {"price": ("budget", "USD"), "rent": ("budget", "USD/h"), "power": ("power", "W")}[kind]
    text = f"{amount / 1e4 if kind == 'rent' else amount:.6f} {written[1]}"
    limit = read_limit(None, *((text, None) if written[0] == "budget" else (None, text)))
    cost = KNOWN.cost(CHIP.id)
    with pytest.raises(InfeasibleError, match="less than one system") as caught:
        supply(limit, KNOWN.catalog, CHIP, cost)
    named = str(caught.value).split(f'--{written[0]} "')[1].split('"')[0]
    enough = read_limit(None, *((named, None) if written[0] == "budget" else (None, named)))
    assert enough.kind == kind
    assert supply(enough, KNOWN.catalog, CHIP, cost).chips >= 1


def test_a_device_stands_in_no_server() -> None:
    """A laptop's chip needs its own power alone: 10 of them fit in ten times its TDP."""
    laptop = KNOWN.chip("apple-m4-max")
    assert laptop.tdp_w is not None
    found = supply(read_limit(None, None, f"{10 * laptop.tdp_w} W"), KNOWN.catalog, laptop, None)
    assert (found.chips, found.unit) == (10, 1)
    best = recommend(Question("qwen3-4b", ("apple-m4-max",), 500, 100, read_limit(1, None, None)), KNOWN).best
    assert best.device and best.power_wall_w == best.power_w is not None
    assert best.power_wall_w is not None and best.power_wall_w.value <= laptop.tdp_w


def test_a_chip_without_a_price_is_missing_data() -> None:
    tpu = KNOWN.chip("google-tpu-v6e")
    with pytest.raises(NoDataError, match="google-tpu-v6e: no price in USD"):
        supply(read_limit(None, "5 MUSD", None), Catalog(), tpu, None)
    with pytest.raises(NoDataError, match="neither a rent nor a price"):
        supply(read_limit(None, "50 USD/h", None), Catalog(), tpu, None)


# -- questions ----------------------------------------
@pytest.mark.parametrize(
    ("chips", "budget", "power", "limit"),
    [
        (32, None, None, Limit("chips", 32.0, "32 chips")),
        (None, "5 MUSD", None, Limit("price", 5e6, "5 MUSD")),
        (None, "72 USD/h", None, Limit("rent", 0.02, "72 USD/h")),
        (None, None, "1 MW", Limit("power", 1e6, "1 MW")),
    ],
)
def test_limits_are_read_with_their_units(
    chips: int | None, budget: str | None, power: str | None, limit: Limit
) -> None:
    assert read_limit(chips, budget, power) == limit


def test_exactly_one_limit() -> None:
    with pytest.raises(InputError, match="none is given"):
        read_limit(None, None, None)
    with pytest.raises(InputError, match="--chips and --power are given"):
        read_limit(8, None, "1 MW")
    with pytest.raises(InputError, match="above 0"):
        read_limit(0, None, None)
    with pytest.raises(UnitError, match=r'--power: .*write an amount such as "1 MW"'):
        read_limit(None, None, "1 m")
    with pytest.raises(UnitError, match=r'--budget: .*"100 USD/h"'):
        read_limit(None, "5 million", None)


def test_models_come_from_the_catalogue() -> None:
    """What the other tests rely on: the shapes are those of the vendors' configs."""
    assert from_config(KNOWN.catalog.model("kimi-k2")).experts_per_layer == 384
    assert from_config(KNOWN.catalog.model("deepseek-v3")).experts_per_layer == 256
