"""Published speeds of deployments, retyped with their source; no constant was fitted on any of them."""

from __future__ import annotations

import statistics

import pytest

from suanli.serving import Band, Estimate, Point, estimate
from suanli.study.deployment.solve import Deployments

DEPLOYMENTS = Deployments()


def ask(model: str, chip: str, **fields: object) -> Estimate:
    found = estimate(
        Point(DEPLOYMENTS.model(model)[0], DEPLOYMENTS.chip(chip), **fields),  # type: ignore[arg-type]
        DEPLOYMENTS.tables,
    )
    assert found.status == "ok", found.reason
    return found


def of(band: Band | None) -> float:
    assert band is not None
    return band.value


# deepseek-ai/profile-data (H800, balanced routing) and SGLang's own measurements (H100, 32 redundant experts), both as
# tabulated in LMSYS, "Deploying DeepSeek with PD Disaggregation and Large-Scale Expert Parallelism on 96 H100 GPUs",
# 2025-05-05: input tokens per second and node of 8.
@pytest.mark.parametrize(
    ("chip", "framework", "prompt", "prompts", "options", "published", "tolerance"),
    [
        ("h800_sxm", "deepseek", 4096, 128, {"expert_imbalance": 1.0}, 62713, 0.10),
        ("h100_sxm", "sglang", 1024, 512, {"redundant_experts": 32.0}, 57674, 0.12),
        ("h100_sxm", "sglang", 2048, 256, {"redundant_experts": 32.0}, 54543, 0.12),
        ("h100_sxm", "sglang", 4096, 128, {"redundant_experts": 32.0}, 50302, 0.12),
    ],
)
def test_prefill_over_32_chips(
    chip: str,
    framework: str,
    prompt: float,
    prompts: float,
    options: dict[str, float],
    published: float,
    tolerance: float,
) -> None:
    found = ask(
        "deepseek-v3",
        chip,
        framework=framework,
        phase="prefill",
        isl=prompt,
        concurrency=prompts,
        options=options,
        **WIDE_32,
    )
    assert of(found.input_tokens_per_s) / 4 == pytest.approx(published, rel=tolerance)


WIDE_32 = {"n_chips": 32, "tp": 1, "dp": 32, "ep": 32}
WIDE_72 = {"n_chips": 72, "tp": 1, "dp": 72, "ep": 72}
WIDE_128 = {"n_chips": 128, "tp": 1, "dp": 128, "ep": 128}


# The same two sources: output tokens per second and node of 8.
@pytest.mark.parametrize(
    ("chip", "framework", "layout", "context", "sequences", "options", "published", "tolerance"),
    [
        ("h800_sxm", "deepseek", WIDE_128, 4096, 16384, {"expert_imbalance": 1.0}, 18598, 0.10),
        ("h100_sxm", "sglang", WIDE_72, 2000, 18432, {"redundant_experts": 32.0}, 22282, 0.10),
        ("h100_sxm", "sglang", WIDE_72, 4000, 9216, {"redundant_experts": 32.0}, 17552, 0.10),
    ],
)
def test_decode_over_many_chips(
    chip: str,
    framework: str,
    layout: dict[str, int],
    context: float,
    sequences: float,
    options: dict[str, float],
    published: float,
    tolerance: float,
) -> None:
    found = ask(
        "deepseek-v3",
        chip,
        framework=framework,
        phase="decode",
        isl=context,
        osl=100.0,
        concurrency=sequences,
        options=options,
        **layout,  # type: ignore[arg-type]
    )
    node = of(found.output_tokens_per_s) * 8 / layout["n_chips"]
    assert node == pytest.approx(published, rel=tolerance)


def test_the_published_day_of_deepseek() -> None:
    """144 H800 a decode unit, contexts of 4,989 tokens, 20 to 22 tokens/s a user: 14,800 tokens/s a node.

    deepseek-ai/open-infra-index, "Day 6: One More Thing", 2025-02-28 (14.8k output tokens/s per H800 node).
    """

    def at(sequences: float) -> Estimate:
        return ask(
            "deepseek-v3",
            "h800_sxm",
            framework="deepseek",
            phase="decode",
            isl=4989.0,
            osl=1.0,
            concurrency=sequences,
            options={"redundant_experts": 32.0},
            n_chips=144,
            tp=1,
            dp=144,
            ep=144,
        )

    low, high = 144.0, 144.0 * 256
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if of(at(middle).tpot_s) < 1 / 21 else (low, middle)
    assert of(at(low).output_tokens_per_s) * 8 / 144 == pytest.approx(14800, rel=0.15)


def test_cloudmatrix_decode() -> None:
    """EP320 on 160 Ascend 910C (two dies each), 96 sequences a chip, 4096 tokens, one MTP draft: 1,943 tokens/s a chip.

    P. Zuo et al., "Serving Large Language Models on Huawei CloudMatrix384", arXiv 2506.12708.
    """
    found = ask(
        "deepseek-r1",
        "910c",
        weights_dtype="int8",
        framework="cloudmatrix",
        phase="decode",
        isl=4096.0,
        osl=1000.0,
        concurrency=15360.0,
        options={"redundant_experts": 64.0, "mtp_draft": 1.0, "mtp_acceptance": 0.7},
        n_chips=160,
        tp=1,
        dp=160,
        ep=160,
    )
    assert of(found.output_tokens_per_s) / 160 == pytest.approx(1943, rel=0.10)
    assert found.basis == "datasheet"


# NVIDIA TensorRT-LLM 0.5, docs/source/performance.md (low-latency table): time to the first token of one prompt [ms].
_FIRST_TOKENS = [
    ("gpt-j-6b", "a100_sxm", "fp16", 1, 128, 12),
    ("gpt-j-6b", "a100_sxm", "fp16", 1, 2048, 129),
    ("gpt-j-6b", "h100_sxm", "fp8", 1, 128, 7),
    ("gpt-j-6b", "h100_sxm", "fp8", 1, 2048, 29),
    ("gpt-j-6b", "l40s", "fp8", 1, 2048, 71),
    ("llama-2-70b", "a100_sxm", "fp16", 4, 128, 47),
    ("llama-2-70b", "a100_sxm", "fp16", 4, 2048, 377),
    ("llama-2-70b", "h100_sxm", "fp8", 4, 128, 26),
    ("falcon-180b", "a100_sxm", "fp16", 8, 128, 61),
    ("falcon-180b", "a100_sxm", "fp16", 8, 2048, 509),
    ("falcon-180b", "h100_sxm", "fp8", 8, 128, 27),
    ("falcon-180b", "h100_sxm", "fp8", 8, 2048, 205),
]


def test_first_tokens_of_tensorrt_llm() -> None:
    errors = []
    for model, chip, weights, chips, prompt, published in _FIRST_TOKENS:
        found = ask(
            model,
            chip,
            n_chips=chips,
            tp=chips,
            weights_dtype=weights,
            kv_dtype=weights,
            framework="trtllm 0.5",
            phase="prefill",
            isl=float(prompt),
        )
        errors.append(abs(1e3 * of(found.ttft_s) / published - 1.0))
    assert statistics.median(errors) < 0.14
    # The L40S prompt is the worst: kernels of today's frameworks on that board are slower than 0.5's.
    assert max(errors) < 0.6
