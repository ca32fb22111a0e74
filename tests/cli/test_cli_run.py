"""`suanli run`: the answer, the run folder, JSON and nothing but JSON, overrides and overlays."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_case import DAY, FAST, SCENARIOS, Cli, files

from suanli.cli.main import VERBS


def test_json_goes_to_stdout_and_warnings_to_stderr(suanli: Cli, tmp_path: Path) -> None:
    done = suanli("run", DAY, "-o", "out", "--json", *FAST)
    document = done.json()
    assert done.out.startswith("{") and done.out.rstrip().endswith("}")
    assert document["warnings"], "the published day warns that revenue is at list price"
    assert done.err.splitlines() == [f"warning: {line}" for line in document["warnings"]]
    assert len(files(tmp_path / "out")) == 1 + 4


def test_streams_of_the_real_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "suanli.cli.main", "run", DAY, "--json", "-o", "out", *FAST]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.decode("utf-8"))
    assert document["metrics"]["economics.cost_per_day"]["unit"] == "USD"
    assert done.stderr.decode("utf-8").count("warning: ") == len(document["warnings"])


def test_bad_input_of_the_real_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "suanli.cli.main", "run", "nowhere.toml", "-o", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "suanli: nowhere.toml: no such scenario file.\n"
    assert files(tmp_path) == set()


def test_the_answer_stands_beside_the_published_figures(suanli: Cli) -> None:
    done = suanli("run", DAY, "--no-folder")
    assert done.code == 0 and done.err == ""
    for words in (
        "published",
        "90 % band",
        "226.75",
        "87,072",
        "prefill rate",
        "cost of output",
        "open-infra-index",
    ):
        assert words in done.out, words
    assert re.search(r"catalogue rows used, \d+ of them our estimates", done.out)


def test_the_answer_names_what_is_unavailable_and_why(suanli: Cli) -> None:
    done = suanli("run", SCENARIOS / "qwq32b-on-one-rtx4090.toml", "--no-folder", *FAST)
    assert re.search(r"revenue, list price +unavailable", done.out)
    assert "Unavailable: no economics.price is given." in " ".join(done.out.split())


def test_the_folder_holds_what_the_answer_was_made_of(suanli: Cli, tmp_path: Path) -> None:
    document = suanli("run", DAY, "-o", "a/b", "--json", *FAST).json()
    (folder,) = (tmp_path / "a" / "b").iterdir()
    assert folder.name == f"deepseek-v3-r1-service-one-published-day-{document['scenario']['hash'][:8]}"
    assert files(folder) == {"result.json", "scenario.toml", "ledger.csv", "report.html"}
    archive = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert {key: archive[key] for key in document} == document
    with (folder / "ledger.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [entry["name"] for entry in archive["ledger"]]
    assert all(row["origin"] for row in rows if row["basis"] == "catalogue")


def test_runs_is_the_default_parent(suanli: Cli, plan: Path, tmp_path: Path) -> None:
    assert suanli("run", plan).code == 0
    assert [path.name.startswith("a-plan-") for path in (tmp_path / "runs").iterdir()] == [True]


def test_no_folder_writes_nothing(suanli: Cli, plan: Path, tmp_path: Path) -> None:
    assert suanli("run", plan, "--no-folder").code == 0
    assert files(tmp_path) == {"plan.toml"}


def test_the_same_inputs_give_the_same_bytes_in_the_same_folder(
    suanli: Cli, plan: Path, tmp_path: Path
) -> None:
    def run() -> dict[str, bytes]:
        assert suanli("run", plan, "-o", "out").code == 0
        return {
            p.relative_to(tmp_path).as_posix(): p.read_bytes()
            for p in (tmp_path / "out").rglob("*.*")
            if p.is_file()
        }

    first = run()
    (tmp_path / next(iter(first))).with_name("stale.txt").write_text(
        "from an older version", encoding="utf-8"
    )
    assert run() == first


def test_set_overrides_fields(suanli: Cli, plan: Path) -> None:
    base = suanli("run", plan, "--json", "--no-folder").json()
    changed = suanli(
        "run", plan, "--json", "--no-folder", "--set", "economics.rent=4 USD/h", "--set", 'llm.kv_dtype="fp8"'
    ).json()
    assert changed["scenario"]["hash"] != base["scenario"]["hash"]
    for name, ratio in (("llm.kv_bytes_per_token", 0.5), ("economics.revenue_per_day", 1.0)):
        assert changed["metrics"][name]["value"] == ratio * base["metrics"][name]["value"], name
    same = suanli("run", plan, "--json", "--no-folder", "--set", "economics.rent = '2 USD/h'").json()
    assert same["scenario"]["hash"] == base["scenario"]["hash"]


def test_the_last_set_wins_and_sections_can_be_made(suanli: Cli, plan: Path) -> None:
    options = ("--set", "fleet.nodes=5", "--set", "fleet.nodes=7")
    document = suanli("run", plan, "--json", "--no-folder", *options).json()
    assert document["metrics"]["fleet.nodes"] == {
        "value": 7.0,
        "unit": "1",
        "low": 7.0,
        "high": 7.0,
        "basis": "given",
    }


def test_an_overlay_row_wins_and_makes_another_run(suanli: Cli, plan: Path, tmp_path: Path) -> None:
    header = "id,parameter,value,low,high,unit,as_of,source,locator,grade,status,note"
    (tmp_path / "mine").mkdir()
    row = "nvidia-h100-sxm,tdp,350,,,W,2026-11,own-meter,rack 3,A,adopted,power cap"
    (tmp_path / "mine" / "chips.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    base = suanli("run", plan, "--json", "--no-folder").json()
    capped = suanli("run", plan, "--json", "-o", "out", "--catalog", "mine").json()
    chips = [document["metrics"]["power.parts.chips"]["value"] for document in (base, capped)]
    assert 0.5 * chips[0] < chips[1] < chips[0], "half the limit, but not half the idle power"
    assert all(capped["metrics"][f"power.chip_{phase}"]["value"] <= 350.0 for phase in ("prefill", "decode"))
    assert capped["scenario"]["hash"] != base["scenario"]["hash"]
    explained = suanli("explain", next((tmp_path / "out").iterdir()), "power.parts.chips")
    assert "chips/nvidia-h100-sxm/tdp | own-meter | rack 3 | 2026-11" in explained.out


def test_an_overlay_model_of_the_same_name_makes_another_run(suanli: Cli, plan: Path, tmp_path: Path) -> None:
    """A changed shape must not be taken for the shipped one, though no catalogue row differs."""
    from suanli.catalog import Catalog

    config = Catalog().model("llama-3.1-70b")
    (tmp_path / "mine" / "models").mkdir(parents=True)
    thin = {**config, "num_hidden_layers": config["num_hidden_layers"] // 2}
    (tmp_path / "mine" / "models" / "llama-3.1-70b.json").write_text(json.dumps(thin), encoding="utf-8")
    base = suanli("run", plan, "--json", "--no-folder").json()
    other = suanli("run", plan, "--json", "--no-folder", "--catalog", "mine").json()
    name = "llm.kv_bytes_per_token"
    assert other["metrics"][name]["value"] == base["metrics"][name]["value"] / 2
    assert other["scenario"]["hash"] != base["scenario"]["hash"]


def test_a_scenario_may_extend_another_in_its_folder(suanli: Cli, plan: Path, tmp_path: Path) -> None:
    (tmp_path / "child.toml").write_text(
        'extends = "plan.toml"\nname = "Child"\n[llm]\nkv_dtype = "fp8"\n', encoding="utf-8"
    )
    child = suanli("run", "child.toml", "--json", "--no-folder").json()
    base = suanli("run", plan, "--json", "--no-folder").json()
    assert child["scenario"]["name"] == "Child"
    assert (
        child["metrics"]["llm.kv_bytes_per_token"]["value"]
        == base["metrics"]["llm.kv_bytes_per_token"]["value"] / 2
    )


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_scenario_runs(suanli: Cli, tmp_path: Path, path: Path) -> None:
    document = suanli("run", path, "--json", "-o", "out", *FAST).json()
    assert document["scenario"]["name"]
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help(suanli: Cli, verb: str | None) -> None:
    done = suanli(*([verb] if verb else []), "--help")
    assert done.code == 0 and done.out.startswith("Usage: ")


def test_version(suanli: Cli) -> None:
    from suanli import __version__

    assert suanli("--version").out.split()[-1] == __version__


@pytest.mark.parametrize(("scenario", "chip"), [("deepseek-day", "h20"), ("r1-on-cloudmatrix384", None)])
def test_no_digit_is_cut_off(suanli: Cli, tmp_path: Path, scenario: str, chip: str | None) -> None:
    from suanli.result.metrics import metrics
    from suanli.result.run import Result
    from suanli.result.tree import shown, shown_band, shown_off, shown_published

    other = ("--set", f"serving.chip={chip}") if chip else ()
    printed = suanli("run", SCENARIOS / f"{scenario}.toml", *other).out.splitlines()
    (folder,) = (tmp_path / "runs").iterdir()
    result = Result.read(folder / "result.json")
    figures = result.scenario["published"]["figures"]
    for name in ("economics.cost_per_day", "serving.decode_tokens_per_s_per_chip", *figures):
        value = result.values[name]
        cells = [metrics()[name].label, shown(value), shown_band(value)]
        if name in figures and value.value is not None:
            cells += [shown_published(value, figures[name]), shown_off(value.value, figures[name])]
        (line,) = [one for one in printed if one.startswith(f"   {cells[0]}  ")]
        assert re.split(r" {2,}", line.strip()) == [cell for cell in cells if cell]


def test_published_figures_are_written_like_ours(suanli: Cli) -> None:
    out = suanli("run", SCENARIOS / "r1-on-cloudmatrix384.toml", "--no-folder", *FAST).out
    # Serving LLMs on Huawei CloudMatrix384, arXiv 2506.12708: 5,655 and 1,943 tokens/s per NPU
    assert re.search(r"prefill rate .* 5,655 ", out) and re.search(r"decode rate .* 1,943 ", out)


def test_rates_of_one_phase_are_named_so_where_phases_share_chips(suanli: Cli, plan: Path) -> None:
    shared = suanli("run", plan, "--no-folder").out
    metrics = suanli("run", plan, "--no-folder", "--json").json()["metrics"]
    both = metrics["serving.batch_per_chip"]["value"] / metrics["serving.tpot"]["value"]
    assert both < metrics["serving.decode_tokens_per_s_per_chip"]["value"]
    assert "decode rate, alone" in shared
    assert f"TPOT = {both:.4g} tok/s/chip" in " ".join(shared.split())
    assert "alone" not in suanli("run", DAY, "--no-folder", *FAST).out


def test_what_is_left_after_the_horizon_does_not_shorten_the_payback(suanli: Cli) -> None:
    """The surplus is the same every year, so capital over surplus is the payback, whatever the horizon."""
    case = (SCENARIOS / "llama70b-on-hgx-h100.toml", "--no-folder", "--json", *FAST)
    found = [suanli("run", *case, "--set", f"economics.horizon={n} year").json()["metrics"] for n in (5, 8)]
    payback = [one["economics.payback"]["value"] for one in found]
    assert found[0]["economics.residual"]["value"] > 0.0
    assert payback[0] == pytest.approx(payback[1], rel=1e-9)


def test_a_table_wider_than_the_screen_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    from suanli.cli.options import console, print_whole, table

    made = table("wide", *((f"column {n}", "right") for n in range(8)))
    made.add_row(*(f"{1234567890123 + n:,}" for n in range(8)))
    out = console()
    print_whole(out, made)
    printed = capsys.readouterr().out
    assert printed.splitlines()[-2].split() == [f"{1234567890123 + n:,}" for n in range(8)]
    assert out.width == 80, "what follows is as wide as before"
