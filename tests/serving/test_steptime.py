"""Step tables: parts add up, hardware and load move times the right way, floors, hops, memory by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.catalog.calibration import read_tables
from suanli.errors import InputError
from suanli.llm import Model, from_config
from suanli.serving import Accelerator, Coefficients, accelerator
from suanli.serving.deployment import activation_bytes, memory_parts, sequence_bytes, stage_weight_bytes
from suanli.serving.layout import Placement, place, placements
from suanli.serving.precision import choose_precision
from suanli.serving.stepoperators import Routing
from suanli.serving.steptime import StepTable, step_table

laws = settings(deadline=None, max_examples=40)
TABLES = read_tables(Coefficients)
CATALOG = Catalog()
# NVIDIA H100 SXM datasheet.
H100 = {
    "peak_bf16": 989e12,
    "peak_fp8": 1979e12,
    "memory_capacity": 80e9,
    "memory_bandwidth": 3.35e12,
    "sm_count": 132.0,
    "l2_cache": 50e6,
    "scale_up_bandwidth_per_direction": 450e9,
    "scale_up_domain": 8.0,
    "scale_out_bandwidth": 50e9,
}
MODELS = {
    name: from_config(CATALOG.model(name), name)
    for name in ("llama-3.1-8b", "qwen3-32b", "qwen3-30b-a3b", "deepseek-v3")
}
names = st.sampled_from(sorted(MODELS))
frameworks = st.sampled_from(["vllm", "sglang", "trtllm", "*"])
_BUILT: dict[object, StepTable] = {}
EIGHT, WIDE = Placement(tp=8), Placement(dp=32, ep=32)


def chip(bandwidth: float = 1.0, peak: float = 1.0, link: float = 1.0) -> Accelerator:
    facts = dict(H100)
    for name in facts:
        if name.startswith("peak"):
            facts[name] *= peak
    facts["memory_bandwidth"] *= bandwidth
    facts["scale_up_bandwidth_per_direction"] *= link
    facts["scale_out_bandwidth"] *= link
    return accelerator("nvidia-h100-sxm", facts)


def table(name: str, layout: Placement = EIGHT, framework: str = "vllm", **faster: float) -> StepTable:
    key = (name, layout, framework, tuple(sorted(faster.items())))
    if key not in _BUILT:
        model, made = MODELS[name], chip(**faster)
        _BUILT[key] = step_table(model, layout, made, choose_precision(model, made), TABLES, framework)
    return _BUILT[key]


@laws
@given(names, frameworks, st.floats(1.0, 4096.0), st.floats(1.0, 30000.0))
def test_parts_add_up_to_the_step(name: str, framework: str, batch: float, context: float) -> None:
    found = table(name, framework=framework)
    parts = sum(float(part) for part in found.parts_s(batch).values())
    attention, head = float(found.decode_attention_s(batch, context)), float(found.logits_s(batch))
    assert parts == pytest.approx(float(found.rest_s(batch)), rel=1e-9)
    assert parts + attention + head == pytest.approx(float(found.decode_step_s(batch, context)), rel=1e-9)
    prompt = float(found.prefill_attention_s(batch, 512.0))
    whole = float(found.rest_s(512.0 * batch)) + prompt + head
    assert whole == pytest.approx(float(found.prefill_step_s(batch, 512.0)), rel=1e-9)


@laws
@given(names, st.sampled_from(["bandwidth", "peak", "link"]), st.floats(1.05, 4.0), st.floats(1.0, 2048.0))
def test_more_of_a_chip_is_never_slower(name: str, what: str, factor: float, batch: float) -> None:
    slow, fast = table(name), table(name, **{what: round(factor, 2)})
    assert np.all(fast.rest <= slow.rest * (1 + 1e-9))
    assert fast.decode_step_s(batch, 4000.0) <= slow.decode_step_s(batch, 4000.0) * (1 + 1e-9)
    assert fast.prefill_step_s(1.0, 8.0 * batch) <= slow.prefill_step_s(1.0, 8.0 * batch) * (1 + 1e-9)


@laws
@given(names, frameworks, st.floats(1.0, 1000.0), st.floats(1.01, 4.0), st.floats(16.0, 16000.0))
def test_more_work_is_never_faster(
    name: str, framework: str, batch: float, factor: float, context: float
) -> None:
    found = table(name, framework=framework)
    step = found.decode_step_s(batch, context)
    assert found.decode_step_s(batch, factor * context) >= step
    assert found.decode_step_s(factor * batch, context) >= step * (1 - 1e-6)
    prompt = found.prefill_attention_s(1.0, context)
    assert found.prefill_attention_s(1.0, factor * context) >= prompt
    assert found.prefill_attention_s(1.0, context, 1000.0) >= prompt


@laws
@given(st.sampled_from(["llama-3.1-8b", "qwen3-32b"]), st.sampled_from([1, 2, 4, 8]), frameworks)
def test_a_step_reads_its_weights_at_least_once(name: str, tp: int, framework: str) -> None:
    found = table(name, Placement(tp=tp), framework)
    model = MODELS[name]
    weights = stage_weight_bytes(model, model.dtypes, Placement(tp=tp))
    # The embedding's table is not read, only one row of it.
    ends = 2.0 * model.vocab * model.hidden / tp
    floor = (weights - ends) / 3.35e12
    assert float(found.decode_step_s(1.0, 1.0)) > floor
    assert found.bytes[found.grid == 1.0][0] >= weights - 2.0 * ends


def test_lone_sequence_is_bound_by_memory() -> None:
    # 2 x 8.03e9 bytes less the embedding (1.05e9) over 3.35 TB/s is 4.48 ms; kernels measured at 65 to 95 % of it.
    found = float(table("llama-3.1-8b", Placement()).decode_step_s(1.0, 512.0))
    assert 4.48e-3 / 0.95 < found < 4.48e-3 / 0.65


def test_large_prompts_are_bound_by_compute() -> None:
    # 2 x 6.98e9 (without embedding and head) x 8192 FLOP over 989 TFLOP/s; GEMMs reach 55 to 85 % of the peak.
    found = table("llama-3.1-8b", Placement())
    ideal = 2 * 6.98e9 * 8192 / 989e12
    assert ideal / 0.85 < float(found.rest_s(8192.0)) < ideal / 0.50


@laws
@given(st.floats(1.0, 4096.0), st.floats(100.0, 8000.0))
def test_overlap_takes_the_longer_of_computing_and_exchange(batch: float, context: float) -> None:
    found = table("deepseek-v3", WIDE, "sglang")
    exchange = float(found.exchange_s(batch))
    step = float(found.decode_step_s(batch, context))
    assert exchange > 0.0
    both = max(exchange, step - exchange)
    assert float(found.halved_decode_s(2.0 * batch, context)[1]) / 2.0 == pytest.approx(both, rel=1e-9)


def test_an_unknown_engine_has_one_of_the_measured_kernels() -> None:
    """MXFP4 experts on the L40S: Triton's and Marlin's kernels have no common law (90th percentile 183 %)."""
    l40s = accelerator("nvidia-l40s", CATALOG.numbers("chips", "nvidia-l40s"))
    model = from_config(CATALOG.model("gpt-oss-20b"))
    times = {}
    for framework in ("*", "vllm", "sglang"):
        formats = choose_precision(model, l40s)
        made = step_table(model, Placement(), l40s, formats, TABLES, framework)
        times[framework] = float(made.parts_s(8.0)["experts"])
    assert times["*"] == pytest.approx(min(times["vllm"], times["sglang"]), rel=1e-9)


def test_only_attention_groups_exchange_tokens() -> None:
    assert float(table("deepseek-v3", Placement(tp=8)).exchange_s(512.0)) == 0.0
    assert float(table("deepseek-v3", Placement(tp=8)).parts_s(512.0)["all_reduce"]) > 0.0
    assert "all_reduce" not in table("deepseek-v3", WIDE).parts_s(512.0)


def test_a_draft_is_one_layer_and_the_head() -> None:
    found = table("deepseek-v3", WIDE, "sglang")
    layers = float(found.rest_s(640.0) + found.decode_attention_s(640.0, 3000.0)) / 61
    assert float(found.draft_s(640.0, 3000.0)) == pytest.approx(layers + float(found.logits_s(640.0)))


def test_pipeline_hops() -> None:
    one, four = table("llama-3.1-8b", Placement(tp=2)), table("llama-3.1-8b", Placement(tp=2, pp=4))
    assert float(one.hops_s(1000.0)) == 0.0
    # Three hand-overs of 1000 x 4096 values of 2 bytes at 80 % of 450 GB/s, 5 us each.
    assert float(four.hops_s(1000.0)) == pytest.approx(3 * (5e-6 + 8.192e6 / 360e9))
    outside = table("llama-3.1-8b", Placement(tp=8, pp=4))
    assert float(outside.hops_s(1000.0)) == pytest.approx(3 * (5e-6 + 8.192e6 / 40e9))


@laws
@given(st.floats(1.0, 4.0), st.floats(1.0, 3000.0))
def test_a_hotter_rank_is_slower(imbalance: float, batch: float) -> None:
    model, made = MODELS["deepseek-v3"], chip()
    form = choose_precision(model, made)

    def experts(value: float) -> float:
        routing = Routing(0.0, value)
        found = step_table(model, WIDE, made, form, TABLES, "sglang", routing)
        return float(found.parts_s(batch)["experts"])

    assert experts(imbalance) >= experts(1.0) * (1 - 1e-9)


# -- memory ---------------------------------------------------------------------------------------------------------


def test_cache_of_a_sequence_by_hand() -> None:
    # Llama-3.1-8B: 32 layers, 8 KV heads of 128, keys and values in 2 bytes.
    each = 32 * 2 * 8 * 128 * 2
    model = MODELS["llama-3.1-8b"]
    assert float(sequence_bytes(model, Placement(), "bf16", 1000.0)) == 1000 * each
    assert float(sequence_bytes(model, Placement(tp=8), "bf16", 1000.0)) == 1000 * each / 8
    assert float(sequence_bytes(model, Placement(tp=16), "bf16", 1000.0)) == 1000 * each / 8
    assert float(sequence_bytes(model, Placement(pp=4), "fp8", 1000.0)) == 1000 * each / 8
    # DeepSeek-V3: 61 layers of 512 + 64 values, the same on every rank.
    latent = 61 * 576 * 2
    assert float(sequence_bytes(MODELS["deepseek-v3"], Placement(tp=8), "bf16", 10.0)) == 10 * latent


def test_weights_of_a_chip_by_hand() -> None:
    model = MODELS["llama-3.1-8b"]
    whole = stage_weight_bytes(model, model.dtypes, Placement())
    assert whole == pytest.approx(2 * 8.03e9, rel=0.002)
    assert stage_weight_bytes(model, model.dtypes, Placement(tp=4)) == pytest.approx(whole / 4)
    # DeepSeek-V3: 671e9 parameters in FP8, of which 653e9 in routed experts, spread over 32 chips.
    sparse = MODELS["deepseek-v3"]
    wide = stage_weight_bytes(sparse, sparse.dtypes, WIDE)
    assert 653e9 / 32 < wide < 653e9 / 32 + 21e9


@laws
@given(st.floats(0.5, 1.0), st.booleans(), st.floats(1e9, 70e9), st.floats(1.0, 1e5))
def test_parts_of_memory_fill_the_chip(share: float, of_free: bool, weights: float, tokens: float) -> None:
    model = MODELS["llama-3.1-8b"]
    found = memory_parts(
        model, chip(), Placement(), "bf16", weights, tokens, memory_share=share, of_free=of_free
    )
    held = found.weights_bytes + found.activation_bytes + found.reserve_bytes + found.kv_bytes
    assert held == pytest.approx(found.capacity_bytes)
    assert found.capacity_bytes == pytest.approx(80 * 2**30)
    assert found.sequences * found.sequence_bytes <= max(found.kv_bytes, 0.0) * (1 + 1e-9)
    assert found.activation_bytes == pytest.approx(activation_bytes(model, Placement(), 8192.0))


# -- layouts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "asked", "made"),
    [
        ("llama-3.1-8b", {"n_chips": 8}, Placement(tp=8)),
        ("llama-3.1-8b", {"n_chips": 32}, Placement(tp=8, replicas=4)),
        ("llama-3.1-8b", {"n_chips": 8, "tp": 2, "pp": 2}, Placement(tp=2, pp=2, replicas=2)),
        ("llama-3.1-8b", {"n_chips": 8, "dp": 4}, Placement(tp=2, replicas=4)),
        ("deepseek-v3", {"n_chips": 8, "tp": 1, "dp": 8}, Placement(dp=8, ep=8)),
        ("deepseek-v3", {"n_chips": 16, "tp": 1, "ep": 16}, Placement(dp=16, ep=16)),
        ("deepseek-v3", {"n_chips": 8, "tp": 8, "ep": 8}, Placement(tp=8, ep=8)),
    ],
)
def test_layouts_are_completed(model: str, asked: dict[str, int], made: Placement) -> None:
    assert place(MODELS[model], **asked) == made


@pytest.mark.parametrize(
    ("model", "asked", "words"),
    [
        ("llama-3.1-8b", {"n_chips": 8, "tp": 3}, "tp 3"),
        ("llama-3.1-8b", {"n_chips": 12, "tp": 12}, "tp 12"),
        ("llama-3.1-8b", {"n_chips": 64, "tp": 1, "pp": 64}, "pp 64 is above the 32 layers"),
        ("llama-3.1-8b", {"n_chips": 0}, "n_chips"),
        ("llama-3.1-8b", {"n_chips": 8, "tp": -1}, "tp must be"),
        ("qwen3-30b-a3b", {"n_chips": 256, "tp": 1, "dp": 256, "ep": 256}, "ep 256"),
    ],
)
def test_impossible_layouts_are_refused(model: str, asked: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        place(MODELS[model], **asked)


@laws
@given(names, st.integers(1, 64))
def test_every_layout_uses_every_chip(name: str, n_chips: int) -> None:
    model: Model = MODELS[name]
    for found in placements(model, n_chips):
        assert found.chips * found.replicas == n_chips
        assert place(model, n_chips, found.tp, found.pp, found.dp, found.ep).chips == found.chips
