"""`suanli recommend`: the answer on 80 columns, JSON, CSV, launch scripts, and how it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from pathlib import Path

import pytest
from cli_case import Cli, files

from suanli.cli import main

SMALL = ("--model", "qwen3-8b", "--chip", "h200_sxm", "--isl", "1000", "--osl", "200")
SLOS = ("--ttft-slo", "2 s", "--tpot-slo", "20 ms")


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.VERBS, "recommend", main.VERBS.get("recommend", "Search deployments."))


def test_the_answer_fits_80_columns_and_says_what_why_and_what_limits(suanli: Cli) -> None:
    done = suanli("recommend", *SMALL, *SLOS, "--chips", 4)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0].startswith("qwen3-8b on 4 x nvidia-h200-sxm: 1,000 tokens in, 200 out; TTFT <= 2 s, TPOT")
    header = next(words for line in lines if (words := line.split())[:1] == ["deployment"])
    assert header == ["deployment", "flight", "user", "chip", "TTFT", "Mtok", "J/tok", "limit"]
    for heading in ("Best", "Why", "Limits"):
        assert heading in lines
    assert "Binding: the " in done.out
    assert re.search(r"A quarter more chips bring \d+% more tok/s\.", done.out)
    assert "Price: nvidia-h200-sxm: " in done.out and "Basis of the best: " in done.out


def test_json_has_all_of_it_in_si_units(suanli: Cli) -> None:
    document = suanli("recommend", *SMALL, *SLOS, "--chips", 4, "--json").json()
    assert document["schema"] == "suanli/recommend/1"
    assert document["question"]["tpot_slo_s"] == 0.02
    assert document["question"]["limit"] == {"kind": "chips", "value": 4.0, "text": "4 chips"}
    best = document["best"]
    assert best in document["front"]
    assert best["tpot_s"]["low"] < best["tpot_s"]["value"] < best["tpot_s"]["high"]
    assert best["tpot_s"]["value"] <= 0.02
    assert best["tokens_per_s_per_user"] == pytest.approx(1.0 / best["tpot_s"]["value"])
    assert best["tokens_per_s_per_chip"] == pytest.approx(best["output_tokens_per_s"] / 4)
    wall = best["power_wall_w"]["value"]
    assert best["j_per_token"]["value"] == pytest.approx(wall / best["output_tokens_per_s"])
    assert sum(p["replicas"] * p["tp"] * p["pp"] * p["dp"] for p in best["pools"]) == best["chips"] <= 4
    assert {one["name"] for one in document["constraints"]} == {"TPOT", "TTFT", "memory", "chips"}


def test_rows_of_the_csv_are_points_for_estimate(suanli: Cli, tmp_path: Path) -> None:
    done = suanli("recommend", *SMALL, "--chips", 2, "--framework", "vllm", "-o", "front.csv")
    assert done.code == 0 and "Front: front.csv" in done.out
    front = list(csv.DictReader(io.StringIO((tmp_path / "front.csv").read_text(encoding="utf-8"))))
    assert [row["best"] for row in front].count("yes") == 1
    assert suanli("estimate", "--batch", "front.csv", "-o", "again.csv").code == 0
    again = list(csv.DictReader(io.StringIO((tmp_path / "again.csv").read_text(encoding="utf-8"))))
    assert len(again) == len(front) > 3
    for row in again:
        assert row["status"] == "ok", row["reason"]
        assert float(row["tpot_s"]) == pytest.approx(float(row["mean_tpot_s"]), rel=1e-5)
        if row["mode"] == "aggregated":
            assert float(row["ttft_s"]) == pytest.approx(float(row["mean_ttft_s"]), rel=1e-5)
            assert float(row["output_tokens_per_s"]) == pytest.approx(
                float(row["total_output_tokens_per_s"]), rel=1e-5
            )
            assert float(row["usd_per_mtok_output"]) == pytest.approx(
                float(row["total_usd_per_mtok"]), rel=1e-5
            )


@pytest.mark.parametrize(
    ("chip", "more"),
    [
        ("amd-mi250x", ()),
        ("huawei-ascend-910c", ("--prefix", "0.5", "--option", "max_sequences=20")),
    ],
)
def test_conditions_and_ranks_are_in_the_csv(
    suanli: Cli, tmp_path: Path, chip: str, more: tuple[str, ...]
) -> None:
    asked = ("--model", "qwen3-30b-a3b", "--chip", chip, "--isl", "1000", "--osl", "200", "--chips", 4)
    assert suanli("recommend", *asked, *more, "--mode", "aggregated", "-o", "front.csv").code == 0
    assert suanli("estimate", "--batch", "front.csv", "-o", "again.csv").code == 0
    again = list(csv.DictReader(io.StringIO((tmp_path / "again.csv").read_text(encoding="utf-8"))))
    assert len(again) > 3 and {row["layout_in_ranks"] for row in again} == {"1"}
    for row in again:
        assert row["status"] == "ok", row["reason"]
        for ours, theirs in (("tpot_s", "mean_tpot_s"), ("output_tokens_per_s", "total_output_tokens_per_s")):
            assert float(row[ours]) == pytest.approx(float(row[theirs]), rel=1e-5)
        assert float(row["usd_per_mtok_output"]) == pytest.approx(float(row["total_usd_per_mtok"]), rel=1e-5)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_launch_script_is_written_and_is_bash(suanli: Cli, tmp_path: Path, engine: str) -> None:
    done = suanli("recommend", *SMALL, *SLOS, "--chips", 4, "--export", engine, "-o", "launch.sh")
    assert done.code == 0 and f"Launch script for {engine}: launch.sh" in done.out
    text = (tmp_path / "launch.sh").read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# Qwen/Qwen3-8B with ")
    assert "objective 20 ms" in text
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    printed = suanli("recommend", *SMALL, *SLOS, "--chips", 4, "--export", engine)
    assert printed.out == text


def test_modes_are_kept_apart(suanli: Cli) -> None:
    for mode, pools in (("aggregated", 1), ("disaggregated", 2)):
        document = suanli("recommend", *SMALL, "--chips", 4, "--mode", mode, "--json").json()
        assert {row["mode"] for row in document["front"]} == {mode}
        assert {len(row["pools"]) for row in document["front"]} == {pools}


def test_power_and_budget_say_how_many_chips_they_are(suanli: Cli) -> None:
    done = suanli("recommend", *SMALL, *SLOS, "--power", "20.4 kW")
    assert done.code == 0
    assert "qwen3-8b on 16 x nvidia-h200-sxm" in done.out
    assert "Limit: nvidia-hgx-h200-8 of 8 chips draws at most 10.2 kW." in done.out
    assert re.search(r"The best draws [\d.]+ kW on average, \d+% of the limit\.", done.out)
    assert "qwen3-8b on 8 x nvidia-h200-sxm" in suanli("recommend", *SMALL, *SLOS, "--budget", "400 kUSD").out


def test_private_prices_are_used(suanli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    header = "id,parameter,value,low,high,unit,as_of,source,locator,grade,status,note"
    row = "nvidia-h200-sxm,rent_neocloud_on_demand_median:2030-01,1.00,,,USD/h,2030-01,own-quote,,C,adopted,"
    (folder / "prices.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    theirs = suanli("recommend", *SMALL, "--chips", 1, "--json").json()["best"]
    mine = suanli("recommend", *SMALL, "--chips", 1, "--json", "--catalog", folder).json()["best"]
    assert mine["output_tokens_per_s"] == theirs["output_tokens_per_s"]
    assert mine["usd_per_mtok_output"]["value"] < theirs["usd_per_mtok_output"]["value"]


def test_nothing_that_fits_ends_with_1_and_the_smallest_change(suanli: Cli, tmp_path: Path) -> None:
    before = files(tmp_path)
    done = suanli("recommend", *SMALL, "--chips", 2, "--tpot-slo", "0.5 ms", "-o", "front.csv")
    assert (done.code, done.out) == (1, "")
    assert "no deployment of 2 x nvidia-h200-sxm meets TPOT 500 us" in done.err or "TPOT 0.5 ms" in done.err
    assert re.search(r'^Smallest change that fits: --tpot-slo "[\d.]+ ms" \(now 0\.5 ms\)\.$', done.err, re.M)
    assert files(tmp_path) == before
    big = suanli("recommend", *SMALL[2:], "--model", "deepseek-v3", "--chips", 4)
    assert big.code == 1 and "Smallest change that fits in memory: 8 x nvidia-h200-sxm (now 4)." in big.err


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        ((), 2, "Give exactly one of --chips N, --budget AMOUNT and --power AMOUNT; none is given."),
        (("--chips", 4, "--power", "1 MW"), 2, "--chips and --power are given"),
        (("--chips", "many"), 2, '--chips: cannot read "many"'),
        (("--chips", "2.5"), 2, "--chips must be a whole number, got 2.5"),
        (("--chips", 0), 2, "--chips must be above 0"),
        (("--power", "1 m"), 2, 'write an amount such as "1 MW"'),
        (("--chips", 4, "--tpot-slo", "30"), 2, '--tpot-slo: "30" has no unit; write "30 ms" or "30 s"'),
        (("--chips", 4, "--ttft-slo", "2 W"), 2, "--ttft-slo: "),
        (("--chips", 4, "--prefix", "1.2"), 2, "--prefix is the cached share of a prompt"),
        (("--chips", 4, "--isl", "0"), 2, "--isl must be at least 1 token"),
        (("--chips", 4, "--chip", "h2000"), 2, 'No chip "h2000"'),
        (("--chips", 4, "--model", "qwen3-9b"), 2, 'No model "qwen3-9b"'),
        (
            ("--chips", 4, "--export", "trtllm"),
            2,
            '--export "trtllm": no such engine. Choose vllm or sglang.',
        ),
        (("--chips", 4, "--weights-dtype", "fp7"), 2, "fp7"),
        (
            ("--chips", 4, "--option", "mtp_draft"),
            2,
            '--option "mtp_draft": write NAME=NUMBER, such as mtp_draft=1',
        ),
        (("--chips", 4, "--option", "mtp_drafts=1"), 2, 'No option "mtp_drafts". Close: mtp_draft.'),
        (("--chips", 4, "--option", "memory_share=2"), 2, "memory_share is a share, from 0 to 1; got 2"),
        (
            ("--chips", 1, "--mode", "disaggregated"),
            1,
            "Or: --mode both, which shares chips between the phases.",
        ),
        (("--budget", "5 USD"), 1, "5 USD is less than one system of nvidia-h200-sxm"),
        (("--chip", "google-tpu-v6e", "--budget", "5 MUSD"), 3, "google-tpu-v6e: no price in USD on record"),
        (("--chips", 4, "-o", "no/such/folder.csv"), 2, "-o no/such/folder.csv: cannot be written"),
    ],
)
def test_bad_input_is_one_clear_line(
    suanli: Cli, tmp_path: Path, change: tuple[object, ...], code: int, line: str
) -> None:
    before = files(tmp_path)
    done = suanli("recommend", *SMALL, *change)
    assert done.code == code, done
    assert line in done.err
    assert "Traceback" not in done.err and "internal error" not in done.err
    assert files(tmp_path) == before


def test_conditions_beside_the_flags_count(suanli: Cli) -> None:
    plain, small = (
        suanli("recommend", *SMALL, "--chips", 1, *more, "--json").json()["best"]
        for more in ((), ("--option", "max_sequences=4"))
    )
    assert small["pools"][0]["requests"] == 4 < plain["pools"][0]["requests"]


def test_a_prompt_beyond_the_model_is_remarked_on(suanli: Cli) -> None:
    done = suanli("recommend", *SMALL, "--chips", 1, "--isl", "100000")
    text = " ".join(done.out.split())
    assert re.search(
        r"qwen3-8b is published for [34][\d,]+ tokens of context, requests here hold 100,200", text
    )
    assert "No objective for TTFT (--ttft-slo) and TPOT (--tpot-slo)" in text
    assert "One more chip brings" in text


def test_columns_of_all_chips_are_told_from_those_of_the_decode_pool(suanli: Cli, tmp_path: Path) -> None:
    done = suanli("recommend", *SMALL, "--chips", 4, "--mode", "disaggregated", "-o", "front.csv")
    assert "`estimate --batch` answers the decode pool alone" in " ".join(done.out.split())
    assert suanli("estimate", "--batch", "front.csv", "-o", "again.csv").code == 0
    again = list(csv.DictReader(io.StringIO((tmp_path / "again.csv").read_text(encoding="utf-8"))))
    document = suanli("recommend", *SMALL, "--chips", 4, "--mode", "disaggregated", "--json").json()
    for row, said in zip(again, document["front"], strict=True):
        prompts = float(row["prefill_requests"]) * int(row["prefill_replicas"])
        whole = float(row["total_requests_in_flight"])
        assert whole == said["requests_in_flight"] == float(row["concurrency"]) + prompts
        assert int(row["n_chips"]) < int(row["chips_in_use"])
        assert float(row["usd_per_mtok_output"]) < float(row["total_usd_per_mtok"])


def test_as_many_rows_are_printed_as_are_named(suanli: Cli) -> None:
    out = suanli("recommend", *SMALL, *SLOS, "--chips", 4, "--mode", "aggregated").out
    shown = re.search(r"Shown are (\d+) of (\d+) rows", out)
    assert shown is not None and int(shown[2]) > int(shown[1])
    table = out.split("Shown are")[0]
    assert len(re.findall(r"^ \d+x tp", table, re.M)) == int(shown[1])


def test_the_same_question_has_the_same_answer(suanli: Cli) -> None:
    first, second = (suanli("recommend", *SMALL, *SLOS, "--chips", 4, "--json").out for _ in range(2))
    assert first == second
    assert json.loads(first)["deployments"] > 100
