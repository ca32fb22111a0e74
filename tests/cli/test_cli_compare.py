"""`suanli compare`: inputs that differ, results side by side, and what one section alone moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_case import PLAN, SCENARIOS, Cli, files


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A plan, and one that differs in its rent, its cooling and its name."""
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(PLAN, encoding="utf-8")
    other = PLAN.replace("2 USD/h", "4 USD/h").replace('"air"', '"cold-plate"').replace("A plan", "Another")
    second.write_text(other, encoding="utf-8")
    return first, second


def test_inputs_that_differ_and_no_others(suanli: Cli, two: tuple[Path, Path]) -> None:
    document = suanli("compare", *two, "--json").json()
    assert document["cases"] == ["first", "second"]
    assert document["inputs"] == {
        "cooling.system": ["air", "cold-plate"],
        "economics.rent": ["2 USD/h", "4 USD/h"],
    }


def test_what_was_published_is_no_input(suanli: Cli, two: tuple[Path, Path]) -> None:
    figures = '\n[published]\nsource = "a paper"\nfigures = { "fleet.nodes" = 3 }\n'
    two[1].write_text('description = "the same"\n' + PLAN + figures, encoding="utf-8")
    document = suanli("compare", *two, "--json").json()
    assert document["inputs"] == {} and document["moves"] == []


def test_a_section_alone_moves_what_it_should(suanli: Cli, two: tuple[Path, Path]) -> None:
    document = suanli("compare", *two, "--json").json()
    moves = {move["input"]: move["ratio"] for move in document["moves"]}
    assert list(moves) == ["cooling", "economics"]
    assert moves["economics"]["economics.cost_per_day"] == pytest.approx(2.0)
    assert moves["economics"]["power.facility"] == pytest.approx(1.0)
    assert moves["cooling"]["economics.cost_per_day"] == pytest.approx(1.0)
    assert moves["cooling"]["power.facility"] < 1.0
    # What each section does alone explains the whole where they do not meet.
    facility = [entry["value"] for entry in document["metrics"]["power.facility"]]
    assert moves["cooling"]["power.facility"] == pytest.approx(facility[1] / facility[0])


def test_metrics_are_those_of_the_runs(suanli: Cli, two: tuple[Path, Path]) -> None:
    document = suanli("compare", *two, "--json").json()
    for index, path in enumerate(two):
        run = suanli("run", path, "--no-folder", "--json").json()
        for name, entry in run["metrics"].items():
            assert document["metrics"][name][index] == entry, name


def test_variants_of_one_file_side_by_side(suanli: Cli, tmp_path: Path) -> None:
    done = suanli("compare", SCENARIOS / "r1-671b-on-domestic.toml", "--set", "uncertainty.draws=0")
    assert done.code == 0, done.err
    for words in ("ascend-910b", "metax-c500", "hygon-k100-ai", "Inputs that differ", "nodes, mean of day"):
        assert words in done.out, words
    assert files(tmp_path) == set(), "compare writes nothing"
    document = suanli(
        "compare", SCENARIOS / "r1-671b-on-domestic.toml", "--set", "uncertainty.draws=0", "--json"
    ).json()
    assert document["inputs"]["serving.chip"] == ["huawei-ascend-910b", "metax-c500", "hygon-k100-ai"]
    demand = document["metrics"]["demand.output_tokens_per_day"]
    assert len(demand) == 3 and len({entry["value"] for entry in demand}) == 1, "the same traffic"


def test_run_folders_and_files_mix(suanli: Cli, two: tuple[Path, Path], tmp_path: Path) -> None:
    assert suanli("run", two[0], "-o", "out").code == 0
    (folder,) = (tmp_path / "out").iterdir()
    document = suanli("compare", folder, two[0], "--json").json()
    assert document["cases"] == [folder.name, "first"]
    assert document["inputs"] == {} and document["moves"] == []
    for left, right in document["metrics"].values():
        assert left == right
    by_prefix = suanli("compare", "a-plan", two[1], "--runs", "out", "--json").json()
    assert set(by_prefix["inputs"]) == {"cooling.system", "economics.rent"}


def test_overrides_apply_to_both(suanli: Cli, two: tuple[Path, Path]) -> None:
    document = suanli("compare", *two, "--json", "--set", "cooling.system=air").json()
    assert set(document["inputs"]) == {"economics.rent"}


def test_files_of_one_name_stay_apart(suanli: Cli, two: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    two[1].rename(tmp_path / "b" / "first.toml")
    document = suanli("compare", "first.toml", "b/first.toml", "--json").json()
    assert document["cases"] == ["first", "first (2)"]


def test_a_section_that_cannot_stand_alone_says_so(suanli: Cli, two: tuple[Path, Path]) -> None:
    """Weights of 16 bit fit the first case's chips only, so the second's chips cannot be tried alone."""
    wide = PLAN.replace("40 ms", "400 ms").replace('"fp8"', '"bf16"')
    two[0].write_text(wide, encoding="utf-8")
    narrow = wide.replace('"bf16"', '"int4"').replace("nvidia-h100-sxm", "nvidia-rtx-4090")
    two[1].write_text(narrow, encoding="utf-8")
    moves = {move["input"]: move for move in suanli("compare", *two, "--json").json()["moves"]}
    assert "does not fit on 4 x nvidia-rtx-4090" in moves["serving"]["problem"]
    assert moves["serving"]["ratio"] == {}
    assert moves["llm"]["problem"] == ""
    assert "does not fit" in suanli("compare", *two).out


def test_an_infeasible_case_ends_with_1(suanli: Cli, two: tuple[Path, Path]) -> None:
    two[1].write_text(PLAN.replace("40 ms", "2 ms"), encoding="utf-8")
    done = suanli("compare", *two)
    assert (done.code, done.out) == (1, "")
    assert "TPOT of 2 ms cannot be met" in done.err


def test_one_case_is_not_enough(suanli: Cli, two: tuple[Path, Path]) -> None:
    done = suanli("compare", two[0])
    assert (done.code, done.out) == (2, "")
    assert "compare needs two cases" in done.err


def test_bad_cases_name_their_file(suanli: Cli, two: tuple[Path, Path]) -> None:
    two[1].write_text(PLAN.replace("nvidia-h100-sxm", "nvidia-h100-smx"), encoding="utf-8")
    done = suanli("compare", *two)
    assert (done.code, done.out) == (2, "")
    assert 'second.toml:14 serving.chip: No chip "nvidia-h100-smx". Close: nvidia-h100-sxm' in done.err
    missing = suanli("compare", two[0], "thrid.toml")
    assert missing.code == 2 and "thrid.toml: no such scenario file." in missing.err


def test_problems_of_a_variant_name_it(suanli: Cli, tmp_path: Path) -> None:
    variants = '\n[variants.good]\n\n[variants.bad]\nserving = { chip = "h100", tpd = 3 }\n'
    (tmp_path / "both.toml").write_text(PLAN + variants, encoding="utf-8")
    done = suanli("compare", "both.toml")
    assert done.code == 2
    assert done.err.startswith("suanli: variant bad: both.toml:34 serving.tpd: no such field. Known: chip, ")


def test_four_cases_in_80_columns(suanli: Cli) -> None:
    names = ("deepseek-day", "r1-on-gb200-nvl72", "r1-on-cloudmatrix384", "llama70b-on-hgx-h100")
    cases = [SCENARIOS / f"{name}.toml" for name in names]
    done = suanli("compare", *cases, "--set", "uncertainty.draws=0")
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(name in line for line in lines) for name in names)
    assert any("608 bn" in line for line in lines) and "608000000000" not in done.out


def test_notes_of_all_cases_are_said_once(suanli: Cli) -> None:
    done = suanli("compare", SCENARIOS / "r1-671b-on-domestic.toml", "--set", "uncertainty.draws=0")
    text = " ".join(done.out.split())
    assert text.count("Revenue is tokens x list price") == 1 and "all: Revenue" in text
    assert text.count("has no FP8 peak") == 1
    assert "all: the chip has no FP8 peak" in text
    assert "attention weights, ffn weights, experts weights." in text


def test_a_note_of_some_cases_names_them(suanli: Cli, two: tuple[Path, Path]) -> None:
    two[1].write_text(PLAN.split("[economics]")[0], encoding="utf-8")
    text = " ".join(suanli("compare", *two).out.split())
    assert "first: Revenue is tokens x list price" in text
