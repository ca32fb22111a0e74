"""`suanli validate`: board, targets, JSON, the grid, against a stand-in for the estimate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suanli.cli import main
from suanli.study.deployment.request import Answer, Interval, Request
from suanli.study.deployment.solve import Deployments


def answer(self: Deployments, request: Request) -> Answer:
    """A stand-in with the same speed for everything."""
    values = {"ttft_s": 0.5, "tpot_s": 0.02, "output_tokens_per_s": 1000.0, "input_tokens_per_s": 1e5}
    return Answer(
        "ok", quantities={k: Interval(v, v / 2, v * 2) for k, v in values.items()}, basis="datasheet"
    )


@pytest.fixture(autouse=True)
def verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.VERBS, "validate", "Predictions against measurements.")
    monkeypatch.setattr(Deployments, "answer", answer)
    monkeypatch.setattr(
        Deployments, "answers", lambda self, requests: [answer(self, one) for one in requests]
    )


def run(*arguments: str) -> int:
    return main._run(["validate", *arguments])


def test_the_shipped_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--shipped") == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for words in ("NEURON", "CM384", "TPOT", "tests/validation"):
        assert words in text
    assert "MISSED" not in text and "--data DIR judges them" in " ".join(text.split())


def test_json_and_families(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--shipped", "--family", "neuron", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "suanli/validation/1"
    assert {line["family"] for line in document["lines"]} == {"NEURON"}
    assert all(line["all"]["answered"] == line["all"]["rows"] for line in document["lines"])


def test_a_missed_target_fails_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--shipped", "--family", "NEURON") == 0
    capsys.readouterr()
    assert run("--shipped", "--family", "NEURON", "--strict") == 1
    text = capsys.readouterr().out
    assert "MISSED" in text and "exit code is 1" in text


def test_an_unknown_family_names_the_close_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--shipped", "--family", "NEURAN") == 2
    assert "NEURON" in capsys.readouterr().err


def test_a_data_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", "nowhere") == 2
    assert "no such folder" in capsys.readouterr().err


def test_the_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "validation.md"
    assert run("--shipped", "--board", str(page)) == 0
    capsys.readouterr()
    text = page.read_text(encoding="utf-8")
    assert "# Validation" in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (tmp_path / line.partition("(")[2].rstrip(")")).is_file()


def test_the_grid_is_recorded_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = str(tmp_path / "golden" / "predictions.csv")
    assert run("--grid", "--record", record) == 3
    assert "--grid --update" in capsys.readouterr().err
    assert run("--grid", "--update", "--record", record) == 0
    assert run("--grid", "--record", record) == 0
    assert "No change" in capsys.readouterr().out

    def slower(self: Deployments, request: Request) -> Answer:
        return Answer("ok", quantities={"tpot_s": Interval(0.022, 0.02, 0.03)}, basis="datasheet")

    monkeypatch.setattr(Deployments, "answer", slower)
    assert run("--grid", "--record", record) == 1
    assert "+10.0 %" in capsys.readouterr().out


def test_the_record_of_the_source_is_found_from_anywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from suanli.study.validate import scenarios

    monkeypatch.chdir(tmp_path)
    assert run("--grid") in (0, 1), "compared, whatever the invented answers differ in"
    capsys.readouterr()
    monkeypatch.setattr(scenarios, "scenario_folder", lambda: None)
    assert run("--grid") == 3
    assert (
        "the record comes with the source, which is not here: give --record FILE" in capsys.readouterr().err
    )
