"""The ledger: what is recorded, under which basis, and that unknown stays unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from suanli.catalog import Catalog
from suanli.errors import InputError, UnitError, UnknownIdError
from suanli.result.draws import Draws
from suanli.result.ledger import Ledger
from suanli.result.metrics import metrics
from suanli.result.run import Result, by_name
from suanli.result.tree import shown, shown_band, walk
from suanli.result.value import Value
from suanli.units import unit


@pytest.fixture
def book() -> Ledger:
    return Ledger(Draws(16, 1))


def test_a_given_number_is_exact_and_named(book: Ledger) -> None:
    assert book.given("demand.input_tokens_per_day", 5e9, "tok") == 5e9
    value = book["demand.input_tokens_per_day"]
    assert (value.value, value.unit, value.low, value.high, value.basis) == (5e9, "tok", 5e9, 5e9, "given")


def test_a_fact_keeps_its_row_and_hands_out_coherent_samples(book: Ledger) -> None:
    row = Catalog().fact("chips", "nvidia-h800-sxm", "memory_capacity")
    samples = book.fact("chip.memory_capacity", row)
    value = book["chip.memory_capacity"]
    assert (value.value, value.unit, value.basis) == (row.number, row.unit, "catalogue")
    assert float(np.ravel(samples)[0]) == row.si == 80e9
    assert value.origin.startswith("chips/nvidia-h800-sxm/memory_capacity | ")
    assert value.grade == row.grade


def test_a_derived_value_takes_unit_formula_and_inputs_from_the_metrics(book: Ledger) -> None:
    book.derive("fleet.nodes", np.array([2.0, 1.0, 3.0]))
    value = book["fleet.nodes"]
    assert (value.value, value.unit) == (2.0, "1")
    assert value.formula == "= fleet.prefill_nodes + fleet.decode_nodes"
    assert value.inputs == ("fleet.prefill_nodes", "fleet.decode_nodes")
    assert value.low is not None and value.high is not None and value.low < 2.0 < value.high


def test_inputs_that_may_be_missing_are_named_only_where_they_are(book: Ledger) -> None:
    book.derive("serving.tokens_per_step", 1.0)
    assert book["serving.tokens_per_step"].inputs == ("llm.id",)
    book.given("serving.mtp_acceptance", 0.8)
    book.derive("serving.tokens_per_step", 1.8)
    assert book["serving.tokens_per_step"].inputs == ("llm.id", "serving.mtp_acceptance")


def test_not_a_number_is_unavailable_with_the_reason_of_its_input(book: Ledger) -> None:
    book.unavailable("system.price_estimate", "no price on record")
    book.derive("economics.capex_parts.systems", np.nan)
    value = book["economics.capex_parts.systems"]
    assert (value.value, value.basis, value.reason) == (None, "unavailable", "no price on record")
    book.derive("economics.payback", np.nan, missing="never comes back")
    assert book["economics.payback"].reason == "never comes back"


def test_a_metric_that_is_not_described_cannot_be_derived(book: Ledger) -> None:
    with pytest.raises(KeyError):
        book.derive("fleet.nonsense", 1.0)


def test_a_unit_that_is_not_one_is_refused(book: Ledger) -> None:
    with pytest.raises(UnitError):
        book.given("demand.x", 1.0, "furlong")


def test_warnings_are_said_once(book: Ledger) -> None:
    book.warn("careful")
    book.warn("careful")
    assert book.warnings == ["careful"]


def test_unknown_names_are_refused_with_the_close_ones(book: Ledger) -> None:
    book.given("fleet.nodes", 3.0)
    for look in (book.__getitem__, book.samples):
        with pytest.raises(UnknownIdError, match=r'No value "fleet.node"\. Close: fleet\.nodes'):
            look("fleet.node")
    assert "fleet.nodes" in book and "fleet.node" not in book


def test_order_is_the_order_of_the_chain(book: Ledger) -> None:
    for name in ("z.a", "a.z", "m.m"):
        book.given(name, 1.0)
    assert [value.name for value in book] == ["z.a", "a.z", "m.m"]


# -- metrics.csv --------------------------------------------------------------------------------------------------
def test_metrics_are_well_described() -> None:
    for name, metric in metrics().items():
        assert unit(metric.unit).factor == 1.0, f"{name}: {metric.unit} is not coherent"
        assert metric.label and metric.formula, name
        assert metric.per == "" or metric.per.startswith("/"), name
        assert "." in name and name == name.lower(), name


# -- values and results --------------------------------------------------------------------------------------------
VALUES = [
    Value("a.x", 2.0, "W", 1.0, 3.0, "derived", "= b.y * c.z", ("b.y", "c.z")),
    Value("b.y", 1.0, "kW", 1.0, 1.0, "catalogue", origin="chips/x/tdp | src | page 3 | 2025", grade="B"),
    Value("c.z", 2.0, basis="given", low=2.0, high=2.0, origin="scenario"),
    Value("d.w", None, "USD", basis="unavailable", reason="no price on record"),
    Value("e.id", None, basis="given", text="deepseek-r1"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: v.name)
def test_entries_read_back_as_they_were(value: Value) -> None:
    assert Value.from_entry(json.loads(json.dumps(value.as_entry()))) == value


def test_an_unknown_value_is_null_with_its_reason() -> None:
    entry = VALUES[3].as_metric()
    assert entry["value"] is None and entry["reason"] == "no price on record"
    assert "reason" not in VALUES[0].as_metric()


def result(**scenario: object) -> Result:
    return Result({"name": "x", **scenario}, by_name(VALUES), ("careful",))


def test_a_result_reads_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result().archive()), encoding="utf-8")
    again = Result.read(path)
    assert again == result() and again.hash == result().hash


def test_the_hash_follows_inputs_and_not_results() -> None:
    base = result().hash
    assert result(seed=1).hash != base
    values = by_name(VALUES)
    moved = {**values, "a.x": Value("a.x", 99.0, "W", basis="derived")}
    assert Result({"name": "x"}, moved).hash == base, "a derived value is no input"
    for change in ({"value": 1.1}, {"low": 0.5}, {"origin": "chips/x/tdp | other"}, {"text": "y"}):
        row = Value(**{**{k: getattr(values["b.y"], k) for k in Value.__slots__}, **change})
        assert Result({"name": "x"}, {**values, "b.y": row}).hash != base, change
    assert Result({"name": "x"}, values, version="9.9").hash != base


def test_results_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such result. Make one with: suanli run"):
        Result.read(tmp_path / "nowhere.json")
    with pytest.raises(UnknownIdError):
        result()["a.y"]


# -- explanations --------------------------------------------------------------------------------------------------
def test_a_walk_goes_down_to_the_leaves() -> None:
    steps = [(s.value.name, s.depth, s.repeated) for s in walk(by_name(VALUES), "a.x")]
    assert steps == [("a.x", 0, False), ("b.y", 1, False), ("c.z", 1, False)]


def test_a_shared_branch_is_opened_once() -> None:
    values = by_name(
        [
            Value("t.t", 1.0, inputs=("l.l", "r.r")),
            Value("l.l", 1.0, inputs=("s.s",)),
            Value("r.r", 1.0, inputs=("s.s",)),
            Value("s.s", 1.0, inputs=("z.z",)),
            Value("z.z", 1.0, basis="given"),
        ]
    )
    steps = [(s.value.name, s.repeated) for s in walk(values, "t.t")]
    assert steps == [
        ("t.t", False),
        ("l.l", False),
        ("s.s", False),
        ("z.z", False),
        ("r.r", False),
        ("s.s", True),
    ]
    assert [s.value.name for s in walk(values, "t.t", max_depth=1)] == ["t.t", "l.l", "r.r"]


def test_how_values_are_shown() -> None:
    assert [shown(value) for value in VALUES] == [
        "2 W",
        "1 kW",
        "2",
        "unavailable (no price on record)",
        "deepseek-r1",
    ]
    assert shown(Value("economics.cost_per_day", 87072.0, "USD")) == "87,072 USD/day"
    assert [shown_band(value) for value in VALUES] == ["1..3", "", "", "", ""]
    assert shown_band(Value("power.it", 2e6, "W", 1e6, 3.5e6)) == "1..3.5"
