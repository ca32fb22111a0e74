"""`suanli simulate`: metrics contract, files, goodput search, bad input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from suanli.cli.simulate_ import command
from suanli.errors import InputError

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
    ],
)
def test_bad_options(options: tuple[str, ...], words: str, trace: str) -> None:
    with pytest.raises(InputError, match=words):
        run("--trace", trace, *options)
