"""Sizing of pools: parts add up, the batch meets its objective, and the same engine gives the estimate's answer."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.catalog.calibration import read_tables
from suanli.llm import from_config
from suanli.serving import Accelerator, Coefficients, Point, accelerator, estimate
from suanli.serving.aggregated import load_of
from suanli.serving.engine import Engine, engine
from suanli.serving.sizing import PARTS, decode_curve, decode_use, largest_batch, prompt_rate

laws = settings(deadline=None, max_examples=25)


@cache
def tables() -> Coefficients:
    return read_tables(Coefficients)


@cache
def chip(name: str = "nvidia-h800-sxm") -> Accelerator:
    rows = Catalog().rows("chips", name)
    return accelerator(
        name, {row.parameter: row.si for row in rows if row.status == "adopted" and _number(row.value)}
    )


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@cache
def question(phase: str = "decode", model: str = "deepseek-v3", chips: int = 32) -> Point:
    shape = from_config(Catalog().model(model))
    sparse = shape.experts_per_layer > 0
    return Point(
        model=shape,
        chip=chip(),
        n_chips=chips,
        tp=1 if sparse else chips,
        ep=chips if sparse else None,
        phase=phase,
        isl=4000,
        osl=1000,
        kv_dtype="bf16",
    )


@cache
def ready(phase: str = "decode", model: str = "deepseek-v3", chips: int = 32) -> Engine:
    return engine(question(phase, model, chips), tables())


@pytest.mark.parametrize(("model", "chips"), [("deepseek-v3", 32), ("llama-3.1-8b", 1), ("mixtral-8x7b", 8)])
def test_parts_of_a_step_add_up(model: str, chips: int) -> None:
    made = ready("decode", model, chips)
    curve = decode_curve(made, 4500.0, load_of(question("decode", model, chips), made), 64.0 * chips)
    total = np.sum([curve.parts[name] for name in PARTS], axis=0)
    assert total == pytest.approx(curve.step_s, rel=1e-9)
    assert min(curve.parts[name].min() for name in PARTS if name != "host") >= 0.0


@pytest.mark.parametrize("sequences", [32.0, 640.0, 3000.0])
def test_a_step_is_that_of_the_estimate(sequences: float) -> None:
    asked = question()
    made = ready()
    context = asked.isl + 0.5 * (asked.osl - 1.0)
    curve = decode_curve(made, context, load_of(asked, made), 4000.0)
    found = estimate(replace(asked, concurrency=sequences), tables())
    assert found.tpot_s is not None
    # The curve is interpolated between batches, the estimate timed at this one.
    assert float(curve.at(sequences)) == pytest.approx(found.tpot_s.value, rel=0.005)


def test_a_full_step_of_prompts_is_that_of_the_estimate() -> None:
    asked = question("prefill")
    rate = prompt_rate(ready("prefill"), asked.isl)
    prompts = rate.tokens / asked.isl
    found = estimate(replace(asked, concurrency=prompts), tables())
    assert found.input_tokens_per_s is not None
    assert rate.tokens / rate.step_s == pytest.approx(found.input_tokens_per_s.value, rel=1e-9)


@laws
@given(st.floats(0.0, 0.9))
def test_cached_tokens_are_not_computed(share: float) -> None:
    made = ready("prefill")
    rate = prompt_rate(made, 4000.0, share)
    whole, computed = prompt_rate(made, 4000.0), 4000.0 * (1.0 - share)
    prompts = rate.tokens / computed
    assert prompts / 32.0 == pytest.approx(round(prompts / 32.0)), "each group works on whole prompts"
    # A cached token still costs attention: prompts go faster, computed tokens slower.
    assert rate.tokens / computed / rate.step_s >= 0.98 * whole.tokens / 4000.0 / whole.step_s
    assert rate.tokens / rate.step_s <= 1.02 * whole.tokens / whole.step_s
    assert rate.own_s > 0.0


@laws
@given(st.floats(1e-3, 0.2), st.lists(st.floats(0.5, 2.0), min_size=1, max_size=5), st.floats(1.0, 500.0))
def test_the_largest_batch_meets_the_objective_and_the_next_does_not(
    objective: float, slow: list[float], most: float
) -> None:
    made = ready()
    curve = decode_curve(made, 4500.0, load_of(question(), made), 32.0 * 500.0)
    factor = np.array(slow)

    def seen(batch: np.ndarray) -> np.ndarray:
        return np.asarray(curve.at(batch * 32.0) * factor)

    found = largest_batch(seen, most, objective)
    assert found.shape == factor.shape
    met = found > 0.0
    assert np.all(seen(found)[met] <= objective * (1 + 1e-9)) or np.all(found[met] * 32.0 <= 1.0)
    below = found < most
    more = np.minimum(found * 1.001 + 1e-6, most)
    assert np.all(seen(more)[below] >= objective * (1 - 1e-6))


def test_use_of_a_chip_is_a_share() -> None:
    made, asked = ready(), question()
    load = load_of(asked, made)
    curve = decode_curve(made, 4500.0, load, 3200.0)
    few, many = (decode_use(made, n, 4500.0, load, float(curve.at(n))) for n in (32.0, 3200.0))
    for use in (few, many, prompt_rate(ready("prefill"), 4000.0).use):
        assert all(0.0 <= share <= 1.0 for share in (use.compute, use.memory, use.link, use.busy))
    assert many.compute > few.compute
