"""`suanli import vllm-bench | aiperf | kernels`: own measurements go to an overlay that every verb then uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_case import Cli, files

# A run as `vllm bench serve --save-result` writes it; slower than the package expects.
RUN: dict[str, Any] = {
    "date": "20261120-101500",
    "backend": "vllm",
    "model_id": "Qwen/Qwen3-32B",
    "num_prompts": 320,
    "request_rate": "inf",
    "max_concurrency": 32,
    "completed": 320,
    "total_input_tokens": 655360,
    "total_output_tokens": 163840,
    "output_throughput": 1150.0,
    "mean_ttft_ms": 412.0,
    "std_ttft_ms": 180.0,
    "mean_tpot_ms": 15.0,
    "std_tpot_ms": 0.4,
    "mean_itl_ms": 15.0,
}
AIPERF: dict[str, Any] = {
    "time_to_first_token": {"unit": "ms", "avg": 150.0, "std": 60.0},
    "inter_token_latency": {"unit": "ms", "avg": 11.0, "std": 0.9},
    "input_sequence_length": {"unit": "tokens", "avg": 2048.0},
    "output_sequence_length": {"unit": "tokens", "avg": 512.0},
    "request_count": {"unit": "requests", "avg": 40.0},
    "start_time": "2026-11-21T08:00:00",
    "input_config": {"endpoint": {"model_names": ["Qwen/Qwen3-32B"]}, "loadgen": {"concurrency": 4}},
}
MACHINE = ("--chip", "h200_sxm", "--tp", "4", "--framework", "vllm 0.19.0")
ASK = (
    *("estimate", "--model", "qwen3-32b", "--chip", "h200_sxm", "--tp", "4", "--framework", "vllm 0.19.0"),
    *("--isl", "2048", "--osl", "512", "--concurrency", "16"),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return written(tmp_path, RUN)


def written(folder: Path, content: Any, name: str = "run.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def tpot(document: Any) -> dict[str, float]:
    found: dict[str, float] = document["metrics"]["tpot_s"]
    return found


def test_a_run_refines_what_estimate_says(suanli: Cli, run: Path, tmp_path: Path) -> None:
    before = tpot(suanli(*ASK, "--json").json())
    done = suanli("import", "vllm-bench", run, *MACHINE, "-o", "mine", "--json").json()
    assert done["schema"] == "suanli/import/1"
    assert done["machines"][0]["chip"] == "nvidia-h200-sxm" and done["machines"][0]["runs"] == 1
    assert done["machines"][0]["error"]["tpot_s"]["left_out"] is None, "one run cannot judge itself"
    (entry,) = done["runs"]
    values = entry["tpot_s"]
    assert entry["new"] and values["measured"] == 0.015
    assert values["before"] < values["after"] < values["measured"]
    assert files(tmp_path) == {"run.json", "mine", "mine/measurements.csv", "mine/refinements.csv"}
    after = tpot(suanli(*ASK, "--json", "--catalog", "mine").json())
    assert after["value"] > before["value"]
    assert after["high"] / after["value"] < before["high"] / before["value"]
    told = suanli(*ASK, "--json", "--catalog", "mine").json()["refinement"]
    assert told["fitted_on"] == "1 run (vllm-bench, 2026-11-20)" and told["measured"] is True
    assert told["factors"]["decode_kernels"] > 1.0
    assert "refinement" not in suanli(*ASK, "--json").json()
    assert tpot(suanli(*ASK, "--json").json()) == before, "without the overlay nothing changes"


def test_people_are_told_what_happened_and_what_to_do(suanli: Cli, run: Path) -> None:
    done = suanli("import", "vllm-bench", run, *MACHINE)
    assert done.code == 0
    for words in ("measured", "before", "after", "decode kernels", "unavailable from one run"):
        assert words in done.out
    command = done.out.splitlines()[-1]
    assert command.startswith("suanli estimate --model qwen3-32b") and "--catalog my-catalog" in command
    shown = suanli(*ASK, "--catalog", "my-catalog")
    assert "Refined by 1 run (vllm-bench, 2026-11-20) on your machine" in " ".join(shown.out.split())
    assert "TPOT band x/" in " ".join(shown.out.split())


def test_importing_twice_counts_once(suanli: Cli, run: Path, tmp_path: Path) -> None:
    suanli("import", "vllm-bench", run, *MACHINE)
    overlay = tmp_path / "my-catalog"
    first = {path.name: path.read_bytes() for path in overlay.iterdir()}
    again = suanli("import", "vllm-bench", run, *MACHINE, "--json").json()
    assert [entry["new"] for entry in again["runs"]] == [False]
    assert {path.name: path.read_bytes() for path in overlay.iterdir()} == first


def test_runs_of_several_tools_add_up(suanli: Cli, run: Path, tmp_path: Path) -> None:
    suanli("import", "vllm-bench", run, *MACHINE)
    other = written(tmp_path, AIPERF, "profile_export_aiperf.json")
    done = suanli("import", "aiperf", other, *MACHINE, "--json").json()
    assert [entry["new"] for entry in done["runs"]] == [True, False]
    assert done["machines"][0]["runs"] == 2
    assert done["machines"][0]["error"]["tpot_s"]["left_out"] is not None
    shown = " ".join(suanli(*ASK, "--catalog", "my-catalog").out.split())
    assert "2 runs (aiperf, vllm-bench, 2026-11-20 to 2026-11-21)" in shown


def test_other_verbs_use_the_overlay_or_do_not_mind_it(suanli: Cli, run: Path, tmp_path: Path) -> None:
    suanli("import", "vllm-bench", run, *MACHINE)
    assert suanli("catalog", "--catalog", "my-catalog").code == 0
    points = tmp_path / "points.csv"
    points.write_text(
        "id,model,chip,n_chips,tp,framework,isl,osl,concurrency\n"
        "a,qwen3-32b,h200_sxm,4,4,vllm 0.19.0,2048,512,16\nb,qwen3-32b,h100_sxm,4,4,vllm 0.19.0,2048,512,16\n",
        encoding="utf-8",
    )
    rows = []
    for extra in ((), ("--catalog", "my-catalog")):
        assert suanli("estimate", "--batch", points, "-o", "out.csv", *extra).code == 0
        rows.append((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines())
    assert rows[0][1] != rows[1][1], "the chip that was measured"
    assert rows[0][2] == rows[1][2], "another chip"
    question = (
        "recommend",
        "--model",
        "qwen3-32b",
        "--chip",
        "h200",
        "--chips",
        "8",
        "--framework",
        "vllm 0.19.0",
    )
    load = ("--isl", "2048", "--osl", "512", "--tpot-slo", "30 ms", "--json")
    plain, refined = suanli(*question, *load), suanli(*question, *load, "--catalog", "my-catalog")
    assert plain.code == refined.code == 0 and plain.out != refined.out


def test_an_unknown_combination_says_so(suanli: Cli, run: Path) -> None:
    suanli("import", "vllm-bench", run, *MACHINE)
    sglang = [word if word != "vllm 0.19.0" else "sglang" for word in ASK]
    shown = " ".join(suanli(*sglang, "--catalog", "my-catalog").out.split())
    assert "Your runs on nvidia-h200-sxm refine vllm (dense); not what is asked here." in shown


def test_a_run_far_off_is_doubted(suanli: Cli, tmp_path: Path) -> None:
    path = written(tmp_path, RUN | {"mean_tpot_ms": 150.0})
    done = suanli("import", "vllm-bench", path, *MACHINE)
    assert done.code == 0
    assert "run.json: TPOT is" in done.err and "check chip, layout, formats and model" in done.err


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"mean_ttft_ms": None}, MACHINE, "run.json: no mean_ttft_ms"),
        ({}, ("--chip", "h200", "--tp", "3", "--framework", "vllm"), "run.json: tp 3 does not divide"),
        ({}, ("--chip", "h300", "--tp", "4", "--framework", "vllm"), 'No chip "h300"'),
        ({"backend": "openai"}, ("--chip", "h200", "--tp", "4"), "give --framework"),
        ({}, (*MACHINE, "--option", "prefix=0.5"), 'No condition "prefix"'),
        ({}, (*MACHINE, "--option", "prefix_hit_share=half"), "must be NAME=NUMBER"),
        ({}, (*MACHINE, "--weights-dtype", "fp99"), 'No dtype "fp99"'),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    suanli: Cli, tmp_path: Path, changes: dict[str, Any], options: tuple[str, ...], words: str
) -> None:
    path = written(tmp_path, RUN | changes)
    done = suanli("import", "vllm-bench", path, *options)
    assert done.code == 2 and words in done.err and "Traceback" not in done.err
    assert files(tmp_path) == {"run.json"}


def test_kernels_refine_the_operators_of_a_chip(suanli: Cli, run: Path, tmp_path: Path) -> None:
    suanli("import", "vllm-bench", run, *MACHINE)
    table = "operator,dtype,m,n,k,time_us\n" + "".join(
        f"gemm,bf16,{m},8192,8192,{900.0 * max(m, 256) / 4096:.1f}\n" for m in (256, 512, 1024, 2048, 4096)
    )
    (tmp_path / "gemm.csv").write_text(table, encoding="utf-8")
    done = suanli(
        "import", "kernels", "gemm.csv", "--chip", "h200_sxm", "--framework", "vllm", "--json"
    ).json()
    (one,) = done["sets"]
    assert one["set"] == ["gemm", "nvidia-h200-sxm", "bf16", "vllm", "*"]
    assert (one["rows"], one["how"]) == (5, "scaled") and one["factor"] > 1.0
    assert {"calibration.csv", "kernel_measurements.csv", "measurements.csv", "refinements.csv"} == {
        path.name for path in (tmp_path / "my-catalog").iterdir()
    }
    shown = suanli("import", "kernels", "gemm.csv", "--chip", "h200_sxm", "--framework", "vllm")
    assert "time x" in shown.out and "--catalog my-catalog" in shown.out
    assert suanli(*ASK, "--catalog", "my-catalog").code == 0


def test_a_problem_of_all_rows_is_told_once(suanli: Cli, tmp_path: Path) -> None:
    rows = "".join(f"gemm,bf16,{m},8192,8192,900\n" for m in (256, 512, 1024))
    (tmp_path / "gemm.csv").write_text("operator,dtype,m,n,k,time_us\n" + rows, encoding="utf-8")
    done = suanli("import", "kernels", "gemm.csv", "--framework", "vllm")
    assert done.code == 2
    assert done.err.strip() == "suanli: gemm.csv:2 no chip; give --chip (and 2 more rows)"


def test_a_timing_beyond_the_peak_is_refused(suanli: Cli, tmp_path: Path) -> None:
    table = "operator,dtype,m,n,k,time_us\ngemm,bf16,4096,4096,4096,220\ngemm,bf16,4096,4096,4096,0.01\n"
    (tmp_path / "gemm.csv").write_text(table, encoding="utf-8")
    done = suanli("import", "kernels", "gemm.csv", "--chip", "h200_sxm")
    assert done.code == 2 and len(done.err.strip().splitlines()) == 1
    assert "gemm.csv:3 gemm of m 4096, n 4096, k 4096 in 0.01 us" in done.err
    assert files(tmp_path) == {"gemm.csv"}


def test_a_spoilt_overlay_is_named(suanli: Cli, run: Path, tmp_path: Path) -> None:
    suanli("import", "vllm-bench", run, *MACHINE)
    path = tmp_path / "my-catalog" / "refinements.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",dense,", ",dens,"), encoding="utf-8")
    done = suanli(*ASK, "--catalog", "my-catalog")
    assert done.code == 2 and 'refinements.csv:2 kind "dens" is none of dense, moe, mla' in done.err
