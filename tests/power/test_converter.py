"""Loss curves: published points hit exactly, laws of a loss, the two directions undo each other."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InputError
from suanli.power import (
    Converter,
    QuadraticLoss,
    TabulatedLoss,
    converter_from_facts,
    efficiency,
    input_w,
    loss_w,
    output_w,
    parameters_used,
)

VALIDATION = Path(__file__).parent.parent / "validation"


def rows(name: str) -> list[dict[str, str]]:
    with (VALIDATION / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "row", rows("power_80plus.csv"), ids=lambda row: f"{row['certificate']}@{row['load_fraction']}"
)
def test_80plus_minima_are_hit_exactly(build, row) -> None:
    converter = build(row["certificate"])
    assert efficiency(converter, float(row["load_fraction"])) == pytest.approx(
        float(row["efficiency"]), abs=1e-12
    )


@pytest.mark.parametrize("row", rows("power_transformers_eu548.csv"), ids=lambda row: row["id"])
def test_transformer_losses_of_the_regulation(build, row) -> None:
    rating, standing, ohmic = (float(row[key]) for key in ("rating_va", "no_load_loss_w", "load_loss_w"))
    transformer = build(row["id"])
    assert transformer.rated_w == rating
    assert loss_w(transformer, 0.0) == pytest.approx(standing, rel=1e-12)
    assert loss_w(transformer, rating) == pytest.approx(standing + ohmic, rel=1e-12)
    # Peak efficiency index of EN 50588-1: 1 - 2 sqrt(P0 Pk)/S of the power drawn, at x = sqrt(P0/Pk).
    best = np.sqrt(standing / ohmic)
    peak = loss_w(transformer, best * rating) / (best * rating)
    assert peak == pytest.approx(2.0 * np.sqrt(standing * ohmic) / rating, rel=1e-12)


@pytest.mark.parametrize(("fraction", "published"), [(0.5, 0.975), (1.0, 0.965)])
def test_orv3_rectifier_of_the_2019_workshop(build, fraction, published) -> None:
    # OCP engineering workshop 2019-07-10 (Keyhani, Harris): 97.5 % peak, 96.5 % at full load, fan included.
    assert efficiency(build("orv3-rectifier-3kw"), fraction) == pytest.approx(published, abs=1e-12)


@pytest.mark.parametrize("row", rows("power_raps_frontier.csv"), ids=lambda row: row["case"])
def test_raps_frontier_is_reproduced(build, row) -> None:
    cpu, gpu = float(row["cpu_utilisation"]), float(row["gpu_utilisation"])
    # config/frontier.yaml: idle and largest power of one CPU and four GPUs, memory, four NICs, storage.
    node = 90 + cpu * (280 - 90) + 4 * (88 + gpu * (560 - 88)) + 74.26 + 4 * 20 + 30
    sivoc = converter_from_facts("sivoc", {"rating": 1e4, "efficiency_linear": 0.98, "standing_loss": 13.0})
    rectifier = converter_from_facts(
        "rectifier", {"rating": 1e4, "efficiency_linear": 0.96, "standing_loss": 17.0}
    )
    four = input_w(rectifier, 4 * input_w(sivoc, node))
    tolerance = float(row["tolerance"])
    assert four / 4 == pytest.approx(float(row["node_input_w"]), rel=tolerance)
    racks, switches, cdus = 74, 74 * 8 * 4 * 250.0, 25 * 8473.47
    assert racks * 128 * four / 4 + switches + cdus == pytest.approx(float(row["system_w"]), rel=tolerance)


def test_raps_parameters_of_the_catalogue_match_its_configuration(build) -> None:
    from suanli.catalog import Catalog

    catalog = Catalog()
    stated = {
        name: catalog.fact("converters", *name.split("/")).si
        for name in (
            "frontier-sivoc/efficiency_linear",
            "frontier-sivoc/standing_loss",
            "frontier-rectifier/efficiency_linear",
            "frontier-rectifier/standing_loss",
        )
    }
    assert list(stated.values()) == pytest.approx([0.98, 13.0, 0.96, 17.0])


def test_anchor_moves_the_whole_curve_and_is_hit() -> None:
    facts = {
        "loss_a": 0.005,
        "loss_b": 0.013,
        "loss_c": 0.019,
        "efficiency_at_050": np.array([0.96, 0.97, 0.98]),
    }
    ups = converter_from_facts("ups", facts)
    assert efficiency(ups, 0.5) == pytest.approx([0.96, 0.97, 0.98], abs=1e-12)
    at_full = efficiency(ups, 1.0)
    assert at_full[0] < at_full[1] < at_full[2]
    # Shape kept: loss at full over loss at half is that of the stated coefficients.
    assert loss_w(ups, 1.0, 1.0) / loss_w(ups, 0.5, 1.0) == pytest.approx([0.037 / 0.01625] * 3)


def test_parameters_used_names_what_is_read() -> None:
    assert parameters_used({"rating", "no_load_loss", "load_loss", "efficiency_at_050", "price"}) == (
        "rating",
        "no_load_loss",
        "load_loss",
    )
    assert parameters_used({"loss_a", "loss_b", "loss_c", "efficiency_at_050", "price"}) == (
        "loss_a",
        "loss_b",
        "loss_c",
        "efficiency_at_050",
    )
    assert parameters_used({"efficiency_at_020", "efficiency_at_100"}) == (
        "efficiency_at_020",
        "efficiency_at_100",
    )
    assert parameters_used({"efficiency_at_035", "price"}) == ()


def test_bad_facts_are_named() -> None:
    with pytest.raises(InputError, match="efficiency_at_050 must be a fraction"):
        converter_from_facts("psu", {"efficiency_at_020": 0.9, "efficiency_at_050": 96.0})
    with pytest.raises(InputError, match="no loss curve; give loss_a"):
        converter_from_facts("psu", {"efficiency_peak": 0.97})
    with pytest.raises(InputError, match="has no rating"):
        loss_w(Converter("psu", QuadraticLoss(0.01, 0.0, 0.05)), 100.0)


shares = st.floats(1e-4, 0.2)


@settings(deadline=None)
@given(a=shares, b=shares, c=shares, x=st.floats(0.0, 1.2), rated=st.floats(1.0, 1e9))
def test_delivered_and_drawn_undo_each_other(a, b, c, x, rated) -> None:
    converter = Converter("device", QuadraticLoss(a, b, c))
    drawn = input_w(converter, x * rated, rated)
    assert drawn >= x * rated
    assert output_w(converter, drawn, rated) == pytest.approx(x * rated, rel=1e-9, abs=1e-9 * rated)


def test_less_than_the_standing_loss_delivers_nothing() -> None:
    converter = Converter("device", QuadraticLoss(0.02, 0.01, 0.01))
    assert output_w(converter, 15.0, 1000.0) == 0.0


@settings(deadline=None)
@given(a=shares, b=shares, c=shares)
def test_efficiency_peaks_where_standing_equals_ohmic_loss(a, b, c) -> None:
    converter = Converter("device", QuadraticLoss(a, b, c))
    best = np.sqrt(a / c)
    beside = efficiency(converter, best * np.array([0.9, 1.0, 1.1]))
    assert beside[1] >= beside[0]
    assert beside[1] >= beside[2]


@settings(deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(0.02, 0.3), st.floats(0.0, 0.05)), min_size=2, max_size=7),
    load=st.lists(st.floats(0.0, 3.0), min_size=2, max_size=20),
)
def test_interpolated_loss_passes_the_points_and_never_falls(points, load) -> None:
    xs = np.cumsum([step for step, _ in points])
    losses = 0.002 + np.cumsum([rise for _, rise in points])
    table = TabulatedLoss(tuple(xs), tuple(losses))
    assert table.at(xs) == pytest.approx(losses, abs=1e-14)
    assert np.all(np.diff(table.at(np.sort(load))) >= -1e-12)
    assert np.all(table.at(load) >= 0.0)


def test_interpolation_takes_samples_at_every_point() -> None:
    low, high = np.array([0.01, 0.012]), np.array([0.03, 0.05])
    table = TabulatedLoss((0.1, 0.5, 1.0), (low, 0.02, high))
    both = table.at(np.full(2, 0.8))
    for i in range(2):
        assert both[i] == TabulatedLoss((0.1, 0.5, 1.0), (low[i], 0.02, high[i])).at(0.8)


def test_samples_meet_hours() -> None:
    converter = Converter("device", QuadraticLoss(np.array([[0.01], [0.02]]), 0.01, 0.02))
    assert loss_w(converter, np.full(24, 500.0), 1000.0).shape == (2, 24)
