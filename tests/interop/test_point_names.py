"""Names as other teams' tables write them: models, formats, accelerators and engines of a points file."""

from __future__ import annotations

import pytest

from suanli.catalog import Catalog
from suanli.errors import NoDataError, UnknownIdError
from suanli.interop.points import request_of
from suanli.llm.dtypes import stated
from suanli.serving.engine_names import framework_named
from suanli.study.deployment.solve import Deployments
from suanli.study.validate.checkpoints import checkpoint
from suanli.study.validate.names import chip_named, model_named, weights_named

CATALOG = Catalog()

# name -> catalogue id, format that the name states ("" for none)
MODELS = {
    "zhipuai/GLM-5": ("glm-5", ""),
    "zai-org/GLM-5-FP8": ("glm-5", "fp8_block"),
    "zai-org/GLM-4.6": ("glm-4.5", ""),
    "zai-org/GLM-4.5-Air-FP8": ("glm-4.5-air", "fp8_block"),
    "nvidia/DeepSeek-R1-NVFP4": ("deepseek-r1", "nvfp4"),
    "nvidia/DeepSeek-R1-FP4": ("deepseek-r1", "nvfp4"),
    "nvidia/DeepSeek-R1-0528-FP4": ("deepseek-r1", "nvfp4"),
    "nvidia/DeepSeek-R1-0528-NVFP4-v2": ("deepseek-r1", "nvfp4"),
    "nvidia/DeepSeek-V3.1-NVFP4": ("deepseek-v3.1", "nvfp4"),
    "RedHatAI/DeepSeek-V4-Flash-NVFP4-FP8": ("deepseek-v4-flash", "nvfp4"),
    "DeepSeek-R1 671B": ("deepseek-r1", ""),
    "dsr1": ("deepseek-r1", ""),
    "deepseek-ai/DeepSeek-V3.2-Exp": ("deepseek-v3.2-exp", ""),
    "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct": ("deepseek-v2-lite", ""),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": ("deepseek-r1-distill-qwen-32b", ""),
    "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B": ("qwen3-8b", ""),
    "novita/deepseek-r1-0528-w4afp8": ("deepseek-r1", "w4afp8"),
    "nvidia/Qwen3-32B-NVFP4": ("qwen3-32b", "nvfp4"),
    "nvidia/Llama-3.1-8B-Instruct-FP8": ("llama-3.1-8b", "fp8"),
    "nvidia/Llama-3.3-70B-Instruct-FP4": ("llama-3.1-70b", "nvfp4"),
    "nvidia/Llama-3.1-Nemotron-70B-Instruct-HF": ("llama-3.1-70b", ""),
    "meta-llama/Llama-3.3-70B-Instruct": ("llama-3.1-70b", ""),
    "meta-llama/Meta-Llama-3-8B-Instruct": ("llama-3-8b", ""),
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8": ("llama-4-maverick", "fp8"),
    "RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8-dynamic": ("llama-3.1-70b", "fp8"),
    "neuralmagic/Meta-Llama-3.1-8B-Instruct-quantized.w8a8": ("llama-3.1-8b", "int8"),
    "RedHatAI/Qwen2.5-7B-Instruct-quantized.w4a16": ("qwen2.5-7b", "int4"),
    "RedHatAI/Llama-3.3-70B-Instruct-FP8-block": ("llama-3.1-70b", "fp8_block"),
    "nm-testing/Meta-Llama-3-8B-Instruct-W8A8-Dynamic-Per-Token": ("llama-3-8b", "int8"),
    "hugging-quants/Meta-Llama-3.1-405B-Instruct-AWQ-INT4": ("llama-3.1-405b", "int4"),
    "TheBloke/Llama-2-70B-Chat-AWQ": ("llama-2-70b", "int4"),
    "TheBloke/Mixtral-8x7B-Instruct-v0.1-GPTQ": ("mixtral-8x7b", "int4"),
    "Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4": ("qwen2.5-72b", "int4"),
    "Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8": ("qwen2.5-72b", "int8_wo"),
    "Qwen/Qwen3-235B-A22B-Thinking-2507-FP8": ("qwen3-235b-a22b", "fp8_block"),
    "Qwen/Qwen3-Coder-30B-A3B-Instruct": ("qwen3-30b-a3b", ""),
    "Qwen/Qwen2-57B-A14B-Instruct": ("qwen2-57b-a14b", ""),
    "Qwen/Qwen1.5-72B-Chat": ("qwen-72b", ""),
    "Intel/Qwen3-30B-A3B-Thinking-2507-int4-AutoRound": ("qwen3-30b-a3b", "int4"),
    "cpatonn/Qwen3-Next-80B-A3B-Instruct-AWQ-4bit": ("qwen3-next-80b-a3b", "int4"),
    "unsloth/llama-3-8b-Instruct-bnb-4bit": ("llama-3-8b", "int4"),
    "unsloth/Qwen3-32B-GGUF:Q4_K_M": ("qwen3-32b", "q4_k_m"),
    "unsloth/DeepSeek-V3-0324-GGUF-UD-Q2_K_XL": ("deepseek-v3", "q2_k"),
    "mlx-community/Qwen3-30B-A3B-8bit": ("qwen3-30b-a3b", "int8_wo"),
    "turboderp/Llama-3.1-8B-Instruct-exl2-6.0bpw": ("llama-3.1-8b", "q6_k"),
    "bartowski/Meta-Llama-3.1-8B-Instruct-Q8_0.gguf": ("llama-3.1-8b", "q8_0"),
    "google/gemma-3-27b-it-qat-q4_0-gguf": ("gemma-3-27b", "q4_0"),
    "amd/Llama-3.1-405B-Instruct-FP8-KV": ("llama-3.1-405b", "fp8"),
    "amd/DeepSeek-R1-0528-MXFP4-Preview": ("deepseek-r1", "mxfp4"),
    "amd/gpt-oss-120b-w-mxfp4-a-fp8": ("gpt-oss-120b", "mxfp4"),
    "gpt-oss 120B (MXFP4)": ("gpt-oss-120b", "mxfp4"),
    "Llama 3 70B (FP8)": ("llama-3-70b", "fp8"),
    "llama3.1:8b-instruct-q4_K_M": ("llama-3.1-8b", "q4_k_m"),
    "accounts/fireworks/models/llama-v3p1-70b-instruct": ("llama-3.1-70b", ""),
    "llama2-70b-99.9": ("llama-2-70b", ""),
    "llama3_1-405b": ("llama-3.1-405b", ""),
    "LLAMA-2-7B-HF": ("llama-2-7b", ""),
    "lmsys/vicuna-13b-v1.5-16k": ("llama-2-13b", ""),
    "codellama/CodeLlama-34b-Instruct-hf": ("codellama-34b", ""),
    "mistralai/Mistral-7B-Instruct-v0.2": ("mistral-7b", ""),
    "mistralai/Mixtral-8x22B-Instruct-v0.1": ("mixtral-8x22b", ""),
    "mistralai/Mistral-Small-3.1-24B-Instruct-2503": ("mistral-small-24b", ""),
    "NousResearch/Hermes-3-Llama-3.1-8B": ("llama-3.1-8b", ""),
    "facebook/opt-66b": ("opt-66b", ""),
    "gptj-99.9": ("gpt-j-6b", ""),
    "tiiuae/falcon-180B-chat": ("falcon-180b", ""),
    "microsoft/Phi-3-medium-128k-instruct": ("phi-3-medium", ""),
    "google/gemma-2-9b-it": ("gemma-2-9b", ""),
    "moonshotai/Kimi-K2-Instruct-0905": ("kimi-k2", ""),
    "nvidia/Kimi-K2-Thinking-NVFP4": ("kimi-k2-thinking", "nvfp4"),
    "MiniMaxAI/MiniMax-M2.1": ("minimax-m2", ""),
    "01-ai/Yi-34B-Chat": ("yi-34b", ""),
    "internlm/internlm2_5-7b-chat": ("internlm2-7b", ""),
    "baichuan-inc/Baichuan2-13B-Chat": ("baichuan2-13b", ""),
    "THUDM/chatglm3-6b": ("chatglm3-6b", ""),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_and_the_format_that_its_name_states(name: str) -> None:
    found = model_named(CATALOG, name)
    assert (found.id, found.weights_dtype or "") == MODELS[name]


@pytest.mark.parametrize("name", ["Qwen/QWEN3-32B", "qwen3-32b", "Qwen3 32B", "qwen3_32b", "QWEN/Qwen3-32B"])
def test_case_separators_and_organisation_do_not_matter(name: str) -> None:
    assert model_named(CATALOG, name).id == "qwen3-32b"


@pytest.mark.parametrize("ident", CATALOG.ids("models"))
def test_every_id_and_alias_is_its_own_model(ident: str) -> None:
    assert model_named(CATALOG, ident).id == ident
    for alias in CATALOG.model(ident)["_suanli"]["aliases"]:
        assert model_named(CATALOG, alias).id == ident


@pytest.mark.parametrize(
    "name",
    [
        "yuhuili/EAGLE3-LLaMA3.1-Instruct-8B-llama-3.1-8b",
        "RedHatAI/Qwen3-32B-speculator.eagle3",
        "qwen3-embedding-8b",
    ],
)
def test_a_helper_of_a_model_is_not_that_model(name: str) -> None:
    with pytest.raises(UnknownIdError):
        model_named(CATALOG, name)


def test_version_numbers_are_not_taken_for_words_that_may_go() -> None:
    """Qwen2-57B is no Qwen2.5-7B, and a Llama-3.1-80B is none of ours."""
    assert model_named(CATALOG, "Qwen2-57B").id == "qwen2-57b-a14b"
    with pytest.raises(UnknownIdError, match=r"Close: llama-3.1-8b"):
        model_named(CATALOG, "meta-llama/Llama-3.1-80B-Instruct")


def test_the_narrowest_of_several_formats_is_that_of_the_experts() -> None:
    assert checkpoint("org/Model-7B-NVFP4-FP8-KV").weights_dtype == "nvfp4"
    assert checkpoint("org/Model-7B").weights_dtype is None


CHIPS = {
    "H100": "nvidia-h100-sxm", "NVIDIA H100 80GB HBM3": "nvidia-h100-sxm", "8xH100-SXM5": "nvidia-h100-sxm",
    "H100x8": "nvidia-h100-sxm", "p5.48xlarge": "nvidia-h100-sxm", "H100 PCIe": "nvidia-h100-pcie",
    "H100 NVL 94GB": "nvidia-h100-nvl", "NVIDIA H200 141GB HBM3e": "nvidia-h200-sxm", "h200-cw": "nvidia-h200-sxm",
    "H20-3e": "nvidia-h20-141gb", "A800-SXM4-80GB": "nvidia-a800-sxm-80gb", "A100": "nvidia-a100-sxm-80gb",
    "A100 80GB PCIe": "nvidia-a100-pcie-80gb", "A100-SXM4-40GB": "nvidia-a100-sxm-40gb",
    "NVIDIA A100 (80GB)": "nvidia-a100-sxm-80gb", "H100 (PCIe)": "nvidia-h100-pcie",
    "NVIDIA A100 (PCIe 80GB)": "nvidia-a100-pcie-80gb", "A100 (40GB)": "nvidia-a100-sxm-40gb",
    "A10G": "nvidia-a10g", "A30": "nvidia-a30",
    "Tesla V100-SXM2-32GB": "nvidia-v100-sxm2-32gb", "Tesla T4": "nvidia-t4", "L4": "nvidia-l4",
    "4 x L40S": "nvidia-l40s", "GeForce RTX 4090 24GB": "nvidia-rtx-4090", "rtx4090": "nvidia-rtx-4090",
    "NVIDIA GeForce RTX 5090": "nvidia-rtx-5090", "RTX 6000 Pro": "nvidia-rtx-pro-6000",
    "RTX PRO 6000 Blackwell Server Edition": "nvidia-rtx-pro-6000", "b200-trt": "nvidia-b200-sxm",
    "HGX B200": "nvidia-b200-sxm", "B300": "nvidia-b300-sxm", "GB200 NVL72": "nvidia-gb200",
    "gb200-nv": "nvidia-gb200", "GB300 NVL72": "nvidia-gb300", "NVIDIA GH200 480GB": "nvidia-gh200-96gb",
    "MI210": "amd-mi210", "MI250X": "amd-mi250x", "AMD Instinct MI300X": "amd-mi300x", "mi355x": "amd-mi355x",
    "AMD Instinct MI355X OAM": "amd-mi355x", "MI325X": "amd-mi325x", "Habana Gaudi2": "intel-gaudi2",
    "Gaudi3 (HL-325L)": "intel-gaudi3", "TPU v5e-8": "google-tpu-v5e", "v5e-8": "google-tpu-v5e",
    "Cloud TPU v6e-8": "google-tpu-v6e", "TPU v7x": "google-tpu-v7", "inf2.48xlarge": "aws-inferentia2",
    "Trn2": "aws-trainium2", "AWS Trainium1": "aws-trainium1", "昇腾 910B": "huawei-ascend-910b",
    "Huawei Ascend 910C": "huawei-ascend-910c", "Atlas 300I Duo": "huawei-atlas-300i-duo",
    "Cambricon MLU590": "cambricon-mlu590", "Hygon DCU K100 AI": "hygon-k100-ai", "K100_AI": "hygon-k100-ai",
    "MTT S4000": "moorethreads-s4000", "曦云C500": "metax-c500", "昆仑芯P800": "kunlunxin-p800",
    "Apple M3 Max": "apple-m3-max", "M2 Ultra": "apple-m2-ultra", "Jetson AGX Orin 64GB": "nvidia-jetson-agx-orin-64gb",
    "Orin NX 16GB": "nvidia-jetson-orin-nx-16gb", "Jetson Thor": "nvidia-jetson-thor-t5000", "DGX Spark": "nvidia-gb10",
    "Strix Halo": "amd-ryzen-ai-max-plus-395", "RX 7900 XTX": "amd-rx-7900-xtx",
}  # fmt: skip


@pytest.mark.parametrize("name", CHIPS)
def test_an_accelerator_as_tables_call_it(name: str) -> None:
    assert chip_named(CATALOG, name) == CHIPS[name]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("h2000", "nvidia-h200-sxm"),
        ("mi3000x", "amd-mi300x"),
        ("tpu-v9", "google-tpu-v7"),
        ("M9 Max", "apple-m"),
    ],
)
def test_an_unknown_accelerator_brings_the_nearest_three(name: str, near: str) -> None:
    with pytest.raises(UnknownIdError) as error:
        chip_named(CATALOG, name)
    listed = str(error.value).partition("Close: ")[2].partition(". See")[0].split(", ")
    assert len(listed) == 3 and any(one.startswith(near) for one in listed)


@pytest.mark.parametrize("chip", ["Groq LPU", "Cerebras CS-3"])
def test_a_dataflow_machine_is_refused_by_name(chip: str) -> None:
    with pytest.raises(NoDataError, match="on-chip memory"):
        Deployments(CATALOG).chip(chip)


FRAMEWORKS = {
    "vLLM 0.6.3.post1": "vllm 0.6.3.post1", "vllm==0.8.5": "vllm 0.8.5", "vllm/vllm-openai:v0.19.0": "vllm 0.19.0",
    "vLLM V1 0.9.1": "vllm 0.9.1", "vllm-ascend 0.9.1": "vllm 0.9.1", "SGLang v0.4.1.post4": "sglang 0.4.1.post4",
    "dynamo-sglang": "sglang", "TensorRT-LLM v0.6.1": "trtllm 0.6.1", "TRT-LLM v1.0rc4": "trtllm 1.0rc4",
    "dynamo-trt": "trtllm", "NIM 1.8": "trtllm 1.8", "llama.cpp b4321": "llama.cpp b4321",
    "Ollama 0.3": "llama.cpp 0.3",
    "Transformers NeuronX 2.18.1": "neuronx 2.18.1", "NxD Inference": "neuronx", "vllm-neuron": "neuronx",
    "splitwise pcap": "splitwise", "CloudMatrix-Infer": "cloudmatrix", "DeepSeek in-house": "deepseek",
    "lmdeploy 0.7": "lmdeploy 0.7", "TGI": "tgi", "rtp-llm": "rtp-llm", "not stated": "*", "": "*", "*": "*",
}  # fmt: skip


@pytest.mark.parametrize("label", FRAMEWORKS)
def test_an_engine_and_its_version(label: str) -> None:
    assert framework_named(label) == FRAMEWORKS[label]


@pytest.mark.parametrize(
    ("label", "meant"), [("vlllm 0.6", "vllm"), ("sglagn", "sglang"), ("tensorrt-lmm", "trt")]
)
def test_a_slip_in_the_name_of_an_engine_is_said(label: str, meant: str) -> None:
    with pytest.raises(UnknownIdError, match=f"No framework.*Close: .*{meant}"):
        framework_named(label)


@pytest.mark.parametrize(
    ("label", "implied", "native", "ours"),
    [
        ("", None, "bf16", "native"),
        ("auto", "nvfp4", "fp8_block", "nvfp4"),
        ("native", "int4", "bf16", "int4"),
        ("not stated", None, "bf16", "native"),
        ("fp8/moe fp8", None, "bf16", "fp8"),
        ("FP8 (E4M3)", "fp8_block", "bf16", "fp8_block"),
        ("fp8", None, "fp8_block", "fp8_block"),
        ("W4A16 (AWQ)", None, "bf16", "int4"),
        ("AWQ 4-bit", None, "bf16", "int4"),
        ("Q4_K_M", None, "bf16", "q4_k_m"),
        ("fp4 (MXFP4)", None, "bf16", "mxfp4"),
        ("INT8 weight-only", None, "bf16", "int8_wo"),
        ("float16", None, "bf16", "fp16"),
    ],
)
def test_a_label_of_weights(label: str, implied: str | None, native: str, ours: str) -> None:
    assert weights_named(label, "llama-3.1-8b", implied, native) == ours


@pytest.mark.parametrize(
    ("label", "implied", "ours"),
    [
        ("", None, "native"),
        ("auto", "mxfp4", "native"),
        ("fp4", None, "native"),
        ("fp4/moe nvfp4", None, "native"),
        ("fp8/moe fp8", None, "native"),
        ("W-MXFP4-A-FP8", None, "native"),
        ("bf16", None, "bf16"),
        ("fp8", None, "fp8"),
        ("", "bf16", "bf16"),
        ("fp3", None, "fp3"),
    ],
)
def test_a_label_of_a_model_that_ships_in_mxfp4(label: str, implied: str | None, ours: str) -> None:
    """Any four-bit float is the checkpoint as published; another format is honoured, nonsense comes back as it is."""
    assert weights_named(label, "gpt-oss-120b", implied, "mxfp4") == ours


def test_nonsense_is_refused_and_a_wider_format_takes_more_memory() -> None:
    deployments = Deployments(CATALOG)
    found = {}
    for label in ("fp3", "mxfp4", "bf16"):
        request, _ = request_of({"model": "gpt-oss-20b", "chip": "h100", "weights_dtype": label})
        assert request is not None
        found[label] = deployments.answer(request)
    assert found["fp3"].status == "unsupported" and "fp3" in found["fp3"].reason
    held = {name: found[name].estimate.memory.weights_bytes for name in ("mxfp4", "bf16")}
    assert 2.0 < held["bf16"] / held["mxfp4"] < 4.0


def test_what_says_nothing_of_a_format() -> None:
    assert not any(stated(label) for label in ("", "-", "auto", "Native", "N/A", "not stated", "unknown"))
    assert all(stated(label) for label in ("fp8", "nf4", "bf16", "autoround"))


@pytest.mark.parametrize("label", ["native", "auto", "", "not stated"])
def test_a_format_that_is_left_open_is_the_one_of_the_name(label: str) -> None:
    fields = {"model": "nvidia/Qwen3-32B-NVFP4", "chip": "B200", "weights_dtype": label, "kv_dtype": label}
    request, problems = request_of(fields)
    assert request is not None and not problems
    assert request.kv_dtype is None
    assert Deployments(CATALOG).point(request).weights_dtype == "nvfp4"


@pytest.mark.parametrize(
    ("word", "phase"), [("Prompt", "prefill"), ("generation", "decode"), ("e2e", "mixed")]
)
def test_other_words_for_the_phases(word: str, phase: str) -> None:
    request, _ = request_of({"model": "qwen3-8b", "chip": "H100", "phase": word, "isl": "1,024"})
    assert request is not None and (request.phase, request.isl) == (phase, 1024.0)


@pytest.mark.parametrize(
    ("model", "chip", "asked", "answered"),
    [
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", "A100", "", True),
        ("nvidia/Llama-3.1-8B-Instruct-FP4", "H100", "", True),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", "A100", "fp8", False),
        ("nvidia/Llama-3.1-8B-Instruct-FP4", "H100", "nvfp4", False),
    ],
)
def test_a_checkpoint_runs_with_narrow_weights_where_the_chip_lacks_its_format(
    model: str, chip: str, asked: str, answered: bool
) -> None:
    """vLLM runs FP8 and NVFP4 checkpoints on older chips by Marlin kernels; a format that is asked for is refused."""
    deployments = Deployments(CATALOG)
    request, _ = request_of({"model": model, "chip": chip, "weights_dtype": asked, "framework": "vllm"})
    plain, _ = request_of({"model": "meta-llama/Llama-3.1-8B", "chip": chip, "framework": "vllm"})
    assert request is not None and plain is not None
    narrow, wide = deployments.answers([request, plain])
    assert (narrow.status == "ok") == answered, narrow.reason
    if answered:
        assert narrow.quantities["tpot_s"].value < wide.quantities["tpot_s"].value
    else:
        assert "cannot compute" in narrow.reason
        # The reason names what can be asked for instead, and that has an answer.
        other = narrow.reason.partition('Use "')[2].partition('"')[0]
        asked_again, _ = request_of(
            {"model": model, "chip": chip, "weights_dtype": other, "framework": "vllm"}
        )
        assert asked_again is not None
        assert deployments.answer(asked_again).status == "ok"
