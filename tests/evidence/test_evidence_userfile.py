"""A claims file of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from suanli.errors import ScenarioError
from suanli.evidence import audit, read_claims

EXAMPLE = Path(__file__).parents[2] / "examples" / "claims.toml"


def test_the_example_finds_its_one_fault() -> None:
    claims, checks = read_claims(EXAMPLE)
    found = audit(checks, claims)
    assert [f.verdict for f in found.findings] == ["inconsistent", "consistent", "consistent", "consistent"]
    assert found.findings[0].computed == pytest.approx(91.44, abs=0.01)  # 3.5 to 90 million in five years


def _problems(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        read_claims(path)
    return str(caught.value)


_CHECK = '[[check]]\nclaim = "a"\nrelation = "same"\nof = ["a"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[claim]\n", "not valid TOML"),
        ("", "nothing to audit"),
        ("[[claims]]\nid = 'a'\n", 'no such section "claims"'),
        (f"[[claim]]\nid = 'a'\nvalu = '3'\n{_CHECK}", 'did you mean "value"'),
        (f"[[claim]]\nvalue = '3'\n{_CHECK}", "id must be"),
        (f"[[claim]]\nid = 'a:b'\n{_CHECK}", "id must be"),
        (f"[[claim]]\nid = 'a'\n[[claim]]\nid = 'a'\n{_CHECK}", "stands there twice"),
        ("[[check]]\nclaim = 'a'\nrelation = 'cagrr'\nof = ['a']\n", 'did you mean "cagr"'),
        ("[[check]]\nclaim = 'a'\nrelation = 'cagr'\n", 'give "of"'),
        ("[[check]]\nrelation = 'same'\nof = ['a']\n", "which claim"),
        (f"{_CHECK}bound = 'under'\n", "bound must be one of"),
        ("claim = 3\n" + _CHECK, "write [[claim]]"),
    ],
)
def test_bad_files_name_every_problem(tmp_path: Path, text: str, message: str) -> None:
    assert message in _problems(tmp_path, text)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no such file"):
        read_claims(tmp_path / "none.toml")


def test_all_problems_at_once(tmp_path: Path) -> None:
    text = "[[claim]]\nid = 'a'\nunits = 'kW'\n[[check]]\nclaim = 'a'\nrelation = 'nothing'\nof = ['a']\n"
    assert _problems(tmp_path, text).count("\n") == 1


def test_a_circle_and_ragged_years_leave_the_rest_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "[[claim]]\nid = 'a'\nvalue = '{b}'\n[[claim]]\nid = 'b'\nvalue = '{a}'\n[[claim]]\nid = 'c'\nvalue = '4'\n"
        "[[claim]]\nid = 't'\ntable = { years = ['1', '2'], x = [1, 2], y = [1, 2, 3] }\n"
        "[[check]]\nclaim = 'c'\nrelation = 'sum'\nof = ['a']\n"
        "[[check]]\nclaim = 't'\nrelation = 'sum'\nexpression = '{t:x} + {t:y}'\nprinted = '0'\n"
        "[[check]]\nclaim = 'c'\nrelation = 'product'\nof = [2, 2]\n",
        encoding="utf-8",
    )
    claims, checks = read_claims(path)
    found = audit(checks, claims).findings
    assert [f.verdict for f in found] == ["unjudged", "unjudged", "consistent"]
    assert "circular reference: a -> b -> a" in found[0].cause
    assert "ragged" in found[1].cause


@pytest.mark.parametrize(
    "claim",
    [
        "table = { x = [[1], [2]] }",
        "table = { x = [nan, inf] }",
        "table = { x = ['a', true] }",
        "table = { x = [] }",
        "value = nan",
        "value = 2025-01-01",
    ],
)
@pytest.mark.parametrize(
    "expression", ["{a:x} * 2", "{a:x[0]} + 1", "{a} / 3", "{a:x[9]}", "-" * 3000 + "1", "{a:x[zz]}"]
)
def test_odd_content_is_unjudged_never_an_internal_error(tmp_path: Path, claim: str, expression: str) -> None:
    import json

    path = tmp_path / "mine.toml"
    check = f"[[check]]\nclaim = 'a'\nexpression = '{expression}'\nprinted = '3'\n"
    path.write_text(f"[[claim]]\nid = 'a'\n{claim}\n{check}", encoding="utf-8")
    claims, checks = read_claims(path)
    found = audit(checks, claims)
    assert [f.verdict for f in found.findings] == ["unjudged"]
    assert json.dumps(found.document(), allow_nan=False)
