"""Benchmark files and kernel tables: units, loads, lengths, names, failures; and what is wrong with bad ones.

The files are written by hand, with the field names of vllm/benchmarks/serve.py, python/sglang/bench_serving.py and
AIPerf's "Working with profile export files".
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suanli.catalog import Catalog
from suanli.errors import InputError
from suanli.interop.aiperf import read_aiperf
from suanli.interop.kernel_tables import StatedKernels, read_kernels
from suanli.interop.measurements import Benchmark, Imported, Stated, read_benchmarks
from suanli.interop.vllm_bench import read_vllm_bench

CATALOG = Catalog()
VLLM: dict[str, Any] = {
    "date": "20261120-101500",
    "backend": "vllm",
    "label": None,
    "model_id": "Qwen/Qwen3-32B",
    "tokenizer_id": "Qwen/Qwen3-32B",
    "num_prompts": 320,
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 32,
    "duration": 128.0,
    "completed": 320,
    "failed": 0,
    "total_input_tokens": 655360,
    "total_output_tokens": 163840,
    "request_throughput": 2.5,
    "output_throughput": 1280.0,
    "mean_ttft_ms": 400.0,
    "median_ttft_ms": 380.0,
    "std_ttft_ms": 200.0,
    "mean_tpot_ms": 12.5,
    "median_tpot_ms": 12.4,
    "std_tpot_ms": 0.5,
    "mean_itl_ms": 12.4,
}
SGLANG: dict[str, Any] = {
    "backend": "sglang",
    "dataset_name": "random",
    "request_rate": 4.0,
    "max_concurrency": None,
    "random_input_len": 1024,
    "random_output_len": 256,
    "random_range_ratio": 0.5,
    "server_info": {"tp_size": 8, "dp_size": 1, "model_path": "deepseek-ai/DeepSeek-R1", "version": "0.5.9"},
    "duration": 60.0,
    "completed": 240,
    "total_input_tokens": 240 * 768,
    "total_output_tokens": 240 * 192,
    "total_output_tokens_retokenized": 240 * 191,
    "output_throughput": 768.0,
    "mean_e2e_latency_ms": 5000.0,
    "mean_ttft_ms": 220.0,
    "mean_tpot_ms": 25.0,
    "mean_itl_ms": 24.0,
}
AIPERF: dict[str, Any] = {
    "request_throughput": {"unit": "requests/sec", "avg": 13.0},
    "time_to_first_token": {"unit": "ms", "avg": 150.0, "p50": 140.0, "std": 60.0},
    "inter_token_latency": {"unit": "ms", "avg": 9.0, "p50": 9.0, "std": 0.9},
    "output_token_throughput": {"unit": "tokens/sec", "avg": 800.0},
    "input_sequence_length": {"unit": "tokens", "avg": 2000.0, "std": 0.0},
    "output_sequence_length": {"unit": "tokens", "avg": 200.0, "std": 10.0},
    "request_count": {"unit": "requests", "avg": 100.0},
    "was_cancelled": False,
    "start_time": "2026-10-17T20:22:08.939332",
    "error_summary": [],
    "input_config": {
        "endpoint": {"model_names": ["Qwen/Qwen3-32B"], "type": "chat", "streaming": True},
        "loadgen": {"concurrency": 10, "request_rate_mode": "concurrency_burst", "request_count": 100},
    },
}
MACHINE = Stated(chip="h200_sxm", layout={"tp": 4}, framework="vllm 0.19.0")


def written(folder: Path, content: Any, name: str = "run.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def vllm(folder: Path, stated: Stated = MACHINE, **changes: Any) -> Imported:
    fields = {name: value for name, value in (VLLM | changes).items() if value != "absent"}
    return read_benchmarks([written(folder, fields)], read_vllm_bench, stated, CATALOG)


# -- vLLM -------------------------------------------------------------------------------------------------------------
def test_a_vllm_result_becomes_a_run(tmp_path: Path) -> None:
    (run,) = vllm(tmp_path).runs
    assert (run.tool, run.date, run.file) == ("vllm-bench", "2026-11-20", "run.json")
    assert (run.model, run.chip, run.n_chips, run.tp) == ("qwen3-32b", "nvidia-h200-sxm", 4, 4)
    assert (run.isl, run.osl, run.concurrency, run.arrival_rate_per_s) == (2048.0, 512.0, 32.0, None)
    assert (run.ttft_s, run.tpot_s, run.itl_s) == (0.4, 0.0125, 0.0124)
    assert run.ttft_error_s == pytest.approx(0.2 / math.sqrt(320))
    assert run.tpot_error_s == pytest.approx(0.0005 / math.sqrt(320))
    assert run.output_tokens_per_s == 1280.0
    assert run.options == {"burst_prompts_per_client": 10.0}
    assert run.framework == "vllm 0.19.0"


def test_a_rate_is_open_arrivals(tmp_path: Path) -> None:
    for rate in (2.5, "2.5"):
        (run,) = vllm(tmp_path, request_rate=rate, max_concurrency=None).runs
        assert (run.concurrency, run.arrival_rate_per_s) == (None, 2.5)
        assert "burst_prompts_per_client" not in run.options


def test_all_at_once_without_a_limit_is_one_request_a_client(tmp_path: Path) -> None:
    (run,) = vllm(tmp_path, max_concurrency=None).runs
    assert run.concurrency == 320.0 and run.options["burst_prompts_per_client"] == 1.0


def test_lengths_of_single_requests_say_how_they_spread(tmp_path: Path) -> None:
    lengths = [800 + i for i in range(201)]
    (run,) = vllm(tmp_path, input_lens=lengths * 2, output_lens=[512] * 402).runs
    low = run.options["length_low_share"]
    assert low == pytest.approx(0.8, abs=0.01)
    assert run.isl == pytest.approx(1000.0, rel=0.01), "the longest; the mean is 900"
    assert run.osl * 0.5 * (1.0 + low) == pytest.approx(512.0)


def test_tpot_from_the_whole_latency(tmp_path: Path) -> None:
    (run,) = vllm(tmp_path, mean_tpot_ms="absent", mean_e2el_ms=400.0 + 511 * 13.0).runs
    assert run.tpot_s == pytest.approx(0.013)


def test_one_output_token_has_no_tpot(tmp_path: Path) -> None:
    (run,) = vllm(tmp_path, total_output_tokens=320, mean_tpot_ms=0.0, mean_itl_ms="absent").runs
    assert run.tpot_s is None and run.ttft_s == 0.4


def test_metadata_and_the_command_line_say_the_layout(tmp_path: Path) -> None:
    (run,) = vllm(
        tmp_path, Stated("h200", framework="vllm"), tensor_parallel_size="2", data_parallel_size=4
    ).runs
    assert (run.tp, run.dp, run.n_chips) == (2, 4, 8)
    (run,) = vllm(tmp_path, Stated("h200", layout={"tp": 8}), tensor_parallel_size="2").runs
    assert (run.tp, run.n_chips) == (8, 8), "the command line wins"


def test_speculative_decoding_is_carried_over(tmp_path: Path) -> None:
    drafts = {
        "spec_decode_acceptance_rate": 70.0,
        "spec_decode_num_drafts": 1000,
        "spec_decode_draft_tokens": 3000,
    }
    (run,) = vllm(tmp_path, **drafts).runs
    assert run.options["mtp_draft"] == 3.0 and run.options["mtp_acceptance"] == pytest.approx(0.7)


def test_failed_requests_are_told(tmp_path: Path) -> None:
    found = vllm(tmp_path, completed=300)
    assert found.remarks == ("run.json: 20 of 320 requests failed; the rest is used",)
    assert found.runs[0].requests == 300


def test_the_same_run_has_one_id_whatever_the_file_is_called(tmp_path: Path) -> None:
    one, two = written(tmp_path, VLLM, "a.json"), written(tmp_path, VLLM | {"mean_tpot_ms": 12.6}, "b.json")
    copy = written(tmp_path, VLLM, "c.json")
    runs = read_benchmarks([one, two, copy], read_vllm_bench, MACHINE, CATALOG).runs
    assert runs[0].id == runs[2].id != runs[1].id


# -- SGLang -----------------------------------------------------------------------------------------------------------
def test_sglang_writes_a_run_a_line(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(SGLANG | {"request_rate": rate}) for rate in (2.0, 4.0)) + "\n"
    path = written(tmp_path, text, "sglang.jsonl")
    runs = read_benchmarks([path], read_vllm_bench, Stated("h200_sxm"), CATALOG).runs
    assert [run.arrival_rate_per_s for run in runs] == [2.0, 4.0]
    first = runs[0]
    assert (first.tool, first.model, first.framework) == ("sglang-bench", "deepseek-r1", "sglang 0.5.9")
    assert (first.tp, first.dp, first.n_chips) == (8, 1, 8)
    # Lengths are drawn from [ratio, 1] x the length that was asked for: 768 on average of 1,024 at most.
    assert first.options["length_low_share"] == 0.5
    assert (first.isl, first.osl) == (1024.0, 256.0)


# -- AIPerf -----------------------------------------------------------------------------------------------------------
def aiperf(folder: Path, stated: Stated = MACHINE, **changes: Any) -> Imported:
    fields = {name: value for name, value in (AIPERF | changes).items() if value != "absent"}
    return read_benchmarks([written(folder, fields)], read_aiperf, stated, CATALOG)


def test_an_aiperf_result_becomes_a_run(tmp_path: Path) -> None:
    (run,) = aiperf(tmp_path).runs
    assert (run.tool, run.date, run.model) == ("aiperf", "2026-10-17", "qwen3-32b")
    assert (run.concurrency, run.options["burst_prompts_per_client"]) == (10.0, 10.0)
    assert (run.ttft_s, run.tpot_s) == (pytest.approx(0.15), pytest.approx(0.009))
    assert run.tpot_error_s == pytest.approx(0.0009 / 10.0)
    assert run.output_tokens_per_s == 800.0
    assert run.options["length_low_share"] == pytest.approx((200 - 17.32) / (200 + 17.32), rel=1e-3)


def test_units_of_aiperf_are_read(tmp_path: Path) -> None:
    (run,) = aiperf(tmp_path, time_to_first_token={"unit": "s", "avg": 0.2}).runs
    assert run.ttft_s == 0.2 and run.ttft_error_s is None
    (run,) = aiperf(tmp_path, inter_token_latency={"unit": "us", "avg": 9000.0}).runs
    assert run.tpot_s == pytest.approx(0.009)


def test_genai_perf_is_read_too(tmp_path: Path) -> None:
    told = {"model": ["Qwen/Qwen3-32B"], "perf_analyzer": {"stimulus": {"concurrency": 8}}}
    path = written(tmp_path, AIPERF | {"input_config": told}, "profile_export_genai_perf.json")
    (run,) = read_benchmarks([path], read_aiperf, MACHINE, CATALOG).runs
    assert (run.tool, run.concurrency, run.model) == ("genai-perf", 8.0, "qwen3-32b")


def test_errors_of_aiperf_are_told(tmp_path: Path) -> None:
    found = aiperf(tmp_path, error_summary=[{"error_details": {"code": 500}, "count": 3}])
    assert found.remarks == ("run.json: 3 of 103 requests failed; the rest is used",)


# -- bad files --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reader", "content", "words"),
    [
        (read_vllm_bench, "{", "run.json:1 not valid JSON"),
        (read_vllm_bench, '["a"]', "run.json: expected a JSON object"),
        (read_vllm_bench, "[]", "run.json: holds no results"),
        (read_vllm_bench, {"completed": 3}, "run.json: no total_input_tokens"),
        (read_vllm_bench, {**VLLM, "completed": 0}, "completed must be above 0"),
        (read_vllm_bench, {**VLLM, "mean_ttft_ms": None}, "run.json: no mean_ttft_ms; is this the result of"),
        (read_vllm_bench, {**VLLM, "mean_tpot_ms": "fast"}, 'mean_tpot_ms "fast" is not a number'),
        (read_vllm_bench, {**VLLM, "mean_tpot_ms": -1.0}, "mean_tpot_ms must be above 0, got -1"),
        (read_vllm_bench, {**VLLM, "request_rate": "trace"}, "request_rate is a trace"),
        (read_vllm_bench, {**VLLM, "request_rate": 0}, "request_rate must be above 0"),
        (read_vllm_bench, {**VLLM, "model_id": "Nobody/Nothing-9B"}, 'No model "Nobody/Nothing-9B"'),
        (read_aiperf, VLLM, "run.json: no input_sequence_length; is this profile_export_aiperf.json"),
        (
            read_aiperf,
            {**AIPERF, "time_to_first_token": {"unit": "tokens", "avg": 1}},
            'is in "tokens", not a time',
        ),
        (read_aiperf, {**AIPERF, "inter_token_latency": {"unit": "ms"}}, "inter_token_latency has no avg"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(
    tmp_path: Path, reader: Callable[[Path], list[Benchmark]], content: Any, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_benchmarks([written(tmp_path, content)], reader, MACHINE, CATALOG)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    paths = [
        written(tmp_path, VLLM | {"mean_ttft_ms": None}, "a.json"),
        written(tmp_path, VLLM, "good.json"),
        written(tmp_path, VLLM | {"completed": "all"}, "b.json"),
        tmp_path / "absent.json",
    ]
    with pytest.raises(InputError) as caught:
        read_benchmarks(paths, read_vllm_bench, MACHINE, CATALOG)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("a.json: no mean_ttft_ms") and 'completed "all"' in lines[1]
    assert "absent.json: cannot be read" in lines[2]


def test_what_the_file_does_not_say_must_be_stated(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        vllm(tmp_path, Stated("h200"), backend="openai", model_id="absent")
    assert "no model in the file; give --model" in str(caught.value)
    assert "no framework in the file; give --framework" in str(caught.value)
    with pytest.raises(InputError, match=r'run\.json: No chip "h900"'):
        vllm(tmp_path, Stated("h900"))


# -- kernels ----------------------------------------------------------------------------------------------------------
def kernels(folder: Path, text: str, stated: StatedKernels | None = None, name: str = "k.csv") -> list[Any]:
    given = stated or StatedKernels(chip="rtx4090", framework="vllm")
    return read_kernels([written(folder, text, name)], given, CATALOG)


def test_a_plain_table_of_kernels(tmp_path: Path) -> None:
    text = (
        "operator,chip,dtype,framework,kernel,m,n,k,batch,context,heads,kv_heads,head_dim,time_us\n"
        "gemm,,bf16,,,16,4096,4096,,,,,,42.5\n"
        "attention_decode,h100_sxm,bf16,sglang,fa3,,,,8,2048,32,8,128,21\n"
    )
    one, two = kernels(tmp_path, text)
    assert one.key == ("gemm", "nvidia-rtx-4090", "bf16", "vllm", "*")
    assert one.shape == {"m": 16.0, "n": 4096.0, "k": 4096.0} and one.time_s == pytest.approx(42.5e-6)
    assert two.key == ("attention_decode", "nvidia-h100-sxm", "bf16", "sglang", "fa3")
    assert two.shape["kv_heads"] == 8.0


def test_tables_of_aiconfigurator(tmp_path: Path) -> None:
    gemm = "framework,version,gemm_dtype,m,n,k,latency\nVLLM,0.24.0,bfloat16,128,4096,4096,0.05\n"
    (one,) = kernels(tmp_path, gemm)
    assert one.key == ("gemm", "nvidia-rtx-4090", "bf16", "vllm", "*") and one.time_s == pytest.approx(5e-5)
    attention = (
        "kernel_source,kv_cache_dtype,batch_size,isl,step,num_heads,num_key_value_heads,head_dim,latency\n"
        "vllm_flash_attn,bfloat16,4,1,2047,32,8,128,0.02\n"
    )
    (two,) = kernels(tmp_path, attention, name="generation_attention_perf.csv")
    assert two.operator == "attention_decode" and two.kernel == "fa2"
    assert two.shape["context"] == 2048.0 and two.shape["batch"] == 4.0
    moe = (
        "moe_dtype,kernel_source,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,"
        "distribution,latency\nbfloat16,vllm_fused_moe,64,2048,1536,8,128,2,1,power_law_1.2,0.3\n"
    )
    (three,) = kernels(tmp_path, moe)
    assert three.key[0] == "moe" and three.kernel == "triton"
    assert three.shape["inter"] == 768.0 and three.shape["alpha"] == 1.2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m,n,k,dtype\n1,2,3,bf16\n", "k.csv:1 no column of times"),
        ("m,n,k,dtype,time_s\n1,2,x,bf16,1e-5\n", 'k.csv:2 k "x" is not a number'),
        ("m,n,k,dtype,time_s\n1,2,3,bf16,0\n", "k.csv:2 time_s must be above 0, got 0"),
        ("m,n,k,dtype,time_s\n0,2,3,bf16,1e-5\n", "k.csv:2 m must be a number of at least 1"),
        ("m,n,k,dtype,time_s\n1,2,3,bf99,1e-5\n", 'No number format "bf99"'),
        ("m,n,k,time_s\n1,2,3,1e-5\n", "k.csv:2 no number format; add a column dtype or give --dtype"),
        ("operator,m,dtype,time_s\nsoftmax,1,bf16,1e-5\n", 'operator "softmax" is none of gemm'),
        ("operator,m,dtype,time_s\ngemm,1,bf16,1e-5\n", "gemm needs n, k"),
        ("m,n,k,dtype,time_s\n", "k.csv: holds no kernels"),
        ("m,n,k,dtype,time_s\n1,2,3,bf16\n", "k.csv:2 has another number of fields"),
    ],
)
def test_a_bad_table_of_kernels_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        kernels(tmp_path, text)
    assert words in str(caught.value)


def test_a_chip_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no chip; give --chip"):
        kernels(tmp_path, "m,n,k,dtype,time_s\n1,2,3,bf16,1e-5\n", StatedKernels())
