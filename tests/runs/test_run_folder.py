"""Run folders: whole or not at all, the same inputs the same folder, found again; TOML that reads back."""

from __future__ import annotations

import csv
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InputError, UnknownIdError
from suanli.result.run import Result, by_name
from suanli.result.value import Value
from suanli.runs import find_run, write_run
from suanli.runs.folder import matching_runs, toml


def make(name: str = "A plan: 1st/2", rent: float = 2.0) -> Result:
    values = [
        Value("economics.rent", rent, "USD/s", rent, rent, "given", origin="scenario"),
        Value("chip.tdp", 700.0, "W", 600.0, 700.0, "catalogue", origin="chips/x/tdp | src", grade="B"),
        Value("power.it", 1e6, "W", 9e5, 2e6, "derived", 'words, "quoted"', ("chip.tdp",)),
        Value("economics.irr", None, "1", basis="unavailable", reason="no price"),
    ]
    return Result({"name": name, "economics": {"rent": rent}}, by_name(values), ("be careful",))


def test_the_folder_is_named_after_scenario_and_inputs(tmp_path: Path) -> None:
    folder = write_run(make(), tmp_path / "deep" / "er")
    assert folder.parent == tmp_path / "deep" / "er"
    assert folder.name == f"a-plan-1st-2-{make().hash[:8]}"
    assert write_run(make(rent=3.0), tmp_path).name != folder.name


@pytest.mark.parametrize(
    ("name", "start"), [("../../etc", "etc-"), ("算力", "run-"), ("x" * 300, "x" * 60 + "-"), (".", "")]
)
def test_names_cannot_leave_the_parent(tmp_path: Path, name: str, start: str) -> None:
    folder = write_run(make(name), tmp_path)
    assert folder.parent == tmp_path and folder.name.startswith(start)
    assert not folder.name.startswith("..") and (folder / "result.json").is_file()


def test_what_is_written(tmp_path: Path) -> None:
    folder = write_run(make(), tmp_path, {"report.html": "<p>"})
    assert sorted(p.name for p in folder.iterdir()) == [
        "ledger.csv",
        "report.html",
        "result.json",
        "scenario.toml",
    ]
    assert Result.read(folder / "result.json") == make()
    assert tomllib.loads((folder / "scenario.toml").read_text(encoding="utf-8")) == make().scenario
    with (folder / "ledger.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[2]["formula"] == 'words, "quoted"' and rows[2]["inputs"] == "chip.tdp"
    assert rows[3]["value"] == "" and rows[3]["reason"] == "no price", "unknown is empty, not 0"


def test_a_second_run_replaces_the_first_whole(tmp_path: Path) -> None:
    folder = write_run(make(), tmp_path, {"old.txt": "x"})
    assert write_run(make(), tmp_path) == folder
    assert not (folder / "old.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == [folder.name], "no scratch is left behind"


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(self: Path, *args: Any, **kwargs: Any) -> int:
        if self.name == "ledger.csv":
            raise OSError(28, "No space left on device")
        return write(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match=r"cannot write there \(No space left on device\)"):
        write_run(make(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_second_run_keeps_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(make(), tmp_path)
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(InputError):
        write_run(make(), tmp_path)
    assert Result.read(folder / "result.json") == make()


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write there"):
        write_run(make(), tmp_path / "taken")


def test_nan_is_never_written(tmp_path: Path) -> None:
    bad = Result({"name": "x"}, by_name([Value("a.b", float("nan"))]))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_run(bad, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_runs_are_found_by_folder_file_or_start(tmp_path: Path) -> None:
    folder = write_run(make(), tmp_path)
    expected = folder / "result.json"
    assert find_run(folder) == find_run(expected) == find_run("a-plan", tmp_path) == expected
    with pytest.raises(UnknownIdError) as caught:
        find_run("b-plan", tmp_path)
    assert str(caught.value).startswith('No run "b-plan".')


def test_the_newest_run_of_a_name_is_found(tmp_path: Path) -> None:
    old, new = write_run(make(rent=1.0), tmp_path), write_run(make(rent=2.0), tmp_path)
    os.utime(old / "result.json", (100, 100))
    os.utime(new / "result.json", (200, 200))
    assert find_run("a-plan", tmp_path) == new / "result.json"
    os.utime(old / "result.json", (300, 300))
    assert find_run("a-plan", tmp_path) == old / "result.json"


KEYS = st.text(min_size=1, max_size=8)
SCALARS = (
    st.text(max_size=12)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
TABLES = st.recursive(
    st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3), max_size=3),
    lambda inner: st.dictionaries(KEYS, SCALARS | inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(TABLES)
def test_toml_reads_back_what_was_written(data: dict[str, Any]) -> None:
    assert tomllib.loads(toml(data)) == json.loads(json.dumps(data))


def test_toml_leaves_out_what_is_not_known() -> None:
    assert toml({"a": None, "b": {"c": None, "d": 1}}) == "[b]\nd = 1\n"


def test_a_start_may_be_of_a_path(tmp_path: Path) -> None:
    old, new = write_run(make(rent=1.0), tmp_path), write_run(make(rent=2.0), tmp_path)
    os.utime(old / "result.json", (100, 100))
    os.utime(new / "result.json", (200, 200))
    assert find_run(tmp_path / "a-plan", "elsewhere") == new / "result.json"
    assert matching_runs(tmp_path / "a-plan", "elsewhere") == [old, new]
    assert matching_runs("a-plan", tmp_path) == [old, new] and matching_runs(old, tmp_path) == [old]
    assert matching_runs("b-plan", tmp_path) == []
