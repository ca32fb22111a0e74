"""`suanli simulate`: metrics contract, files, goodput search, bad input."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from suanli.catalog import Catalog
from suanli.cli.simulate_ import command
from suanli.errors import InputError
from suanli.scenario import load
from suanli.study import simulation

ROOT = Path(__file__).parents[2]
SCENARIO = str(ROOT / "scenarios" / "sim-llama2-7b-a100.toml")
COLUMNS = (
    "request_id,arrived_s,scheduled_s,first_token_s,finished_s,input_tokens,output_tokens,cached_tokens,"
    "replica,preemptions,status"
)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    rows = zip(
        np.cumsum(rng.exponential(0.5, 200)),
        rng.integers(50, 1500, 200),
        rng.integers(1, 300, 200),
        strict=True,
    )
    path = tmp_path / "trace.csv"
    text = "".join(f"{t:.6f},{i},{o}\n" for t, i, o in rows)
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n" + text, encoding="utf-8")
    return str(path)


def run(*args: str) -> Result:
    return CliRunner().invoke(command, [SCENARIO, *args], catch_exceptions=False, standalone_mode=False)


def document(*args: str) -> dict:
    return json.loads(run(*args, "--json").stdout)


def test_metrics_contract(trace: str) -> None:
    found = document("--trace", trace)
    assert found["schema"] == "suanli/result/1"
    wanted = [
        "requests",
        "completed",
        "duration",
        "output_tokens_per_s",
        "goodput",
        "kv_hit_share",
        "preemptions",
    ]
    wanted += ["energy_per_output_token"]
    wanted += [f"{a}_{b}" for a in ("ttft", "tpot", "e2e", "queue") for b in ("mean", "p50", "p90", "p99")]
    for name in wanted:
        assert isinstance(found["metrics"][f"sim.{name}"]["value"], float), name
    assert found["metrics"]["sim.completed"]["value"] == 200
    assert found["partial"] is False


def test_operators_are_the_default_and_say_how_sure_they_are(trace: str) -> None:
    found = document("--trace", trace)
    physics, metrics = found["physics"], found["metrics"]
    assert physics["basis"] == {"replica": "calibrated"}
    band = physics["step_band"]["replica"]
    assert 1.05 < band < 3.0
    tpot = metrics["sim.tpot_mean"]
    assert tpot["value"] / tpot["low"] == pytest.approx(band, rel=0.25)
    assert tpot["high"] / tpot["value"] == pytest.approx(band, rel=0.25)
    ttft = metrics["sim.ttft_mean"]
    assert ttft["low"] < ttft["value"] / band and ttft["high"] > ttft["value"] * band
    assert (metrics["sim.completed"]["low"], metrics["sim.requests"]["low"]) == (None, None)
    text = run("--trace", trace).stdout
    assert "90 % band" in text
    assert "Basis: calibrated operators, constants of any framework; step times within" in " ".join(
        text.split()
    )
    single = document("--trace", trace, "--no-band")
    assert single["metrics"]["sim.tpot_mean"]["low"] is None
    assert single["metrics"]["sim.tpot_mean"]["value"] == tpot["value"]


def test_constants_are_those_of_the_framework(trace: str) -> None:
    limits = {
        name: document("--trace", trace, "--no-band", "--framework", name)["physics"]
        for name in ("vllm 0.19.0", "sglang")
    }
    assert limits["vllm 0.19.0"]["framework"].startswith("vllm")
    assert limits["vllm 0.19.0"]["limits"]["replica"]["policy"] == "continuous"
    assert limits["sglang"]["limits"]["replica"]["policy"] == "prefill-first"
    own = document(
        "--trace", trace, "--no-band", "--max-num-seqs", "3", "--chunk", "77", "--policy", "static"
    )
    assert own["physics"]["limits"]["replica"] | {"kv_tokens": 0} == {
        "policy": "static",
        "max_num_seqs": 3,
        "max_batched_tokens": 77,
        "kv_tokens": 0,
    }
    assert own["metrics"]["sim.queue_p99"]["value"] > limits_of(trace)


def limits_of(trace: str) -> float:
    return float(document("--trace", trace, "--no-band")["metrics"]["sim.queue_p99"]["value"])


def test_a_cached_share_shortens_prompts(trace: str) -> None:
    plain, cached = (
        document("--trace", trace, "--no-band", "--prefix-share", share)["metrics"] for share in ("0", "0.75")
    )
    assert cached["sim.kv_hit_share"]["value"] == pytest.approx(0.75, abs=0.01)
    assert cached["sim.ttft_mean"]["value"] < plain["sim.ttft_mean"]["value"]


def test_separate_pools_with_drafts(trace: str) -> None:
    day = str(ROOT / "scenarios" / "deepseek-day.toml")
    options = [
        "--trace",
        trace,
        "--qps",
        "2",
        "--replicas",
        "1:1",
        "--no-band",
        "--json",
    ]
    done = CliRunner().invoke(
        command, [day, *options, "--set", "llm.mtp=true"], catch_exceptions=False, standalone_mode=False
    )
    found = json.loads(done.stdout)
    assert set(found["physics"]["basis"]) == {"prefill", "decode"}
    assert found["metrics"]["sim.completed"]["value"] == 200
    assert 0.0 < found["metrics"]["sim.tpot_mean"]["value"] < 0.1


def test_files(trace: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    found = document("--trace", trace, "-o", str(folder), "--window", "0:20", "--replicas", "2")
    assert json.loads((folder / "result.json").read_text(encoding="utf-8")) == found
    lines = (folder / "requests.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == COLUMNS
    rows = list(csv.DictReader(lines))
    assert len(rows) == 200
    ttft = np.array([float(row["first_token_s"]) - float(row["arrived_s"]) for row in rows])
    assert ttft.mean() == pytest.approx(found["metrics"]["sim.ttft_mean"]["value"], rel=1e-6)
    events = json.loads((folder / "chrome_trace.json").read_text(encoding="utf-8"))["traceEvents"]
    assert {event["tid"] for event in events} == {0, 1}
    assert all(event["dur"] > 0 for event in events)
    for name in ("latency.svg", "batch.svg", "kv.svg", "power.svg"):
        assert (folder / name).read_text(encoding="utf-8").startswith("<svg")


def test_same_seed_same_bytes(trace: str, tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        run("--trace", trace, "--qps", "3", "--seed", "5", "-o", str(tmp_path / name))
        texts.append(
            [(tmp_path / name / f).read_bytes() for f in ("requests.csv", "series.csv", "result.json")]
        )
    assert texts[0] == texts[1]


def test_goodput_meets_the_objectives_and_no_more(trace: str) -> None:
    found = document("--trace", trace, "--find-goodput", "--slo-ttft", "1 s", "--slo-tpot", "40 ms")[
        "metrics"
    ]
    rate = found["sim.largest_rate"]["value"]
    share = found["sim.goodput"]["value"] * found["sim.duration"]["value"] / 200
    assert share >= 0.9
    more = document("--trace", trace, "--qps", str(rate * 1.5), "--slo-ttft", "1 s", "--slo-tpot", "40 ms")[
        "metrics"
    ]
    assert more["sim.goodput"]["value"] * more["sim.duration"]["value"] / 200 < 0.9


def test_the_largest_rate_has_a_band_from_both_ends_of_the_step_times(trace: str) -> None:
    asked = ("--trace", trace, "--find-goodput", "--slo-ttft", "2 s")
    entry = document(*asked, "--slo-tpot", "60 ms")["metrics"]["sim.largest_rate"]
    assert 0.0 < entry["low"] < entry["value"] < entry["high"]
    alone = document(*asked, "--slo-tpot", "60 ms", "--no-band")["metrics"]["sim.largest_rate"]
    assert (alone["value"], alone["low"]) == (entry["value"], None)
    # An objective that even a lone request misses at the slow end.
    nominal = document("--trace", trace, "--qps", "0.01", "--no-band")["metrics"]["sim.tpot_p99"]["value"]
    tight = document(*asked, "--slo-tpot", f"{nominal * 1.05} s")["metrics"]["sim.largest_rate"]
    assert tight["low"] == 0.0 < tight["value"]


def test_power_is_as_uncertain_as_the_power_model(trace: str) -> None:
    deployed = simulation.deployment(load(SCENARIO), Catalog())
    assert 0.02 < deployed.power_error < 0.5
    metrics = document("--trace", trace)["metrics"]
    for name in ("power_mean", "energy_per_output_token"):
        entry = metrics[f"sim.{name}"]
        assert entry["low"] * (1.0 + deployed.power_error) <= entry["value"] * (1.0 + 1e-9), name
    # An A100 draws no more than its TDP of 400 W (NVIDIA A100 datasheet).
    assert metrics["sim.power_mean"]["value"] < metrics["sim.power_mean"]["high"] <= 400.0


def test_bands_of_power_add_in_quadrature() -> None:
    def entries(power: float) -> dict[str, dict]:
        return {"sim.power_mean": {"value": power, "unit": "W", "low": None, "high": None}}

    still = simulation.banded(entries(100.0), [entries(100.0)] * 2, 1.0, 0.2)["sim.power_mean"]
    assert (still["low"], still["high"]) == pytest.approx((100.0 / 1.2, 120.0))
    moved = simulation.banded(entries(100.0), [entries(80.0), entries(125.0)], 1.0, 0.25)["sim.power_mean"]
    factor = 1.25**2.0**0.5
    assert (moved["low"], moved["high"]) == pytest.approx((100.0 / factor, 100.0 * factor))
    capped = simulation.banded(entries(100.0), [entries(100.0)] * 2, 1.0, 0.2, 110.0)["sim.power_mean"]
    assert capped["high"] == 110.0


def test_the_table_has_words_units_and_short_bands(trace: str) -> None:
    text = run("--trace", trace, "--slo-ttft", "1 s").stdout
    for words in ("TTFT, mean", "TPOT, p99", "prefix hits", "peak KV", "power of all chips, mean"):
        assert words in text, words
    assert not re.search(r"[a-z]_[a-z0-9]", text.split("Basis")[0])
    assert re.search(r"TTFT, mean +[\d.,]+ m?s +[\d.,]+\.\.[\d.,]+ *$", text, re.M)
    assert re.search(r"utilisation +[\d.]+ %", text)
    for low, high in re.findall(r"([\d.,]*\d)\.\.([\d.,]+)", text):
        assert low != high


def test_a_missing_trace_is_bad_input() -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: no such trace file"):
        run("--trace", "nowhere.csv")


def test_a_rate_is_searched_for_a_trace_without_arrivals(tmp_path: Path) -> None:
    path = tmp_path / "lengths.json"
    path.write_text(json.dumps([[2000, 50]] * 60), encoding="utf-8")
    found = document("--trace", str(path), "--find-goodput", "--slo-ttft", "0.5 s", "--no-band")["metrics"]
    assert found["sim.largest_rate"]["value"] > 0.0


def test_unknown_is_null_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,10,1\n", encoding="utf-8")
    entry = document("--trace", str(path))["metrics"]["sim.tpot_mean"]
    assert entry["value"] is None
    assert entry["reason"]


def test_tiers_report_what_they_saved(tmp_path: Path) -> None:
    rows = [
        {
            "timestamp": 4000 * k,
            "input_length": 3000,
            "output_length": 20,
            "hash_ids": [10 * (k % 7) + j for j in range(6)],
        }
        for k in range(60)
    ]
    path = tmp_path / "mooncake.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = document("--trace", str(path), "--tiers", "host=64 GB, flash=1 TB")["metrics"]
    assert found["sim.kv_hit_share"]["value"] > 0.5
    assert found["sim.tier.device.hit_share"]["value"] == pytest.approx(
        found["sim.kv_hit_share"]["value"], abs=0.01
    )
    assert found["sim.tier.host.cost"]["value"] > 0.0
    assert found["sim.tier.flash.cost_per_saved_time"]["value"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--replicas", "1:2"), "--replicas 1:2: give N"),
        (("--arrivals", "gamma"), "needs --qps"),
        (("--tiers", "tape=1 TB"), "NAME one of host"),
        (("--window", "abc"), "START:END"),
        (("--prefix-share", "1"), "--prefix-share is a share of prompts"),
        (("--requests", "900", "--no-wrap"), "has 200 requests, 900"),
        (("--qps", "0"), "--qps must be a rate above 0, got 0"),
        (("--qps", "nan"), "--qps must be a rate above 0, got nan"),
        (("--clients", "0"), "--clients must be at least 1, got 0"),
        (("--clients", "4", "--qps", "3"), "give one of them"),
        (("--clients", "4", "--arrivals", "poisson"), "--clients is for --arrivals closed"),
        (("--arrivals", "closed"), "--arrivals closed needs --clients"),
        (("--find-goodput", "--clients", "4"), "leave out --clients"),
        (("--find-goodput", "--qps", "4"), "leave out --qps"),
    ],
)
def test_bad_options(options: tuple[str, ...], words: str, trace: str) -> None:
    with pytest.raises(InputError, match=words):
        run("--trace", trace, *options)
