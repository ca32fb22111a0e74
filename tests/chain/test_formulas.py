"""Every number explains itself: formulas recomputed, inputs present, every chain of inputs ending at a source."""

from __future__ import annotations

import ast
import graphlib
import math
import operator
import re
from collections.abc import Callable, Mapping

import pytest

from suanli.catalog import Catalog
from suanli.result.metrics import metrics
from suanli.result.run import Result
from suanli.result.value import Value
from suanli.units import to_si, unit

_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {"ceil": math.ceil, "max": max, "min": min}


def evaluate(formula: str, values: Mapping[str, Value]) -> tuple[float, set[str]]:
    """Value of "= a.b * (c.d + 2)" in coherent units, and the names that it used."""
    used: set[str] = set()

    def name_of(node: ast.expr) -> str:
        return f"{name_of(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ast.unparse(node)

    def visit(node: ast.expr) -> float:
        if isinstance(node, ast.Constant):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](visit(node.left), visit(node.right))
        if isinstance(node, ast.Call):
            return float(_FUNCTIONS[ast.unparse(node.func)](*map(visit, node.args)))
        if isinstance(node, ast.Attribute):
            name = name_of(node)
            used.add(name)
            value = values[name]
            assert value.value is not None, f"{name} has no number"
            return to_si(value.value, value.unit)
        raise AssertionError(f"not arithmetic: {ast.unparse(node)}")

    return visit(ast.parse(formula.removeprefix("=").strip(), mode="eval").body), used


def names_in(formula: str) -> set[str]:
    return set(re.findall(r"[a-z_]+(?:\.[a-z0-9_]+)+", formula))


def cases(results: Mapping[str, Result]) -> list[tuple[str, Result, Value]]:
    return [(case, result, v) for case, result in results.items() for v in result.values.values()]


def test_the_evaluator_reads_arithmetic() -> None:
    values = {"a.x": Value("a.x", 2.0, "kW"), "a.y": Value("a.y", 3.0)}
    assert evaluate("= a.x * (1 - a.y / 4) + max(a.y, 5) - ceil(1.2)", values) == (503.0, {"a.x", "a.y"})
    with pytest.raises(AssertionError, match="not arithmetic"):
        evaluate("= -a.x", values)


def test_formulas_give_the_recorded_values(every: Mapping[str, Result]) -> None:
    wrong = []
    for case, result, value in cases(every):
        if not value.formula.startswith("=") or value.value is None:
            continue
        expected, _ = evaluate(value.formula, result.values)
        if not math.isclose(to_si(value.value, value.unit), expected, rel_tol=1e-9, abs_tol=1e-12):
            wrong.append(f"{case}: {value.name} is {value.value!r}, {value.formula} gives {expected!r}")
    assert wrong == []


def test_formulas_name_their_inputs(every: Mapping[str, Result]) -> None:
    wrong = [
        f"{case}: {value.name}: {value.formula} but inputs are {value.inputs}"
        for case, _, value in cases(every)
        if value.formula.startswith("=") and names_in(value.formula) != set(value.inputs)
    ]
    assert wrong == []


def test_every_arithmetic_formula_was_checked(every: Mapping[str, Result]) -> None:
    checked = {v.name for _, _, v in cases(every) if v.formula.startswith("=") and v.value is not None}
    assert {name for name, metric in metrics().items() if metric.formula.startswith("=")} - checked == set()


def test_every_metric_is_reached(every: Mapping[str, Result]) -> None:
    """A metric that no case produces is a promise that nothing keeps."""
    reached = {v.name for _, _, v in cases(every) if v.value is not None}
    assert not {name for name in metrics() if not name.startswith("sim.")} - reached


def test_inputs_of_derived_values_are_in_the_ledger(every: Mapping[str, Result]) -> None:
    wrong = [
        f"{case}: {value.name} uses {name}"
        for case, result, value in cases(every)
        for name in value.inputs
        if name not in result.values
    ]
    assert wrong == []


def test_derived_values_have_formula_and_inputs(every: Mapping[str, Result]) -> None:
    wrong = [
        f"{case}: {value.name}"
        for case, _, value in cases(every)
        if value.basis == "derived" and not (value.formula and value.inputs)
    ]
    assert wrong == []


def test_values_are_in_coherent_units_and_metrics_in_their_own(every: Mapping[str, Result]) -> None:
    wrong = []
    for case, _, value in cases(every):
        if value.basis in ("derived", "given") and unit(value.unit).factor != 1.0:
            wrong.append(f"{case}: {value.name} in {value.unit}")
        if value.name in metrics() and value.unit != metrics()[value.name].unit:
            wrong.append(f"{case}: {value.name} in {value.unit}, not {metrics()[value.name].unit}")
    assert wrong == []


def test_explanations_end_at_given_or_catalogue_values(every: Mapping[str, Result]) -> None:
    for case, result, value in cases(every):
        leaves, open_, seen = set(), [value.name], set()
        while open_:
            name = open_.pop()
            if name in seen:
                continue
            seen.add(name)
            below = result.values[name].inputs
            open_ += below
            if not below:
                leaves.add(name)
        bases = {result.values[name].basis for name in leaves}
        assert bases <= {"given", "catalogue", "unavailable"}, f"{case}: {value.name} rests on {leaves}"
        if value.basis == "derived":
            assert leaves - {value.name}, f"{case}: {value.name} rests on nothing"


def test_no_value_explains_itself_by_itself(every: Mapping[str, Result]) -> None:
    for result in every.values():
        order = graphlib.TopologicalSorter({name: value.inputs for name, value in result.values.items()})
        order.prepare()  # raises CycleError with the circle


def test_catalogue_values_have_a_source_on_record(every: Mapping[str, Result], catalog: Catalog) -> None:
    wrong = []
    for case, _, value in cases(every):
        if value.basis != "catalogue":
            continue
        row, *rest = value.origin.split(" | ")
        if row.startswith("models/"):
            sources = [part for part in rest if not part.startswith("config ")]
            known = catalog.model(row.removeprefix("models/"))["_suanli"]["sources"]
            if not sources or sources != known:
                wrong.append(f"{case}: {value.name}: {value.origin}")
            continue
        table, key, parameter = row.split("/")
        # Fitted coefficients are no facts of the catalogue: the file beside it, the set, and what the set is for.
        fitted = table in ("calibration", "frameworks", "power_model")
        fact = catalog.fact(table, key, parameter) if ":" not in parameter and not fitted else None
        if not rest or not catalog.source(rest[0]).get("title"):
            wrong.append(f"{case}: {value.name}: no source on record for {value.origin}")
        if fact and (fact.source, fact.grade) != (rest[0], value.grade):
            wrong.append(f"{case}: {value.name}: {value.origin} is not the row {fact}")
        if fact and not value.text and (fact.number, fact.unit or "1") != (value.value, value.unit):
            wrong.append(
                f"{case}: {value.name} is {value.value} {value.unit}, the row {fact.value} {fact.unit}"
            )
    assert wrong == []


def test_given_values_are_the_scenarios(every: Mapping[str, Result]) -> None:
    """What is marked given stands in the scenario under its own name, or under the section's."""
    elsewhere = {
        "serving.slo_tpot": "serving.slo.tpot",
        "serving.prefill_chips": "serving.prefill.chips",
        "serving.decode_chips": "serving.decode.chips",
        "system.price": "economics.server_price",
        "serving.mtp_acceptance": "llm.mtp_acceptance",
    }
    wrong = []
    for case, result, value in cases(every):
        if value.basis != "given" or value.text:
            continue
        path = elsewhere.get(value.name, value.name)
        if result.scenario["serving"]["mode"] == "aggregated" and path.endswith(".chips"):
            path = "serving.replica.chips"
        table: object = result.scenario
        for key in path.split("."):
            table = table.get(key) if isinstance(table, Mapping) else None
        number = _number(str(table))
        if number is None or value.value is None or not math.isclose(number, value.value, rel_tol=1e-11):
            wrong.append(f"{case}: {value.name} = {value.value}, the scenario says {table}")
    assert wrong == []


def _number(text: str) -> float | None:
    match = re.fullmatch(r"(\S+?)(?: (\S+))?", text)
    try:
        return to_si(float(match[1]), match[2] or "1") if match else None
    except ValueError:
        return None
