"""`suanli estimate`: the table, JSON, exit codes, batches, against a stand-in for the estimate."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from suanli.cli import main
from suanli.study.deployment.request import QUANTITIES, Answer, Interval, Request
from suanli.study.deployment.solve import Deployments


@dataclass
class Stand:
    """What the table prints of an estimate."""

    bottleneck: str = "attention (memory)"
    batch: float = 8.0
    largest_batch: float = 400.0
    memory: Any = None
    notes: tuple[str, ...] = ("kept in FP8",)
    placement: Any = field(
        default_factory=lambda: SimpleNamespace(tp=4, pp=1, dp=1, ep=1, chips=4, replicas=1)
    )
    parts: dict[str, float] = field(default_factory=lambda: {"gate_up": 0.004, "attention": 0.006})


def answer(self: Deployments, request: Request) -> Answer:
    """A stand-in: answers, refuses or breaks by the model's name."""
    if request.model == "too-big":
        return Answer(
            "infeasible", "weights need 212 GB a chip, 141 GB present; smallest change that fits: tp 8"
        )
    if request.model == "who":
        return Answer("unsupported", 'No model "who".')
    if request.model == "defect":
        return Answer("unsupported", "internal error (KeyError: 'x')", internal=True)
    values = dict(zip(QUANTITIES, (0.25, 0.0123, 0.0119, 812.5, 1625.0, 2100.0, 1.75), strict=True))
    bands = {name: Interval(value, value / 1.2, value * 1.2) for name, value in values.items()}
    return Answer("ok", quantities=bands, basis="family", estimate=Stand())


@pytest.fixture(autouse=True)
def verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.VERBS, "estimate", "One deployment.")
    monkeypatch.setattr(Deployments, "answer", answer)
    monkeypatch.setattr(
        Deployments, "answers", lambda self, requests: [answer(self, one) for one in requests]
    )


def run(*arguments: str) -> int:
    return main._run(["estimate", *arguments])


POINT = ("--model", "qwen3-32b", "--chip", "h200_sxm", "--tp", "4", "--concurrency", "8")


def test_the_table_answers_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*POINT) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "TTFT",
        "250 ms",
        "208..300",
        "TPOT",
        "12.3 ms",
        "812 tok/s",
        "2.1",
        "USD/Mtok",
        "at the wall",
    ):
        assert words in text, words
    assert "attention (memory)" in text
    # The largest part stands first and the shares are of the step: 6 of 10 ms.
    assert text.index("60.0%") < text.index("40.0%")


def test_json_is_json_and_states_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*POINT, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "suanli/estimate/1"
    assert document["metrics"]["tpot_s"] == {
        "value": 0.0123,
        "low": pytest.approx(0.01025),
        "high": pytest.approx(0.01476),
        "unit": "s",
    }
    assert document["layout"] == {"tp": 4, "pp": 1, "dp": 1, "ep": 1, "replicas": 1}
    assert document["request"]["tp"] == 4


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("too-big", 1, "Infeasible: weights need 212 GB"),
        ("who", 2, 'No model "who"'),
        ("defect", 4, "KeyError"),
    ],
)
def test_exit_codes(model: str, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--model", model, "--chip", "h200_sxm") == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--chip", "h200_sxm"), "--model is empty"),
        ((*POINT, "--isl", "0"), "--isl must be at least 1 token"),
        ((*POINT, "--concurrency", "-4"), "--concurrency must be above 0"),
        ((*POINT, "--n-chips", "1.5"), "--n-chips must be a whole number"),
        ((*POINT, "--phase", "cook"), "--phase"),
        ((*POINT, "-o", "x.csv"), "-o goes with --batch"),
        (("--batch", "p.csv"), "--batch needs -o FILE"),
        (("--batch", "p.csv", "-o", "q.csv", "--tp", "4"), "leave out --tp"),
        (("--batch", "p.csv", "-o", "q.csv", "--option", "mtp_draft=1"), "leave out --option"),
        ((*POINT, "--option", "mtp_draft"), "write NAME=NUMBER"),
        ((*POINT, "--option", "mtp_draft=x"), '--option mtp_draft "x" is not a number'),
        ((*POINT, "--option", "mtp_drft=1"), "Close: mtp_draft"),
    ],
)
def test_bad_input_exits_with_2(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def test_all_problems_of_a_point_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--model", "m", "--isl", "x", "--osl", "-1") == 2
    text = capsys.readouterr().err
    assert all(words in text for words in ("--chip is empty", "--isl", "--osl"))


def test_an_option_reaches_the_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*POINT, "--option", "mtp_draft=1", "--option", "prefix_hit_share=0.5", "--json") == 0
    options = json.loads(capsys.readouterr().out)["request"]["options"]
    assert options == {"mtp_draft": 1.0, "prefix_hit_share": 0.5}


def test_a_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "points.csv", tmp_path / "out.csv"
    source.write_text(
        "id,model,chip,tag\n1,qwen3-32b,h200_sxm,x\n2,too-big,h200_sxm,y\n3,,h200_sxm,z\n", encoding="utf-8"
    )
    assert run("--batch", str(source), "-o", str(target)) == 0
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok", "infeasible", "unsupported"]
    assert [row["tag"] for row in rows] == ["x", "y", "z"]
    assert (rows[0]["tpot_s"], rows[0]["basis"]) == ("0.0123", "family")
    assert rows[2]["reason"] == "line 4: model is empty"
    said = capsys.readouterr().out
    assert "1 ok" in said and "  1 x model is empty" in said
    assert run("--batch", str(source), "-o", str(target), "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == {"ok": 1, "infeasible": 1, "unsupported": 1}


def test_a_batch_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--batch", "nowhere.csv", "-o", "out.csv") == 2
    assert "nowhere.csv: cannot be read" in capsys.readouterr().err


def test_progress_shows_only_after_two_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from suanli.cli import progress

    clock = iter([0.0, 1.9, 30.0, 31.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    line = progress.Progress("estimating", 100)
    line.tick(10)
    assert capsys.readouterr().err == ""
    line.tick(50)
    assert "50 of 100" in capsys.readouterr().err
    line.close()
