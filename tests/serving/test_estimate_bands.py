"""How sure an estimate is: bands widen for what was not fitted, throughput's follows from TPOT's and TTFT's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog.calibration import framework_records
from suanli.serving import Estimate, Point, estimate
from suanli.serving.bands import of_deployment, prompt_band, rate_band, step_band, widened
from suanli.serving.framework import FrameworkTable
from suanli.study.deployment.solve import Deployments

DEPLOYMENTS = Deployments()
TABLE = FrameworkTable(framework_records())
laws = settings(deadline=None)
factors = st.floats(1.0, 5.0)


def ask(model: str, framework: str, **fields: object) -> Estimate:
    point = Point(
        DEPLOYMENTS.model(model)[0],
        DEPLOYMENTS.chip("h200_sxm"),
        n_chips=8,
        framework=framework,
        **fields,  # type: ignore[arg-type]
    )
    found = estimate(point, DEPLOYMENTS.tables)
    assert found.status == "ok", found.reason
    return found


def width(found: Estimate, name: str) -> float:
    band = getattr(found, name)
    return math.sqrt(band.high / band.low)


@laws
@given(factors, st.lists(factors, max_size=3))
def test_more_unknowns_never_narrow_a_band(known: float, others: list[float]) -> None:
    wide = widened(known, *others)
    assert wide >= known * (1.0 - 1e-12)
    assert wide >= max([known, *others]) * (1.0 - 1e-9)
    assert widened(known, *others, known) == pytest.approx(wide)
    assert wide <= math.exp(math.hypot(*(math.log(one) for one in (known, *others)))) * (1.0 + 1e-9)


@laws
@given(st.floats(0.1, 1e6), st.floats(0.0, 1.0), factors, factors, st.booleans())
def test_throughput_is_as_sure_as_what_it_is_made_of(
    rate: float, share: float, tpot: float, ttft: float, crowded: bool
) -> None:
    low, high = rate_band(rate, share, tpot, ttft, crowded)
    assert low <= rate * (1.0 + 1e-12) and high >= rate * (1.0 - 1e-12)
    free = rate_band(rate, share, tpot, ttft, False)
    assert low <= free[0] * (1.0 + 1e-12) and high >= free[1] * (1.0 - 1e-12)
    assert free[0] >= rate / max(tpot, ttft) * (1.0 - 1e-9)
    assert free[1] <= rate * max(tpot, ttft) * (1.0 + 1e-9)


def test_a_request_of_steps_alone_has_the_band_of_tpot() -> None:
    assert rate_band(100.0, 1.0, 1.25, 3.0, False) == pytest.approx((80.0, 125.0))
    assert rate_band(100.0, 0.0, 1.25, 2.0, False) == pytest.approx((50.0, 200.0))


@laws
@given(factors)
def test_chips_that_were_not_measured_widen_every_band(known: float) -> None:
    for band in (lambda basis: step_band(known, basis, True), lambda basis: prompt_band(known, basis)):
        assert known == pytest.approx(band("calibrated"))
        assert band("calibrated") <= band("family") <= band("datasheet")


def test_what_was_not_fitted_is_said_and_widens() -> None:
    known = ask("gpt-oss-120b", "vllm 0.18.0", concurrency=32.0)
    assert not any("was fitted" in note for note in known.notes)
    version = ask("gpt-oss-120b", "vllm 0.3", concurrency=32.0)
    assert any("No run of vllm 0.3 was fitted" in note for note in version.notes)
    nameless = ask("gpt-oss-120b", "vllm", concurrency=32.0)
    assert any("vllm of no stated version" in note for note in nameless.notes)
    model = ask("qwen3-30b-a3b", "vllm 0.18.0", concurrency=32.0)
    assert any("qwen3-30b-a3b on vllm" in note for note in model.notes)
    sister = ask("llama-3.3-70b", "vllm 0.12.0", concurrency=32.0)
    assert not any("was fitted" in note for note in sister.notes)
    engine = ask("gpt-oss-120b", "mindie 2.0", concurrency=32.0)
    assert any("no run of mindie" in note.lower() for note in engine.notes)
    both = ask("qwen3-30b-a3b", "vllm 0.3", concurrency=32.0)
    for metric in ("tpot_s", "output_tokens_per_s"):
        assert width(known, metric) < width(version, metric) < width(both, metric)
        assert width(known, metric) < width(model, metric) < width(both, metric)
    assert width(nameless, "tpot_s") == pytest.approx(width(version, "tpot_s"))


@pytest.mark.parametrize("kind", ["dense", "moe", "mla"])
def test_left_out_rows_are_off_by_more_than_those_fitted(kind: str) -> None:
    """Widths of versions and models left out, pooled over frameworks, exceed the narrowest fitted one."""
    narrow = min(TABLE.serving(name, "*", kind).values.tpot_band for name in ("vllm", "sglang", "trtllm"))
    values = TABLE.serving("*", "*", kind).values
    for wide in (values.tpot_band_version, values.tpot_band_model, values.tpot_band):
        assert narrow < wide < 1.7
    found, note = of_deployment(TABLE.serving("*", "*", kind), "*", "", "any")
    assert found.values == values and "No framework was named" in note


def test_prompts_of_an_engine_that_was_not_fitted_have_a_band_of_their_own() -> None:
    known = ask("llama-3.1-8b", "vllm 0.12.0", phase="prefill", concurrency=4.0)
    strange = ask("llama-3.1-8b", "mindie 2.0", phase="prefill", concurrency=4.0)
    assert width(strange, "ttft_s") == pytest.approx(TABLE.serving("*", "*", "dense").values.prompt_band)
    assert width(known, "ttft_s") < width(strange, "ttft_s")
