"""What cannot be answered is refused with one clear line, never with a number."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from suanli.catalog import Catalog
from suanli.catalog.calibration import read_tables
from suanli.errors import NoDataError
from suanli.llm import from_config
from suanli.serving import Coefficients, Point, accelerator, disaggregated, estimate

TABLES = read_tables(Coefficients)
CATALOG = Catalog()
MODELS = {
    name: from_config(CATALOG.model(name), name) for name in ("llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v3")
}
# NVIDIA datasheets, as far as the estimate needs them.
A100 = {
    "peak_bf16": 312e12,
    "peak_int8": 624e12,
    "memory_capacity": 80e9,
    "memory_bandwidth": 2.039e12,
    "scale_up_bandwidth_per_direction": 300e9,
    "scale_up_domain": 8.0,
}
H100 = A100 | {
    "peak_bf16": 989e12,
    "peak_fp8": 1979e12,
    "memory_bandwidth": 3.35e12,
    "scale_up_bandwidth_per_direction": 450e9,
}
CHIPS = {
    "a100": accelerator("nvidia-a100-sxm-80gb", A100),
    "h100": accelerator("nvidia-h100-sxm", H100),
}
GOOD = Point(MODELS["llama-3.1-8b"], CHIPS["h100"], n_chips=1, framework="vllm")


def test_the_question_they_vary_has_an_answer() -> None:
    assert estimate(GOOD, TABLES).status == "ok"


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"n_chips": 8, "tp": 3}, "infeasible", "tp 3"),
        ({"n_chips": 12, "tp": 12}, "infeasible", "tp 12 does not divide the 32 heads"),
        ({"n_chips": 64, "tp": 1, "pp": 64}, "infeasible", "pp 64 is above the 32 layers"),
        ({"n_chips": 0}, "unsupported", "n_chips must be a whole number"),
        ({"n_chips": 2, "tp": 0}, "infeasible", "tp must be a whole number"),
        ({"isl": 0.0}, "unsupported", "isl must be at least 1 token"),
        ({"osl": 0.0}, "unsupported", "osl must be at least 1 token"),
        ({"isl": math.nan}, "unsupported", "isl must be at least 1 token"),
        ({"isl": math.inf}, "unsupported", "isl must be at least 1 token"),
        ({"concurrency": -1.0}, "unsupported", "concurrency must be above 0"),
        ({"concurrency": 0.0}, "unsupported", "concurrency must be above 0"),
        ({"concurrency": math.nan}, "unsupported", "concurrency must be above 0"),
        ({"phase": "both"}, "unsupported", "phase must be one of mixed, prefill, decode"),
        ({"options": {"mtp_drafts": 1.0}}, "unsupported", "mtp_draft"),
        ({"options": {"prefix_hit_share": 1.0}}, "unsupported", "prefix_hit_share"),
        ({"options": {"overlap": 2.0}}, "unsupported", "overlap is a share"),
        ({"options": {"memory_share": -0.1}}, "unsupported", "memory_share"),
        ({"options": {"arrival_rate_per_s": 0.0}}, "unsupported", "arrival_rate_per_s"),
        ({"chip": CHIPS["a100"], "weights_dtype": "fp8"}, "unsupported", "cannot compute in fp8"),
        ({"weights_dtype": "nvfp4"}, "unsupported", "cannot compute in nvfp4"),
        ({"weights_dtype": "fp7"}, "unsupported", "fp7"),
        ({"kv_dtype": "fp7"}, "unsupported", "fp7"),
        ({"model": MODELS["deepseek-v3"]}, "infeasible", "does not fit"),
        ({"model": MODELS["deepseek-v3"], "n_chips": 8, "tp": 8}, "infeasible", "does not fit"),
        ({"isl": 1e6}, "infeasible", "request of 1001024 tokens does not fit"),
        ({"isl": 1e6, "tp": 1}, "infeasible", "one sequence of this length needs"),
        (
            {"model": MODELS["qwen3-30b-a3b"], "n_chips": 256, "tp": 1, "dp": 256, "ep": 256},
            "infeasible",
            "ep 256",
        ),
        ({"phase": "decode", "concurrency": 1e5}, "infeasible", "KV memory holds"),
        ({"phase": "prefill", "isl": 1e6, "tp": 1}, "infeasible", "for KV"),
    ],
)
def test_refused(changes: dict[str, object], status: str, words: str) -> None:
    found = estimate(replace(GOOD, **changes), TABLES)  # type: ignore[arg-type]
    assert (found.status, words in found.reason) == (status, True), found.reason
    assert "\n" not in found.reason
    for band in (
        found.ttft_s,
        found.tpot_s,
        found.itl_s,
        found.output_tokens_per_s,
        found.input_tokens_per_s,
    ):
        assert band is None


def test_an_answer_does_not_depend_on_the_questions_before() -> None:
    wide = replace(GOOD, model=MODELS["qwen3-30b-a3b"], n_chips=16)
    asked = [replace(wide, isl=isl) for isl in (1e3, 3e5, 1e3)]
    forwards = [estimate(one, TABLES).placement for one in asked]
    fresh = read_tables(Coefficients)
    assert [estimate(one, fresh).placement for one in reversed(asked)] == forwards[::-1]


def test_all_problems_are_told_at_once() -> None:
    found = estimate(replace(GOOD, isl=0.0, osl=-3.0, concurrency=0.0), TABLES)
    assert all(word in found.reason for word in ("isl", "osl", "concurrency"))


def test_a_checkpoint_in_fp8_runs_on_an_older_chip_with_wider_products() -> None:
    model = MODELS["deepseek-v3"]
    found = estimate(Point(model, CHIPS["a100"], n_chips=16, framework="sglang"), TABLES)
    assert found.status == "ok"
    assert any("widened to 16 bits" in note for note in found.notes)


@pytest.mark.parametrize("missing", ["peak_bf16", "memory_capacity", "memory_bandwidth"])
def test_a_chip_without_its_numbers_is_refused(missing: str) -> None:
    with pytest.raises(NoDataError, match=missing):
        accelerator("x", {name: value for name, value in A100.items() if name not in (missing, "peak_int8")})


@pytest.mark.parametrize(
    ("changes", "options", "status", "words"),
    [
        ({"concurrency": 1e6}, {}, "infeasible", "decode pool: KV memory holds"),
        ({"n_chips": 8, "tp": 3}, {}, "infeasible", "decode pool: tp 3"),
        ({}, {"requests_per_s": 1e6}, "infeasible", "below what the pools take"),
        ({}, {"requests_per_s": -1.0}, "infeasible", "above 0"),
        ({}, {"transfer_bytes_per_s": 0.0}, "infeasible", "transfer_bytes_per_s must be above 0"),
    ],
)
def test_pools_are_refused(
    changes: dict[str, object], options: dict[str, float], status: str, words: str
) -> None:
    found = disaggregated(GOOD, replace(GOOD, **changes), TABLES, **options)  # type: ignore[arg-type]
    assert (found.status, words in found.reason) == (status, True), found.reason
    assert found.ttft_s is None
    assert found.output_tokens_per_s is None
