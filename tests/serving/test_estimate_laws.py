"""Laws of the estimate: more chip is never slower, load raises latency, tokens and clients are conserved."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.catalog.calibration import read_tables
from suanli.llm import from_config
from suanli.serving import Accelerator, Coefficients, Estimate, Point, accelerator, estimate, estimates
from suanli.serving.aggregated import load_of
from suanli.serving.bands import step_band, ttft_band
from suanli.serving.closed_loop import closed_loop, decode_step_s
from suanli.serving.engine import engine, flattened_sigma, tokens_per_step
from suanli.serving.point import Band

laws = settings(deadline=None, max_examples=40)
TABLES = read_tables(Coefficients)
CATALOG = Catalog()
MODELS = {
    name: from_config(CATALOG.model(name), name)
    for name in ("llama-3.1-8b", "qwen3-32b", "qwen3-30b-a3b", "deepseek-v3")
}
# NVIDIA H200 SXM datasheet.
H200 = {
    "peak_bf16": 989e12,
    "peak_fp8": 1979e12,
    "memory_capacity": 141e9,
    "memory_bandwidth": 4.8e12,
    "sm_count": 132.0,
    "l2_cache": 50e6,
    "scale_up_bandwidth_per_direction": 450e9,
    "scale_up_domain": 8.0,
    "scale_out_bandwidth": 50e9,
}
FASTER = {
    "bandwidth": ("memory_bandwidth",),
    "peak": ("peak_bf16", "peak_fp8"),
    "link": ("scale_up_bandwidth_per_direction",),
    "memory": ("memory_capacity",),
}
_CHIPS: dict[tuple[str, float], Accelerator] = {}


def chip(what: str = "bandwidth", factor: float = 1.0) -> Accelerator:
    if (what, factor) not in _CHIPS:
        facts = {name: value * (factor if name in FASTER[what] else 1.0) for name, value in H200.items()}
        _CHIPS[what, factor] = accelerator("nvidia-h200-sxm", facts)
    return _CHIPS[what, factor]


def point(name: str = "qwen3-32b", **changes: object) -> Point:
    options = changes.pop("options", {})
    asked = Point(MODELS[name], chip(), n_chips=8, tp=8, framework="vllm", options=options)  # type: ignore[arg-type]
    return replace(asked, **changes)  # type: ignore[arg-type]


def ask(name: str = "qwen3-32b", **changes: object) -> Estimate:
    found = estimate(point(name, **changes), TABLES)
    assert found.status == "ok", found.reason
    return found


def of(band: Band | None) -> float:
    assert band is not None
    return band.value


def whole(found: Estimate, osl: float) -> float:
    return of(found.ttft_s) + (osl - 1.0) * of(found.tpot_s)


names = st.sampled_from(sorted(MODELS))
frameworks = st.sampled_from(["vllm", "sglang", "trtllm", "*"])
clients = st.sampled_from([1.0, 2.0, 8.0, 32.0, 128.0])
lengths = st.sampled_from([128.0, 1024.0, 4096.0])
STEADY = {"burst_prompts_per_client": 0.0}


@laws
@given(names, frameworks, clients, lengths, st.sampled_from(sorted(FASTER)), st.sampled_from([1.2, 2.0, 4.0]))
def test_more_of_a_chip_is_never_slower(
    name: str, framework: str, load: float, length: float, what: str, factor: float
) -> None:
    asked = {"framework": framework, "concurrency": load, "isl": length, "osl": 512.0}
    slow, fast = ask(name, **asked), ask(name, chip=chip(what, factor), **asked)
    assert of(fast.output_tokens_per_s) >= of(slow.output_tokens_per_s) * (1 - 2e-3)
    assert of(fast.itl_s) <= of(slow.itl_s) * (1 + 2e-3)
    assert of(fast.unloaded_ttft_s) <= of(slow.unloaded_ttft_s) * (1 + 1e-9)


@laws
@given(names, frameworks, lengths, st.floats(1.0, 200.0), st.floats(1.05, 3.0))
@example("qwen3-32b", "vllm", 128.0, 1.0, 1.25)  # little above one client, whose step has no half
def test_load_raises_latency_and_throughput(
    name: str, framework: str, length: float, load: float, factor: float
) -> None:
    asked = {"framework": framework, "isl": length, "osl": 512.0, "options": STEADY}
    less, more = ask(name, concurrency=load, **asked), ask(name, concurrency=factor * load, **asked)
    assume(factor * load < (more.largest_batch or 0.0))
    assert of(more.tpot_s) >= of(less.tpot_s) * (1 - 2e-3)
    assert of(more.ttft_s) >= of(less.ttft_s) * (1 - 2e-3)
    assert of(more.output_tokens_per_s) >= of(less.output_tokens_per_s) * (1 - 2e-3)


@laws
@given(names, frameworks, clients, st.floats(16.0, 8000.0), st.floats(1.05, 3.0))
def test_longer_prompts_are_never_faster(
    name: str, framework: str, load: float, length: float, factor: float
) -> None:
    asked = {"framework": framework, "concurrency": load, "osl": 256.0, "options": STEADY}
    short, long = ask(name, isl=length, **asked), ask(name, isl=factor * length, **asked)
    assert of(long.unloaded_ttft_s) >= of(short.unloaded_ttft_s) * (1 - 2e-3)
    assert whole(long, 256.0) >= whole(short, 256.0) * (1 - 2e-3)


@laws
@given(names, frameworks, clients, lengths, st.sampled_from([64.0, 512.0]))
def test_tokens_are_conserved(name: str, framework: str, load: float, isl: float, osl: float) -> None:
    found = ask(name, framework=framework, concurrency=load, isl=isl, osl=osl)
    assert of(found.output_tokens_per_s) / of(found.input_tokens_per_s) == pytest.approx(osl / isl)


@laws
@given(names, frameworks, clients, lengths, st.sampled_from([64.0, 512.0]))
def test_clients_are_conserved(name: str, framework: str, load: float, isl: float, osl: float) -> None:
    """Little's law: requests in flight = rate x (TTFT + outputs x TPOT), where none waits for memory."""
    asked = {"framework": framework, "concurrency": load, "isl": isl, "osl": osl, "options": STEADY}
    found = ask(name, **asked)
    assume(load < 0.9 * (found.largest_batch or 0.0))
    rate = of(found.output_tokens_per_s) / osl
    held = rate * (of(found.ttft_s) + osl * of(found.tpot_s))
    assert held == pytest.approx(load, rel=0.03)
    assert (found.batch or 0.0) <= load * (1 + 1e-9)


@laws
@given(names, frameworks, clients, lengths)
def test_parts_add_up_to_the_gap_between_tokens(name: str, framework: str, load: float, isl: float) -> None:
    found = ask(name, framework=framework, concurrency=load, isl=isl)
    assert sum(found.parts.values()) == pytest.approx(of(found.itl_s), rel=1e-6)


@laws
@given(names, frameworks, clients, lengths)
def test_parts_of_a_pool_add_up(name: str, framework: str, load: float, isl: float) -> None:
    asked = {"framework": framework, "concurrency": load, "isl": isl}
    prompts, tokens = ask(name, phase="prefill", **asked), ask(name, phase="decode", **asked)
    assert sum(prompts.parts.values()) == pytest.approx(of(prompts.ttft_s), rel=1e-6)
    assert sum(tokens.parts.values()) == pytest.approx(of(tokens.tpot_s), rel=1e-6)
    assert of(prompts.input_tokens_per_s) == pytest.approx(load * isl / of(prompts.ttft_s))
    assert of(tokens.output_tokens_per_s) == pytest.approx(load / of(tokens.tpot_s))


@laws
@given(names, frameworks, clients, lengths, st.sampled_from(["mixed", "prefill", "decode"]))
def test_bands_hold_their_value_and_shares_are_shares(
    name: str, framework: str, load: float, isl: float, phase: str
) -> None:
    found = ask(name, framework=framework, concurrency=load, isl=isl, phase=phase)
    for band in (found.ttft_s, found.tpot_s, found.itl_s, found.output_tokens_per_s):
        if band is not None:
            assert 0.0 < band.low < band.value < band.high < math.inf
    assert found.utilisation is not None
    used = found.utilisation
    assert all(0.0 <= share <= 1.0 + 1e-9 for share in (used.compute, used.memory, used.link, used.busy))


@laws
@given(names, clients, lengths)
def test_replicas_are_independent(name: str, load: float, isl: float) -> None:
    one = ask(name, concurrency=load, isl=isl)
    four = ask(name, concurrency=4.0 * load, isl=isl, n_chips=32)
    assert four.placement is not None
    assert four.placement.replicas == 4
    assert of(four.tpot_s) == pytest.approx(of(one.tpot_s))
    assert of(four.output_tokens_per_s) == pytest.approx(4.0 * of(one.output_tokens_per_s))


@laws
@given(names, clients, lengths, st.floats(0.1, 0.9))
def test_cached_prompts_cost_less(name: str, load: float, isl: float, hit: float) -> None:
    asked = {"concurrency": load, "isl": isl, "osl": 256.0}
    cold, warm = ask(name, **asked), ask(name, options={"prefix_hit_share": hit}, **asked)
    # Attention kernels that read a cache are another kind, a few microseconds slower on short prompts.
    assert of(warm.unloaded_ttft_s) <= of(cold.unloaded_ttft_s) * (1 + 2e-3)
    assert of(warm.output_tokens_per_s) >= of(cold.output_tokens_per_s) * (1 - 2e-3)


@laws
@given(names, st.floats(1.0, 64.0))
def test_questions_answered_together_get_the_same_answers(name: str, load: float) -> None:
    asked = [point(name, concurrency=load * k, isl=512.0 * k) for k in (1, 2, 3)]
    asked += [replace(asked[0], phase="decode"), replace(asked[1], concurrency=-1.0), asked[2]]
    together, alone = estimates(asked, TABLES), [estimate(one, TABLES) for one in asked]
    for one, other in zip(together, alone, strict=True):
        assert one.status == other.status
        if one.status == "ok":
            assert of(one.tpot_s) == pytest.approx(of(other.tpot_s), rel=1e-9)


# -- memory -----------------------------------------------------------------------------------------------------------


def test_as_many_sequences_fit_as_memory_holds() -> None:
    found = ask(concurrency=64.0, isl=4096.0, osl=1024.0)
    assert found.memory is not None
    assert found.largest_batch is not None
    # Qwen3-32B: 64 layers, 8 KV heads of 128 values in 2 bytes, one head a chip at tp 8.
    reserved = engine(point(), TABLES).serving.values.kv_reserve
    each = 64 * 2 * 128 * 2 * (4096 + reserved * 1024)
    assert found.memory.sequence_bytes == pytest.approx(each)
    assert found.largest_batch == pytest.approx(min(found.memory.kv_bytes / each, 1024.0))


def test_requests_beyond_memory_wait_for_it() -> None:
    asked = {"name": "qwen3-32b", "n_chips": 1, "tp": 1, "isl": 4096.0, "osl": 512.0}
    full = ask(concurrency=48.0, **asked)
    over = ask(concurrency=480.0, **asked)
    assert full.largest_batch is not None
    assert full.largest_batch < 80.0
    assert over.batch == pytest.approx(over.largest_batch, rel=0.2)
    assert of(over.ttft_s) > 20.0 * of(full.ttft_s)
    assert of(over.output_tokens_per_s) < 2.0 * of(full.output_tokens_per_s)
    assert any("wait for KV memory" in note for note in over.notes)


# -- open arrivals ----------------------------------------------------------------------------------------------------


@laws
@given(names, st.floats(0.05, 0.9))
def test_open_arrivals_are_all_served(name: str, share: float) -> None:
    most = of(ask(name, concurrency=256.0, osl=256.0, options=STEADY).output_tokens_per_s) / 256.0
    rate = share * most
    found = ask(name, osl=256.0, options={"arrival_rate_per_s": rate})
    assert of(found.output_tokens_per_s) == pytest.approx(rate * 256.0, rel=0.02)
    slower = ask(name, osl=256.0, options={"arrival_rate_per_s": 0.5 * rate})
    assert of(slower.ttft_s) <= of(found.ttft_s)
    assert of(slower.tpot_s) <= of(found.tpot_s) * (1 + 1e-6)


def test_a_few_arrivals_find_an_idle_replica() -> None:
    lone = ask(concurrency=1.0, osl=64.0, options=STEADY)
    rare = ask(osl=64.0, options={"arrival_rate_per_s": 1e-3})
    assert of(rare.tpot_s) == pytest.approx(of(lone.tpot_s), rel=0.02)
    # A prompt that arrives at a random moment waits for the running step.
    assert of(rare.unloaded_ttft_s) <= of(rare.ttft_s) <= of(rare.unloaded_ttft_s) + 8.0 * of(rare.itl_s)
    assert of(rare.output_tokens_per_s) == pytest.approx(64e-3)
    assert rare.batch == pytest.approx(64e-3 * of(rare.tpot_s), rel=0.1)
    assert rare.utilisation is not None
    assert rare.utilisation.busy < 1e-3


def test_fewer_clients_than_replicas_leave_replicas_idle() -> None:
    one = ask(concurrency=1.0)
    half = ask(concurrency=2.0, n_chips=32)
    assert half.batch == pytest.approx(2.0 * (one.batch or 0.0))
    assert of(half.output_tokens_per_s) == pytest.approx(2.0 * of(one.output_tokens_per_s))
    assert half.utilisation is not None
    assert one.utilisation is not None
    assert half.utilisation.memory == pytest.approx(0.5 * one.utilisation.memory)


def test_more_arrivals_than_a_deployment_serves_are_refused() -> None:
    found = estimate(point(options={"arrival_rate_per_s": 1e5}), TABLES)
    assert found.status == "infeasible"
    assert "requests/s at most" in found.reason


# -- speculation and experts ------------------------------------------------------------------------------------------


def test_tokens_of_a_step_with_drafts() -> None:
    assert tokens_per_step(0, 0.9) == 1.0
    assert tokens_per_step(1, 0.85) == pytest.approx(1.85)
    assert tokens_per_step(3, 0.5) == pytest.approx(1.875)
    assert tokens_per_step(3, 1.0) == 4.0


def test_drafts_pay_only_where_they_are_accepted() -> None:
    asked = {"concurrency": 4.0, "isl": 1024.0, "osl": 1024.0, "framework": "sglang"}
    plain = ask("deepseek-v3", options={"mtp_draft": 0.0}, **asked)
    taken = ask("deepseek-v3", options={"mtp_draft": 2.0, "mtp_acceptance": 0.9}, **asked)
    refused = ask("deepseek-v3", options={"mtp_draft": 2.0, "mtp_acceptance": 0.0}, **asked)
    assert of(taken.tpot_s) < of(plain.tpot_s) < of(refused.tpot_s)


@given(st.floats(0.0, 1.5), st.sampled_from([32, 128, 256]), st.integers(0, 128))
@laws
def test_copies_of_hot_experts_even_out_the_load(sigma: float, experts: int, copies: int) -> None:
    assert (
        flattened_sigma(sigma, experts, copies) <= flattened_sigma(sigma, experts, 0) + 1e-12 or sigma < 0.3
    )


def test_copies_by_hand() -> None:
    # Two experts at quantiles 1/4 and 3/4 of the normal: loads e^-z and e^z with z = 0.67449; the larger is split.
    low, high = math.exp(-0.6744898), math.exp(0.6744898)
    loads = np.array([low, 0.5 * high, 0.5 * high])
    assert flattened_sigma(1.0, 2, 1) == pytest.approx(math.sqrt(math.log1p(loads.var() / loads.mean() ** 2)))


# -- bands ------------------------------------------------------------------------------------------------------------


def test_bands_widen_with_what_is_not_known() -> None:
    assert step_band(1.2, "calibrated", True) == pytest.approx(1.2)
    assert (
        1.2
        < step_band(1.2, "family", True)
        < step_band(1.2, "family", False)
        < step_band(1.2, "datasheet", False)
    )
    assert ttft_band(2.0, 1.2, 0.5, 0.5) < ttft_band(2.0, 1.2, 0.95, 0.5) < ttft_band(2.0, 1.2, 0.95, 0.99)


@pytest.mark.parametrize(
    ("chip_id", "basis"),
    [("nvidia-h200-sxm", "calibrated"), ("nvidia-h800-sxm", "family"), ("nobody-x1", "datasheet")],
)
def test_basis_says_what_was_measured(chip_id: str, basis: str) -> None:
    found = ask("llama-3.1-8b", chip=accelerator(chip_id, H200))
    assert found.basis == basis


@laws
@given(
    st.sampled_from(("vllm", "sglang", "trtllm", "*")),
    st.sampled_from((1, 4, 32, 256)),
    st.floats(64.0, 60_000.0),
    st.floats(2.0, 2000.0),
)
def test_a_replica_prefills_at_most_all_the_time(
    framework: str, clients: int, isl: float, osl: float
) -> None:
    """One replica computes all prompts: rate x time of a prompt cannot be above 1."""
    asked = point("llama-3.1-8b", n_chips=1, tp=1, framework=framework, isl=isl, osl=osl, concurrency=clients)
    ready = engine(asked, TABLES)
    found = closed_loop(ready.table, ready.serving.values, replace(load_of(asked, ready), capacity=1e9))
    assert float(found.requests_per_s * found.prefill_s) <= 1.0 + 1e-6


@laws
@given(st.sampled_from(("vllm", "sglang", "trtllm", "*")), st.floats(64.0, 100_000.0), st.floats(2.0, 1000.0))
def test_no_token_comes_faster_than_the_weights_are_read(framework: str, isl: float, osl: float) -> None:
    """However short the answers beside a long prompt, a step that decodes reads all weights."""
    asked = point("llama-3.1-8b", n_chips=1, tp=1, framework=framework, isl=isl, osl=osl, concurrency=1)
    assume(estimate(asked, TABLES).status == "ok")
    ready = engine(asked, TABLES)
    found = closed_loop(ready.table, ready.serving.values, load_of(asked, ready))
    assert float(found.decode_step_s) >= 0.9 * ready.weights_bytes / H200["memory_bandwidth"]


@laws
@given(st.sampled_from(("vllm", "sglang", "trtllm", "*")), st.floats(1000.0, 60_000.0), st.floats(2.0, 50.0))
def test_a_step_of_two_clients_has_a_whole_sequence(framework: str, isl: float, osl: float) -> None:
    """Clients mostly wait for prompts, but a step that decodes is at least as long as that of one sequence."""
    asked = point("llama-3.1-8b", n_chips=1, tp=1, framework=framework, isl=isl, osl=osl, concurrency=2)
    ready = engine(asked, TABLES)
    load = replace(load_of(asked, ready), capacity=1e9)
    found = closed_loop(ready.table, ready.serving.values, load)
    alone = decode_step_s(ready.table, ready.serving.values, 1.0, isl + 0.5 * osl, load)
    assert float(found.decode_step_s) >= float(alone) * (1 - 1e-6)


@laws
@given(st.sampled_from(("hopper", "")), st.floats(64.0, 30_000.0), st.sampled_from((1, 16, 256)))
def test_no_end_of_a_band_beats_the_datasheet(family: str, isl: float, clients: int) -> None:
    """Qwen3-32B in BF16: 31.2 B weights in its layers, read once a step; 2 FLOP a weight and token."""
    one = accelerator("some-accelerator", H200, family)
    asked = Point(MODELS["qwen3-32b"], one, n_chips=1, tp=1, isl=isl, osl=200, concurrency=clients)
    found = estimate(asked, TABLES)
    assume(found.status == "ok" and found.tpot_s is not None)
    assert found.tpot_s is not None and found.input_tokens_per_s is not None
    read_s = 2.0 * 31.2e9 / H200["memory_bandwidth"]
    assert found.tpot_s.low >= 0.98 * read_s
    prompts = estimate(replace(asked, phase="prefill"), TABLES)
    assert prompts.input_tokens_per_s is not None
    assert prompts.input_tokens_per_s.high * 2.0 * 31.2e9 <= 1.02 * H200["peak_bf16"]
