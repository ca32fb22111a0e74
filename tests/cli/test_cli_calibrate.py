"""`suanli calibrate`: what is refused, what is written, and that power and frameworks fit where the data is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suanli.cli import main
from suanli.study.validate import data_folder


@pytest.fixture(autouse=True)
def verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.VERBS, "calibrate", "Fit the coefficients again.")


def run(*arguments: str) -> int:
    return main._run(["calibrate", *arguments])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--data", "nowhere"), 2, "--data nowhere: no such folder"),
        (("--stage", "kernel"), 2, "Close: kernels"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == code
    assert words in capsys.readouterr().err


def test_an_empty_folder_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", str(tmp_path), "--dry-run") == 3
    assert "kernels/aic" in capsys.readouterr().err
    assert run("--data", str(tmp_path), "--stage", "frameworks", "-o", str(tmp_path / "out")) == 3
    assert "measured_inference.csv" in capsys.readouterr().err


def test_power_is_fitted_to_another_folder_and_the_package_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data_folder()
    if folder is None or not (folder / "measured" / "splitwise_perf_model.csv").is_file():
        pytest.skip("measured power lies outside the repository (SUANLI_DATA)")
    from suanli.catalog.schema import DATA

    before = (DATA / "power_model.csv").read_bytes()
    assert run("--data", str(folder), "--stage", "power", "-o", str(tmp_path / "tables"), "--json") == 0
    captured = capsys.readouterr()
    assert {entry["operator"] for entry in json.loads(captured.out)["operators"]} == {"power", "server_power"}
    assert (tmp_path / "tables" / "power_model.csv").is_file()
    assert (DATA / "power_model.csv").read_bytes() == before
    assert "fitting power" in captured.err
