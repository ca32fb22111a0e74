"""The registry, its checks, causes and the quantities that stand in several places."""

from __future__ import annotations

import re

import pytest

from suanli.evidence import KINDS, Audit, Registry, across, audit, registry, relations, reports
from suanli.evidence.across import groups
from suanli.evidence.claims import claim_of
from suanli.evidence.relation import Relation


@pytest.fixture(scope="module")
def found() -> Audit:
    return audit()


def _claim(name: str, value: str = "", unit: str = "", **more: str) -> tuple[str, ...]:
    fields = {
        "locator": "",
        "kind": "",
        "subject": "market/x",
        "quantity": "",
        "low": "",
        "high": "",
        "period": "",
    }
    fields |= {"credited": "", "note": "", **more}
    order = ("locator", "kind", "subject", "quantity")
    rest = ("period", "credited", "note")
    return (
        name,
        *(fields[k] for k in order),
        value,
        fields["low"],
        fields["high"],
        unit,
        *(fields[k] for k in rest),
    )


def _one(
    expression: str, printed: str, values: dict[str, str], units: dict[str, str] | None = None, **how: str
):
    claims = [
        claim_of(_claim(name, value, (units or {}).get(name, "")), {}) for name, value in values.items()
    ]
    kind, relation = how.get("kind", "printed"), how.get("relation", "formula")
    check = Relation("t", "t", relation, expression, printed, kind, how.get("bound", ""))
    return audit(
        [check], Registry([claim_of(_claim("t", how.get("value", ""), how.get("unit", "")), {}), *claims])
    ).findings[0]


def test_every_fact_is_carried_over() -> None:
    assert len(registry().claims) == 1870  # ids of the five claims files
    assert {claim.report for claim in registry()} == set(reports())
    assert all(claim.subject and claim.quantity and claim.unit is not None for claim in registry())


def test_every_formula_is_represented(found: Audit) -> None:
    assert len(relations()) == len(found.findings) == 874  # formulas of the five claims files
    assert found.counts["unjudged"] == 0
    assert found.counts["inconsistent"] >= 180


def test_relations_stand_on_claims_not_on_pasted_numbers() -> None:
    plain = [r.id for r in relations() if "{" not in r.expression]
    assert len(plain) <= 30, plain  # words compared with words, and conversions of units
    assert {relation.relation for relation in relations()} <= set(KINDS)
    known = registry()
    for relation in relations():
        for reference in re.findall(r"\{([^}]+)\}", f"{relation.expression} {relation.printed}"):
            known.operand(reference)


def test_no_private_words_in_the_data() -> None:
    for claim in registry():
        assert "/work" not in claim.note and "/tmp" not in claim.note


# Recomputed by hand from the printed figures.
@pytest.mark.parametrize(
    ("check", "verdict", "computed", "slip"),
    [
        ("s002-aiglasses-cagr", "inconsistent", 0.9144, None),  # 350 to 9,000 in five years, printed 83.7 %
        ("s000-cm384-hbm-bw", "inconsistent", 1228.9, "unit"),  # printed 12.29 TB/s
        ("s000-tpuv6e-ici", "inconsistent", 448.0, "unit"),  # 3,584 Gb/s printed as GB/s
        ("s000-cm384-scaleup", "inconsistent", 350.0, "unit"),
        (
            "s003-ai-pc-cagr",
            "inconsistent",
            1.4323,
            "operand",
        ),  # 5 to 175 million in four years, printed 36.78 %
        ("s000-rm-a100-flops", "inconsistent", 624 / 642, "digits"),
        ("s000-910b-oam-1000p", "inconsistent", 333.0, "binary prefix"),
        ("s001-tencent-capex-2024-slip", "inconsistent", 7.19, "currency"),
        ("s001-changguang-single-growth-text", "inconsistent", None, "sign"),
        ("s001-changguang-vcsel-gm-text", "inconsistent", None, "shifted"),
        ("s000-asic-market-cagr-verifiedmarket", "inconsistent", 9.90, "years"),
        ("s001-v3-training-cost", "consistent", 557.6, None),
        ("s000-tencent-capex-cagr", "consistent", 22.59, None),
        ("s000-openai-arr-growth", "rounding", 81.8, None),
        ("s001-fin-smic-balance#5", "rounding", None, None),  # off by one in the last place
        ("s001-fin-smic-cashflow#1", "inconsistent", None, "statement"),  # 257 missing in 2024
        ("s004-energy-oil-2010", "rounding", 99.0, None),
        ("s002-csp4-capex-2025f", "inconsistent", 3175.0, None),  # "more than 3,200"
    ],
)
def test_known_findings(
    found: Audit, check: str, verdict: str, computed: float | None, slip: str | None
) -> None:
    finding = next(f for f in found.findings if f.relation.id == check)
    assert finding.verdict == verdict
    if computed is not None:
        assert finding.computed == pytest.approx(computed, rel=2e-3)
    if slip is not None:
        assert finding.slip == slip, finding.cause


def test_the_document(found: Audit) -> None:
    document = found.document()
    assert document["schema"] == "suanli/audit/1"
    assert document["counts"]["checks"] == len(document["checks"])
    entry = next(c for c in document["checks"] if c["claim"] == "s001-v3-active-params")
    assert (
        entry["printed"] == 37e9 and entry["anchor"] == 0.055
    )  # a derived check prints the claim beside our anchor
    assert {"claim", "relation", "printed", "computed", "verdict", "cause"} <= set(entry)
    assert all(c["cause"] for c in document["checks"] if c["verdict"] == "inconsistent")


def test_units_are_converted_in_growth() -> None:
    finding = _one(
        "growth_percent({a}, {b})",
        "900",
        {"a": "24.0", "b": "24"},
        {"a": "billion CNY", "b": "亿元"},
        unit="%",
    )
    assert finding.computed == pytest.approx(900.0)


@pytest.mark.parametrize(
    ("expression", "values", "units", "message"),
    [
        ("growth({a}, {b})", {"a": "2", "b": "1"}, {"a": "chips", "b": "racks"}, "cannot be compared"),
        ("{a} + {b}", {"a": "2", "b": "1"}, {"a": "GB", "b": "GB/s"}, "cannot be compared"),
        ("{a} / {nobody}", {"a": "2"}, {}, "nobody"),
        ("{a}", {"a": "{b}", "b": "{a}"}, {}, "circular reference"),
        ("{a.low}", {"a": "2"}, {}, "no low"),
        ("{a:row}", {"a": "2"}, {}, "row"),
        ("{a} / 0", {"a": "2"}, {}, "nothing to compare"),
        ("{a} + ", {"a": "2"}, {}, "cannot read"),
        ("{a} + {b}", {"a": "2", "b": "many"}, {}, "cannot be computed"),
    ],
)
def test_what_cannot_be_judged_is_named(
    expression: str, values: dict[str, str], units: dict[str, str], message: str
) -> None:
    finding = _one(expression, "3", values, units)
    assert finding.verdict == "unjudged"
    assert message in finding.cause


def test_a_broken_check_does_not_stop_the_others() -> None:
    claims = Registry([claim_of(_claim("a", "2.0"), {}), claim_of(_claim("b", "1.0"), {})])
    checks = [
        Relation("1", "a", "ratio", "{nobody}", "1"),
        Relation("2", "gone", "ratio", "{a}", "1"),
        Relation("3", "a", "ratio", "{a} / {b}", "2.0"),
    ]
    assert [f.verdict for f in audit(checks, claims).findings] == ["unjudged", "unjudged", "consistent"]


@pytest.mark.parametrize(
    ("expression", "printed", "values", "slip"),
    [
        ("{a} / {b}", "80", {"a": "20", "b": "2"}, "unit"),
        ("growth({a}, {b})", "3.0", {"a": "30.0", "b": "10.0"}, "multiple"),
        ("growth({a}, {b})", "-0.5", {"a": "20.0", "b": "10.0"}, "swapped"),
        ("{a} - {b}", "-5.0", {"a": "25.0", "b": "20.0"}, "sign"),
        ("{a} / {b}", "777", {"a": "20", "b": "2"}, "unexplained"),
    ],
)
def test_causes(expression: str, printed: str, values: dict[str, str], slip: str) -> None:
    finding = _one(expression, printed, values)
    assert (finding.verdict, finding.slip) == ("inconsistent", slip), finding.cause


def test_the_same_quantity_in_several_places() -> None:
    rows = {row.quantity: row for row in across()}
    assert len(rows) == len(groups())
    assert not [row for row in rows.values() if row.verdict == "unjudged"]
    assert rows["Ascend 910B FP16 peak"].verdict == "inconsistent"  # 376, 320 and 256 TFLOPS
    assert rows["Ascend 910B FP16 peak"].ratio == pytest.approx(376 / 256)
    assert rows["Tencent capital expenditure 2024"].verdict == "inconsistent"  # 767 printed in dollars
    assert rows["Hygon revenue 1Q25"].verdict == "consistent"  # 2.4 billion CNY and 24.0 亿元
    assert all(date for row in rows.values() for date in row.dates)
