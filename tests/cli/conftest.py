"""The command line, called in process in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_case import DAY, FAST, PLAN, Cli, Done

from suanli.cli.main import _run


@pytest.fixture
def suanli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call the command line in `tmp_path`; returns exit code and what went to the two streams."""
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> Done:
        capsys.readouterr()
        code = _run([str(arg) for arg in args])
        streams = capsys.readouterr()
        return Done(code, streams.out, streams.err)

    return call


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A scenario file of the user's own."""
    path = tmp_path / "plan.toml"
    path.write_text(PLAN, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def day_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of the published day."""
    home = tmp_path_factory.mktemp("runs")
    assert _run(["run", DAY, "-o", str(home), *FAST]) == 0
    return home
