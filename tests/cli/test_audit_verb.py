"""`suanli audit`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from suanli.cli.audit_ import command, figure
from suanli.errors import InputError, ScenarioError, UnknownIdError

EXAMPLE = Path(__file__).parents[2] / "examples" / "claims.toml"


def _run(*args: str) -> Result:
    return CliRunner().invoke(command, list(args), standalone_mode=False)


def test_summary_and_exit_code() -> None:
    result = _run()
    assert result.return_value == 1
    assert "874" in result.output and "inconsistent" in result.output
    assert "!! s002-aiglasses-cagr [cagr] printed 0.837, computed 0.91441" in result.output
    assert "Likely causes: " in result.output


def test_json_has_one_entry_a_check() -> None:
    document = json.loads(_run("--json").output)
    assert document["schema"] == "suanli/audit/1"
    assert document["counts"]["checks"] == len(document["checks"]) == 874
    assert len(document["across"]) > 50


@pytest.mark.parametrize(
    ("what", "claim"),
    [
        ("s003", "s003-ai-pc-cagr"),
        ("seed-003", "s003-ai-pc-cagr"),
        ("rack/cloudmatrix-384", "s000-cm384-hbm-bw"),
        ("cloudmatrix-384", "s000-cm384-hbm-bw"),
        ("rack", "s000-nvl72-hbm-bw"),
        ("s000-tpuv6e-ici", "s000-tpuv6e-ici"),
    ],
)
def test_what_can_be_asked_for(what: str, claim: str) -> None:
    document = json.loads(_run(what, "--json").output)
    assert claim in {check["claim"] for check in document["checks"]}
    assert document["counts"]["checks"] < 874


def test_no_contradiction_exits_with_zero() -> None:
    assert _run("model/mimo-7b").return_value == 0


def test_a_file_of_ones_own() -> None:
    result = _run(str(EXAMPLE))
    assert result.return_value == 1
    assert "acme-cagr#1" in result.output


def test_the_page(tmp_path: Path) -> None:
    path = tmp_path / "audit.html"
    _run("s001", "-o", str(path))
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and "http" not in text.replace("http-equiv", "")
    assert text.count('data-verdict="inconsistent"') > 30
    for name in ("report", "subject", "relation", "verdict"):
        assert f'<select name="{name}">' in text


def test_other_verdicts_are_listed_when_asked() -> None:
    assert "rounding: " in _run("s004", "--verdict", "rounding").output


def test_the_export_rule() -> None:
    result = _run("--export-rule")
    assert result.return_value == 1  # rows of the report's table break its rule
    assert "nvidia-h20-96gb" in result.output and "s000-export-a100-tpp" in result.output
    document = json.loads(_run("--export-rule", "--json").output)
    assert document["schema"] == "suanli/export-rule/1"
    assert len(document["chips"]) > 100


def test_bad_input() -> None:
    assert isinstance(_run("nobody").exception, UnknownIdError)
    assert isinstance(_run("--verdict", "bad").exception, InputError)
    assert isinstance(_run("gone.toml").exception, ScenarioError)


def test_figures_for_people() -> None:
    assert figure([1.0, None, True]) == "[1, none, true]"
    assert figure(6502430.0) == "6,502,430"
    assert figure("7nm") == "7nm"
