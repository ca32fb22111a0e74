"""Published tables of topologies, collectives and expert exchange."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from suanli.network.clos import clos
from suanli.network.collectives import bus_bandwidth_bytes_per_s, bus_factor, collective_s
from suanli.network.expert_exchange import message_bytes
from suanli.network.fabric import Switch, fabric_bill
from suanli.network.link_fit import fit_link
from suanli.network.media import Medium, choose_medium
from suanli.network.topologies import dragonfly, slim_fly

TABLES = Path(__file__).parents[1] / "validation"


def rows(name):
    with (TABLES / f"network_{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def inputs(row):
    return dict(part.split("=") for part in row["inputs"].split(";"))


@pytest.mark.parametrize("row", rows("topologies"), ids=lambda row: row["id"])
def test_counts(row):
    given = inputs(row)
    if given["kind"] == "clos":
        size = clos(float(given["endpoints"]), int(given["radix"]), rails=float(given["rails"]))
    elif given["kind"] == "slim_fly":
        size = slim_fly(int(given["q"]))
    else:
        size = dragonfly(int(given["p"]), int(given["a"]), int(given["h"]), int(given["groups"]))
    assert float(getattr(size, row["quantity"])) == float(row["published"])


def test_one_more_endpoint_needs_a_third_tier():
    for row in rows("topologies"):
        if row["quantity"] == "tiers":
            given = inputs(row)
            assert clos(float(given["endpoints"]) + 1, int(given["radix"])).tiers == 3


@pytest.mark.parametrize("switch_usd", [25_000.0, 36_000.0, 50_000.0])
def test_costs_follow_from_one_set_of_unit_prices(switch_usd):
    # the paper prints no unit prices: two rows imply those of links at a QM9700's price and band
    table = rows("topology_cost")
    count = {
        key: np.array([float(row[key]) for row in table]) for key in ("switches", "switch_links", "endpoints")
    }
    published = np.array([float(row["published_usd"]) for row in table])
    implied = np.array([row["use"] == "implied" for row in table])
    links = np.stack([count["switch_links"], count["endpoints"]], axis=1)
    boxes = count["switches"] * switch_usd
    prices = np.linalg.solve(links[implied], (published - boxes)[implied])
    assert np.all(prices > 0)
    for row, inner, hosts, switches, cost in zip(
        table, count["switch_links"], count["endpoints"], count["switches"], published, strict=True
    ):
        bill = fabric_bill(
            switches=switches,
            host_links=hosts,
            switch_links=inner,
            switch=Switch("x", 64, 0.0, switch_usd),
            host_medium=choose_medium([Medium("host", "dac", 1.0, 0.0, 0.0, prices[1])], 0.0),
            switch_medium=choose_medium([Medium("inner", "dac", 1.0, 0.0, 0.0, prices[0])], 0.0),
        )
        assert bill.capex_usd.total == pytest.approx(cost, rel=0.05), row["id"]


@pytest.mark.parametrize(
    "row", [row for row in rows("collectives") if row["bus_bandwidth_gb_per_s"]], ids=lambda row: row["id"]
)
def test_bus_bandwidth(row):
    found = bus_bandwidth_bytes_per_s(
        row["operation"], int(row["ranks"]), float(row["size_bytes"]), float(row["time_s"])
    )
    assert found == pytest.approx(float(row["bus_bandwidth_gb_per_s"]) * 1e9, rel=float(row["tolerance"]))


def test_square_root_term_pays():
    curve = [row for row in rows("collectives") if row["id"].startswith("nccl-h100")]
    size = np.array([float(row["size_bytes"]) for row in curve])
    time = np.array([float(row["time_s"]) for row in curve])
    fitted = fit_link("all_reduce", 8, size, time)
    with_root = np.abs(collective_s("all_reduce", 8, size, fitted) / time - 1)
    design = np.stack([np.ones_like(size), bus_factor("all_reduce", 8) * size], axis=1) / time[:, np.newaxis]
    alpha_beta = np.linalg.lstsq(design, np.ones_like(time), rcond=None)[0]
    without = np.abs(design @ alpha_beta - 1)
    assert fitted.sqrt_s_per_sqrt_byte > 0
    assert np.mean(with_root) < 0.6 * np.mean(without)


@pytest.mark.parametrize("row", rows("expert_exchange"), ids=lambda row: row["id"])
def test_deepep_bytes(row):
    sent = message_bytes(
        int(row["tokens"]), int(row["hidden"]), int(row["top_k"]), float(row["bytes_per_element"])
    )
    printed = float(row["latency_s"]) * float(row["bandwidth_gb_per_s"]) * 1e9
    assert printed == pytest.approx(float(sent), rel=float(row["tolerance"]))
