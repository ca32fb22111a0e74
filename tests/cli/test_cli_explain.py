"""`suanli explain`: from a number down to catalogue rows with their sources."""

from __future__ import annotations

import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from cli_case import Cli

from suanli.catalog import Catalog
from suanli.runs import find_run

COST = "economics.cost_per_mtok_output"


@pytest.fixture
def folder(day_runs: Path) -> Path:
    return next(day_runs.iterdir())


def test_cost_of_output_walks_down_to_rows_with_sources(suanli: Cli, folder: Path) -> None:
    steps = suanli("explain", folder, COST, "--json").json()["steps"]
    assert steps[0]["name"] == COST and steps[0]["depth"] == 0
    rows = [step for step in steps if step["basis"] == "catalogue" and not step.get("text")]
    catalog = Catalog()
    assert len(rows) > 10
    for row in rows:
        name, source, *_ = row["origin"].split(" | ")
        if not name.startswith(("calibration/", "power_model/")):
            assert catalog.fact(*name.split("/")).number == row["value"]
        assert catalog.source(source)["title"]
        assert row["grade"] in "ABCD"


def test_every_line_says_where_it_comes_from(suanli: Cli, folder: Path) -> None:
    lines = suanli("explain", folder, COST).out.splitlines()
    assert lines[0].startswith(f"{COST} = ") and "USD/Mtok" in lines[0]
    assert lines[1].strip() == (
        "└ = economics.cost_per_day * (1 - economics.prefill_share) / demand.output_tokens_per_day * 1e6"
    )
    text = "\n".join(lines)
    assert "└ given: scenario" in text
    assert re.search(r"└ grade [A-D] \| chips/nvidia-h800-sxm/memory_bandwidth \| \S+", text)
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if " = " in line and "└" not in line:
            assert "(see above)" in line or "└" in below, f"unexplained: {line}"


def test_a_branch_is_opened_once(suanli: Cli, folder: Path) -> None:
    steps = suanli("explain", folder, "economics.irr", "--json").json()["steps"]
    opened = [step["name"] for step, below in pairwise(steps) if below["depth"] > step["depth"]]
    assert len(opened) == len(set(opened))


def test_indentation_follows_depth(suanli: Cli, folder: Path) -> None:
    steps = suanli("explain", folder, "fleet.nodes", "--json").json()["steps"]
    printed = suanli("explain", folder, "fleet.nodes").out.splitlines()
    lines = [line for line in printed if "└" not in line]
    assert [len(line) - len(line.lstrip()) for line in lines] == [2 * step["depth"] for step in steps]


def test_depth_limits_the_tree(suanli: Cli, folder: Path) -> None:
    assert len(suanli("explain", folder, COST, "--depth", 0).out.splitlines()) == 2
    depths = [s["depth"] for s in suanli("explain", folder, COST, "--depth", 2, "--json").json()["steps"]]
    assert max(depths) == 2
    assert suanli("explain", folder, COST, "--depth", -1).code == 2


def test_without_a_name_it_lists_what_can_be_explained(suanli: Cli, folder: Path) -> None:
    out = suanli("explain", folder).out
    assert "fleet.nodes" in out and COST in out
    names = suanli("explain", folder, "--json").json()["names"]
    assert "chip.tdp" in names and "fleet.nodes" in names


def test_a_run_is_found_by_the_start_of_its_name_or_its_file(suanli: Cli, folder: Path) -> None:
    expected = suanli("explain", folder, "fleet.nodes").out
    assert suanli("explain", folder.name[:12], "fleet.nodes", "--runs", folder.parent).out == expected
    assert suanli("explain", folder / "result.json", "fleet.nodes").out == expected


def test_the_newest_of_several_runs_is_taken(folder: Path, tmp_path: Path) -> None:
    for age, name in ((200, "plan-0001"), (100, "plan-0002"), (300, "plan-0003")):
        shutil.copytree(folder, tmp_path / "runs" / name)
        os.utime(tmp_path / "runs" / name / "result.json", (1_000_000 - age, 1_000_000 - age))
    assert find_run("plan", tmp_path / "runs").parent.name == "plan-0002"


def test_unknown_value_names_the_close_ones(suanli: Cli, folder: Path) -> None:
    done = suanli("explain", folder, "fleet.node")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith('suanli: No value "fleet.node". Close: fleet.nodes')


def test_unknown_run_names_the_close_ones(suanli: Cli, folder: Path) -> None:
    done = suanli("explain", "deepsek-v3-r1-service", "--runs", folder.parent)
    assert done.code == 2
    assert 'No run "deepsek-v3-r1-service".' in done.err and "suanli run SCENARIO" in done.err


@pytest.mark.parametrize("text", ["", "[1]", '{"ledger": 3}', "{", '{"metrics": {}}'])
def test_a_file_that_is_no_result(suanli: Cli, tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text, encoding="utf-8")
    done = suanli("explain", "other.json", "fleet.nodes")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("suanli: other.json: not a suanli result")


def test_of_several_runs_it_says_which_is_taken(suanli: Cli, folder: Path, tmp_path: Path) -> None:
    for age, name in ((200, "plan-0001"), (100, "plan-0002")):
        shutil.copytree(folder, tmp_path / "runs" / name)
        os.utime(tmp_path / "runs" / name / "result.json", (1_000_000 - age, 1_000_000 - age))
    for start in ("plan", "runs/plan", str(tmp_path / "runs" / "plan")):
        done = suanli("explain", start, "fleet.nodes")
        assert done.code == 0 and "fleet.nodes = " in done.out
        assert done.err.startswith(f"2 runs match {start}; taking the newest: ")
        assert done.err.rstrip().endswith("plan-0002")
    alone = suanli("explain", "runs/plan-0001", "fleet.nodes")
    assert (alone.code, alone.err) == (0, "")


def test_what_a_user_gave_is_shown_in_the_unit_that_people_write(suanli: Cli, folder: Path) -> None:
    # scenarios/deepseek-day.toml: rent = "2 USD/h", output = "2.19 USD/Mtok"
    assert "economics.rent = 2 USD/h" in suanli("explain", folder, "economics.cost_per_day").out
    assert (
        "economics.price.output = 2.19 USD/Mtok" in suanli("explain", folder, "economics.revenue_per_day").out
    )
