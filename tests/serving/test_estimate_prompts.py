"""When a prompt is taken up, what it costs an attention group, and when its first token is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.serving import Estimate, Point, estimate
from suanli.serving.closed_loop import delivery_steps, spread_over_groups
from suanli.serving.engine import engine
from suanli.serving.framework import Serving
from suanli.study.deployment.solve import Deployments

DEPLOYMENTS = Deployments()
laws = settings(deadline=None)


def point(model: str, chip: str, framework: str, **fields: object) -> Point:
    return Point(
        DEPLOYMENTS.model(model)[0],
        DEPLOYMENTS.chip(chip),
        framework=framework,
        **fields,  # type: ignore[arg-type]
    )


def ask(one: Point) -> Estimate:
    found = estimate(one, DEPLOYMENTS.tables)
    assert found.status == "ok", found.reason
    return found


@laws
@given(st.floats(0.0, 20.0), st.floats(1.0, 60.0), st.floats(1.0, 60.0), st.floats(0.0, 1.0))
def test_flags_only_delay_a_first_token(steps: float, polls: float, sent: float, held: float) -> None:
    plain = Serving(ttft_steps=steps, held_share=held)
    late = delivery_steps(replace(plain, recv_interval=polls, stream_interval=sent))
    assert delivery_steps(plain) == steps
    assert steps <= late <= steps + 0.5 * polls + sent


def test_streams_by_intervals_and_rare_polls_show_in_ttft_not_in_tpot() -> None:
    asked = point("qwen3-235b-a22b", "b200_sxm", "sglang 0.5.9", n_chips=8, tp=8, concurrency=32.0)
    plain = ask(asked)
    sent = ask(replace(asked, options={"stream_interval": 30.0}))
    polled = ask(replace(asked, options={"stream_interval": 30.0, "recv_interval": 30.0}))
    assert plain.ttft_s and sent.ttft_s and polled.ttft_s and plain.tpot_s and polled.tpot_s
    assert plain.ttft_s.value < sent.ttft_s.value < polled.ttft_s.value
    assert polled.tpot_s.value == pytest.approx(plain.tpot_s.value, rel=0.05)
    # Thirty steps of polling delay half of that on average; no more than all of both.
    assert plain.itl_s is not None
    assert polled.ttft_s.value - sent.ttft_s.value > 10.0 * plain.itl_s.value
    assert polled.ttft_s.value - plain.ttft_s.value < 60.0 * plain.itl_s.value


@laws
@given(st.floats(1e-3, 1e3), st.integers(2, 128))
def test_prompts_spread_over_groups_as_their_number_grows(prompts: float, groups: int) -> None:
    share = float(spread_over_groups(prompts, groups))
    assert 0.0 <= share <= 1.0
    assert share <= float(spread_over_groups(2.0 * prompts, groups)) + 1e-9
    assert float(spread_over_groups(1e-4, groups)) < 1e-3
    assert float(spread_over_groups(50.0 * groups, groups)) > 0.95


def test_a_prompt_is_the_work_of_one_attention_group() -> None:
    """Of 8 groups one computes the products of attention and shared experts, the others wait; experts are shared."""
    grouped = engine(
        point("deepseek-r1", "h200_sxm", "trtllm", n_chips=8, tp=1, dp=8, ep=8), DEPLOYMENTS.tables
    )
    table = grouped.table
    new, beside = np.array([512.0, 1024.0, 4096.0]), 256.0
    spread = table.rest_s(beside + new) - table.rest_s(beside)
    alone = table.prompt_rest_s(beside, new)
    assert np.all(alone > spread)
    assert np.all(alone < 8.0 * spread)
    whole = engine(
        point("deepseek-r1", "h200_sxm", "trtllm", n_chips=8, tp=8, dp=1, ep=8), DEPLOYMENTS.tables
    ).table
    assert whole.prompt_rest_s(beside, new) == pytest.approx(
        whole.rest_s(beside + new) - whole.rest_s(beside)
    )


# NVIDIA, "How to get best performance on DeepSeek-R1 in TensorRT-LLM" (docs/source/blogs at 01c4ece9): attention data
# parallelism, expert parallelism 8, synthetic prompts of 1,024 and outputs of 2,048 tokens, output tokens per second.
@pytest.mark.parametrize(
    ("chip", "weights", "clients", "published"),
    [("b200_sxm", "nvfp4", 3072.0, 36384.0), ("h200_sxm", "fp8", 1024.0, 11489.0)],
)
def test_deepseek_with_attention_data_parallelism(
    chip: str, weights: str, clients: float, published: float
) -> None:
    asked = point("deepseek-r1", chip, "trtllm", n_chips=8, tp=1, dp=8, ep=8, weights_dtype=weights)
    found = ask(replace(asked, isl=1024.0, osl=2048.0, concurrency=clients))
    assert found.output_tokens_per_s is not None
    assert found.output_tokens_per_s.value == pytest.approx(published, rel=0.15)


def test_prompts_of_llama_cpp_widen_blocks_and_run_through_a_pipeline() -> None:
    fields: dict[str, object] = {"phase": "prefill", "isl": 2048.0, "concurrency": 1.0}
    one = point("llama-3-8b", "a100_sxm", "llama.cpp b2700", n_chips=1, weights_dtype="int4", **fields)
    wide = ask(replace(one, weights_dtype="fp16"))
    narrow = ask(one)
    assert "widening" in narrow.parts and "widening" not in wide.parts
    assert narrow.ttft_s and wide.ttft_s
    # 4 batches of 512 tokens write and read 16 bits of the 6.98e9 values of the layers at 0.8 of 2.04 TB/s.
    assert narrow.parts["widening"] == pytest.approx(4 * 4.0 * 6.98e9 / (0.8 * 2.04e12), rel=0.02)
    later = ask(replace(one, framework="llama.cpp b4000"))
    assert "widening" not in later.parts and later.ttft_s is not None
    # Unpacking blocks adds work: many rows are no faster than with 16-bit weights.
    assert wide.ttft_s.value * 0.97 < later.ttft_s.value < narrow.ttft_s.value
    stages = ask(replace(one, n_chips=4, pp=4, weights_dtype="fp16"))
    assert stages.ttft_s is not None
    # Four batches in four stages take seven turns of a sixteenth each.
    assert stages.ttft_s.value == pytest.approx(wide.ttft_s.value * 7.0 / 16.0, rel=0.1)
    assert sum(stages.parts.values()) == pytest.approx(stages.ttft_s.value)


def test_collectives_of_an_old_engine_take_longer_in_prompts_than_in_decode() -> None:
    fields: dict[str, object] = {"n_chips": 8, "tp": 8, "isl": 4096.0, "concurrency": 4.0}
    old = point("llama-2-70b", "h100_sxm", "splitwise", weights_dtype="fp16", **fields)
    ready = {
        phase: engine(replace(old, phase=phase), DEPLOYMENTS.tables).table for phase in ("prefill", "decode")
    }
    new = engine(replace(old, framework="*", phase="prefill"), DEPLOYMENTS.tables).table
    many, few = 16384.0, 4.0
    slow, fast = (float(one.parts_s(many)["all_reduce"]) for one in (ready["prefill"], new))
    assert 2.0 < slow / fast < 3.0
    assert float(ready["decode"].parts_s(few)["all_reduce"]) < 1.1 * float(new.parts_s(few)["all_reduce"])
