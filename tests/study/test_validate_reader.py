"""Reading the measured table: names, layouts, denominators, merging, the split, sanity flags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.errors import InputError, NoDataError, UnknownIdError
from suanli.serving.engine_names import framework_named
from suanli.study.validate import Flag, Measurement, Skipped, data_folder, read
from suanli.study.validate.families import measurement
from suanli.study.validate.layouts import Layout, layout_named
from suanli.study.validate.measured import merge
from suanli.study.validate.names import chip_named, model_named, weights_named
from suanli.study.validate.sanity import checked

CATALOG = Catalog()
HEADER = "id,source_family,source,date,model,weights_dtype,kv_dtype,hardware,n_accel,parallelism,framework,phase,isl,"
HEADER += "osl,concurrency_or_batch,metric,value,unit,notes,verification,chip,grade"


def row(**changes: str) -> dict[str, str]:
    """A made-up row of the measured table, INFX unless told otherwise."""
    base = dict.fromkeys(HEADER.split(","), "")
    base |= {
        "id": "X-1",
        "source_family": "INFX",
        "date": "2026-01-01",
        "model": "meta-llama/Llama-3.1-70B",
        "weights_dtype": "fp8/moe fp8",
        "kv_dtype": "not stated",
        "hardware": "h200_sxm",
        "n_accel": "8",
        "parallelism": "TP8 PP1 attnDP1 moeTP8 moeEP1",
        "framework": "vllm 0.19.0",
        "isl": "1024",
        "osl": "1024",
        "concurrency_or_batch": "32",
        "metric": "TPOT",
        "value": "20",
        "unit": "ms",
    }
    return base | changes


def one(**changes: str) -> Measurement:
    found = measurement(row(**changes), CATALOG)
    assert isinstance(found, Measurement), found
    return found


def test_a_row_in_si_with_ids() -> None:
    found = one()
    assert (found.model, found.chip, found.n_chips) == ("llama-3.1-70b", "nvidia-h200-sxm", 8)
    assert found.values == {"tpot_s": pytest.approx(0.020)}
    assert found.protocol == "closed_loop"
    assert found.options["burst_prompts_per_client"] == 10.0


# Spellings of data/README trap 1 and calibration-findings section 7.1: n_accel is right, the label is not.
@pytest.mark.parametrize(
    ("label", "chips", "layout"),
    [
        ("TP64 PP1 attnDP1 moeTP8 moeEP8", 8, Layout(8, 1, 1, 8)),
        ("TP16 PP1 attnDP1 moeTP4 moeEP4", 4, Layout(4, 1, 1, 4)),
        ("TP1 PP1 attnDP64 moeTP8 moeEP8", 8, Layout(1, 1, 8, 8)),
        ("TP4 PP1 attnDP4 moeTP1 moeEP16", 4, Layout(4, 1, 1, 4)),
        ("TP4 PP1 attnDP1 moeTP2 moeEP2", 2, Layout(2, 1, 1, 2)),
        ("TP8 PP1 attnDP moeTP1 moeEP8", 8, Layout(8, 1, 1, 8)),
        ("TP2 PP1 attnDP0 moeTP0 moeEP0", 2, Layout(2, 1, 1, 1)),
        ("TP1 PP1 attnDP8 moeTP1 moeEP8", 8, Layout(1, 1, 8, 8)),
        ("TP2PP4", 8, Layout(2, 4, 1, 1)),
        ("llama.cpp layer split", 4, Layout(1, 4, 1, 1)),
        ("1 GPU", 1, Layout(1, 1, 1, 1)),
        ("TP24 NeuronCores (2 cores per chip)", 12, Layout(12, 1, 1, 1)),
        ("EP144/DP144, 18 nodes per unit", 144, Layout(1, 1, 144, 144)),
        ("TP8 EP8 attention DP", 8, Layout(1, 1, 8, 8)),
        ("TP8 EP2, MTP3", 8, Layout(8, 1, 1, 2)),
    ],
)
def test_layout_spellings(label: str, chips: int, layout: Layout) -> None:
    assert layout_named(label, chips)[0] == layout


@given(
    tp=st.sampled_from([1, 2, 4, 8, 16, 64]),
    dp=st.sampled_from([1, 2, 4, 8, 64]),
    ep=st.sampled_from([0, 1, 2, 8, 16]),
    chips=st.sampled_from([1, 2, 4, 8]),
)
@settings(deadline=None)
def test_a_layout_never_needs_more_chips_than_there_are(tp: int, dp: int, ep: int, chips: int) -> None:
    layout, note = layout_named(f"TP{tp} PP1 attnDP{dp} moeTP1 moeEP{ep}", chips)
    assert layout.tp * layout.pp * layout.dp <= chips
    assert layout.ep <= chips
    assert bool(note) == (layout != (tp, 1, dp, max(ep, 1)))


def test_second_spellings_merge_and_copies_are_not_reruns() -> None:
    clean = {"model": "deepseek-ai/DeepSeek-R1", "parallelism": "TP8 PP1 attnDP1 moeTP1 moeEP8"}
    doubled = {"model": "deepseek-ai/DeepSeek-V3", "parallelism": "TP64 PP1 attnDP1 moeTP8 moeEP8"}
    copies = merge([one(**clean, id="a", value="16"), one(**doubled, id="b", value="16")])
    assert len(copies) == 1
    assert copies[0].ids == ("a", "b")
    assert "tpot_s" not in copies[0].spread
    reruns = merge(
        [one(**clean, value="16"), one(**doubled, value="25"), one(**clean, metric="TTFT", value="100")]
    )
    assert reruns[0].values == {"tpot_s": pytest.approx(0.020), "ttft_s": pytest.approx(0.1)}
    assert reruns[0].spread == {"tpot_s": pytest.approx(25 / 16)}


def test_the_split_depends_on_the_configuration_only() -> None:
    found = one()
    assert replace(found, values={"tpot_s": 9.9}, ids=("other",), date="2030").half == found.half
    halves = {one(concurrency_or_batch=str(n)).half for n in range(1, 30)}
    assert halves == {"fit", "judge"}


# Publisher's change log (calibration-findings section 4): rc6.post3 with MTP, rc6.post2 without.
@pytest.mark.parametrize(
    ("framework", "date", "label", "draft"),
    [
        ("trtllm 1.2.0rc6.post3", "2026-02-05", "TP8 PP1 attnDP1 moeTP1 moeEP8", 3),
        ("trtllm 1.2.0rc6.post3", "2026-02-05", "TP1 PP1 attnDP8 moeTP1 moeEP8", 1),
        ("trtllm 1.2.0rc6.post2", "2026-01-29", "TP8 PP1 attnDP1 moeTP1 moeEP8", 0),
        ("trtllm 1.1.0rc2.post2", "2026-01-14", "TP8 PP1 attnDP1 moeTP1 moeEP8", 3),
        ("trtllm 1.1.0rc2.post2", "2025-12-15", "TP8 PP1 attnDP1 moeTP1 moeEP8", 0),
    ],
)
def test_mtp_rows(framework: str, date: str, label: str, draft: int) -> None:
    found = one(model="deepseek-ai/DeepSeek-R1", framework=framework, date=date, parallelism=label)
    assert found.mtp == draft
    assert found.options.get("mtp_draft", 0) == draft


def test_denominators() -> None:
    # TRTLLM06: A100 "output throughput" is per GPU (ratios 2.07, 4.13, 9.0 at 2, 4, 8); TRTLLM1 is the sum.
    per_gpu = one(
        source_family="TRTLLM06",
        n_accel="4",
        parallelism="TP4",
        metric="output throughput",
        unit="tok/s",
        value="100",
    )
    assert per_gpu.values["output_tokens_per_s"] == pytest.approx(400)
    total = one(
        source_family="TRTLLM1",
        n_accel="4",
        parallelism="TP4",
        metric="total output throughput",
        unit="tok/s",
        value="100",
    )
    assert total.values["output_tokens_per_s"] == pytest.approx(100)
    assert total.concurrency is None
    node = one(
        source_family="SGLEP",
        model="DeepSeek-V3",
        hardware="H100 SXM",
        n_accel="72",
        parallelism="EP72, 9 nodes",
        phase="decode",
        isl="2000",
        osl="",
        concurrency_or_batch="256/GPU",
        metric="throughput per 8-GPU node",
        unit="tok/s/node",
        value="22282",
    )
    assert node.values["output_tokens_per_s"] == pytest.approx(22282 / 8 * 72)
    assert (node.concurrency, node.dp, node.ep) == (256 * 72, 72, 72)
    speed = one(
        source_family="XJD",
        model="LLaMA 3 8B",
        hardware="4090 24GB",
        n_accel="1",
        parallelism="1 GPU",
        phase="decode",
        value="50",
    )
    assert speed.values["tpot_s"] == pytest.approx(0.02)


def test_an_ascend_npu_is_two_dies() -> None:
    found = one(
        source_family="CM384",
        model="DeepSeek-R1",
        weights_dtype="int8",
        hardware="Ascend 910C (dual-die NPU)",
        n_accel="1",
        parallelism="EP320",
        framework="CloudMatrix-Infer",
        phase="decode",
        concurrency_or_batch="96/NPU",
        metric="decode throughput per NPU at TPOT<50ms",
        unit="tok/s/NPU",
        value="1943",
    )
    assert (found.chip, found.n_chips, found.concurrency) == ("huawei-ascend-910c", 160, 96 * 160)
    assert found.values["output_tokens_per_s"] == pytest.approx(1943 * 160)


@pytest.mark.parametrize(
    ("name", "model", "implied"),
    [
        ("nvidia/DeepSeek-R1-NVFP4", "deepseek-r1", "nvfp4"),
        ("nvidia/Llama-3.1-8B-Instruct-FP8", "llama-3.1-8b", "fp8"),
        ("Qwen/Qwen3-235B-A22B-FP8", "qwen3-235b-a22b", "fp8_block"),
        ("Mistral-7B-Instruct-v0.2", "mistral-7b", None),
        ("llama2-70b-99.9", "llama-2-70b", None),
        ("LLaMA 70B", "llama-2-70b", None),
        ("CodeLlama-13b-hf", "llama-2-13b", None),
        ("Llama-4-Maverick-17B-128E", "llama-4-maverick", None),
        ("zhipuai/GLM-5", "glm-5", None),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.1-70b", None),
        ("RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8-dynamic", "llama-3.1-70b", "fp8"),
        ("hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4", "llama-3.1-70b", "int4"),
    ],
)
def test_model_names(name: str, model: str, implied: str | None) -> None:
    found = model_named(CATALOG, name)
    assert (found.id, found.weights_dtype) == (model, implied)


def test_an_unknown_model_names_the_close_ones() -> None:
    with pytest.raises(UnknownIdError, match="qwen3-32b"):
        model_named(CATALOG, "Qwen/Qwen3-33B")


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        ("8x H200-SXM (MaxQ power-limited)", "nvidia-h200-sxm"),
        ("h100-80gb-pcap (power-capped)", "nvidia-h100-sxm"),
        ("Ascend 910C (dual-die NPU)", "huawei-ascend-910c"),
        ("M1 Max 32\u2011Core GPU 64GB", "apple-m1-max"),
        ("Inferentia2 (Inf2.48xlarge)", "aws-inferentia2"),
    ],
)
def test_hardware_names(name: str, chip: str) -> None:
    assert chip_named(CATALOG, name) == chip


@pytest.mark.parametrize(
    ("label", "model", "implied", "native", "ours"),
    [
        ("fp4/moe nvfp4", "llama-3.1-70b", None, "bf16", "nvfp4"),
        ("fp4/moe nvfp4", "gpt-oss-120b", None, "mxfp4", "native"),
        ("fp8/moe fp8", "deepseek-r1", None, "fp8_block", "fp8_block"),
        ("fp8/moe fp8", "llama-3.1-70b", None, "bf16", "fp8"),
        ("not stated", "qwen3-32b", None, "bf16", "native"),
        ("bf16/fp16 (default)", "llama-3-8b", None, "bf16", "bf16"),
        ("int4/moe int4_wo", "kimi-k2.5", None, "int4", "int4"),
        ("fp8 matmul+dispatch", "deepseek-v3", None, "fp8_block", "fp8_block"),
    ],
)
def test_weight_labels(label: str, model: str, implied: str | None, native: str, ours: str) -> None:
    assert weights_named(label, model, implied, native) == ours


@pytest.mark.parametrize(
    ("label", "ours"),
    [
        ("TensorRT-LLM v0.6.1", "trtllm 0.6.1"),
        ("TensorRT-LLM ~1.0 PyTorch backend", "trtllm 1.0"),
        ("sglang 0.5.10.post1", "sglang 0.5.10.post1"),
        ("vllm ", "vllm"),
        ("vLLM (build not stated)", "vllm"),
        ("not stated in file (DGX profiling, early vLLM-era)", "*"),
        ("sglang nightly-dev-20260216-d3bae71e", "sglang nightly-dev-20260216-d3bae71e"),
        ("Transformers NeuronX 2.18.0", "neuronx 2.18.0"),
    ],
)
def test_framework_labels(label: str, ours: str) -> None:
    assert framework_named(label) == ours


def flags(**values: float) -> set[str]:
    base = one(n_accel="1", parallelism="TP1 PP1 attnDP1 moeTP1 moeEP1", isl="1024", osl="1024")
    model = "qwen3-235b-a22b" if values.pop("large", 0) else "llama-3.1-70b"
    found = checked([replace(base, model=model, values=values)], CATALOG)
    return {flag.code for flag in found[0].flags}


def test_impossible_rows_are_flagged_and_kept() -> None:
    assert flags(ttft_s=1.0, tpot_s=0.05) == set()
    # 70 GB of FP8 weights over 4.8 TB/s take 14.6 ms.
    assert "below-floor" in flags(ttft_s=1.0, tpot_s=0.012)
    assert "memory" in flags(ttft_s=1.0, tpot_s=0.05, large=1)
    assert "batch-limit" in flags(ttft_s=30.0, tpot_s=0.05)
    assert "slow" in flags(ttft_s=1.0, tpot_s=0.5)
    # 32 clients x 2,048 tokens x 1.4e11 FLOP in 4 s is 2.3e15 FLOP/s, above 60 % of 1.98e15.
    assert "flops" in flags(ttft_s=0.1, tpot_s=0.004)


def test_remarks_are_not_doubts() -> None:
    remark, doubt = Flag("", "layout", "x"), Flag("ttft_s", "queue", "y")
    found = replace(one(), flags=(remark, doubt))
    assert found.doubts("tpot_s") == ()
    assert found.doubts("ttft_s") == (doubt,)


def test_rows_that_are_no_measurement_say_why() -> None:
    fleet = measurement(
        row(source_family="DSEEK", metric="peak nodes occupied", unit="nodes", phase="mixed"), CATALOG
    )
    assert isinstance(fleet, Skipped)
    assert "fleet" in fleet.why
    unknown = measurement(row(model="who/knows"), CATALOG)
    assert isinstance(unknown, Skipped)
    assert "who/knows" in unknown.why


def test_the_data_folder_is_named_in_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"--data nowhere: no such folder"):
        data_folder("nowhere")
    monkeypatch.setenv("SUANLI_DATA", "gone")
    with pytest.raises(InputError, match="SUANLI_DATA gone"):
        data_folder()
    with pytest.raises(NoDataError, match=r"measured_inference\.csv"):
        read(tmp_path)


def test_the_whole_table() -> None:
    """On the data itself, where it is at hand: counts of calibration-findings sections 0.5 and 7."""
    folder = data_folder()
    if folder is None:
        pytest.skip("the measured table lies outside the repository (SUANLI_DATA)")
    found, skipped = read(folder, CATALOG)
    loop = [one for one in found if one.protocol == "closed_loop" and one.family in ("INFX", "AICGAP")]
    assert 1540 <= len(loop) <= 1600
    assert sum(one.mtp > 0 for one in loop) == 61
    assert 0.45 < sum(one.half == "judge" for one in loop) / len(loop) < 0.55
    codes = [flag.code for one in loop for flag in one.flags]
    assert codes.count("memory") == 8
    assert not [skip for skip in skipped if skip.why.startswith("No ")], "every name resolves"


def test_a_projection_is_not_a_rerun_of_the_measurement() -> None:
    """CloudMatrix 384 prefill: 5,655 tok/s an NPU measured, 6,688 projected for perfect balance."""
    shared = {
        "source_family": "CM384",
        "model": "DeepSeek-R1",
        "hardware": "Ascend 910C",
        "n_accel": "1",
        "parallelism": "per NPU",
        "framework": "CloudMatrix-Infer",
        "phase": "prefill",
        "concurrency_or_batch": "",
        "unit": "tok/s/NPU",
    }
    measured = one(
        **shared, metric="prefill throughput per NPU, default routing", value="5655", notes="default"
    )
    ideal = one(**shared, metric="prefill throughput per NPU", value="6688", notes="PERFECT-EPLB projection")
    found = merge([ideal, measured])
    assert [len(entry.doubts("input_tokens_per_s")) for entry in found] == [1, 0]
    assert found[1].values["input_tokens_per_s"] == pytest.approx(5655 * 16)
