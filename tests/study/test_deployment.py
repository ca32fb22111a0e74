"""Deployment questions with the real estimate: statuses, reasons, laws that hold for every answer, power, money."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.errors import InputError
from suanli.study.deployment.rent import hourly_cost
from suanli.study.deployment.request import Request
from suanli.study.deployment.solve import Deployments

DEPLOYMENTS = Deployments(Catalog())
H100 = Request(
    "meta-llama/Llama-3.1-70B-Instruct",
    "h100_sxm",
    n_chips=4,
    tp=4,
    weights_dtype="fp8",
    isl=1024.0,
    osl=256.0,
)


def ask(**changes: object) -> Request:
    fields = {name: getattr(H100, name) for name in H100.__slots__}
    return Request(**{**fields, **changes})  # type: ignore[arg-type]


def test_an_answer_has_every_quantity_with_its_band() -> None:
    found = DEPLOYMENTS.answer(ask(concurrency=16.0))
    assert (found.status, found.basis) == ("ok", "calibrated")
    assert set(found.quantities) >= {
        "ttft_s",
        "tpot_s",
        "itl_s",
        "output_tokens_per_s",
        "power_w",
        "usd_per_mtok_output",
    }
    assert all(band.low <= band.value <= band.high for band in found.quantities.values())


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"tp": 3, "n_chips": 3}, "infeasible", "tp 3 does not divide the 64 heads"),
        ({"ep": 8}, "infeasible", "ep 8"),
        ({"pp": 100, "n_chips": 400}, "infeasible", "pp 100 is above the 80 layers"),
        ({"tp": 1, "n_chips": 1, "weights_dtype": "bf16"}, "infeasible", "does not fit"),
        ({"model": "meta-llama/Lama-3.1-70B"}, "unsupported", "llama-3.1-70b"),
        ({"chip": "h100_smx"}, "unsupported", "h100"),
        ({"weights_dtype": "fp3"}, "unsupported", "fp3"),
        ({"kv_dtype": "fp3"}, "unsupported", "fp3"),
        ({"isl": 0.0}, "unsupported", "isl"),
        ({"concurrency": -1.0}, "unsupported", "concurrency"),
        ({"weights_dtype": "nvfp4"}, "unsupported", "cannot compute"),
        ({"options": {"prefix_hit_shar": 0.5}}, "unsupported", "prefix_hit_share"),
    ],
)
def test_a_question_without_answer_says_why(changes: dict[str, object], status: str, words: str) -> None:
    found = DEPLOYMENTS.answer(ask(**changes))
    assert found.status == status, found.reason
    assert words in found.reason
    assert "\n" not in found.reason
    assert found.quantities == {}


def test_ranks_that_do_not_divide_the_experts_get_copies() -> None:
    """DeepSeek ran decode on 144 ranks with 32 redundant experts of 256 (open-infra-index, day 6)."""
    large = Request(
        "deepseek-v3", "h800", 144, 1, None, 144, 144, phase="decode", isl=4989.0, concurrency=144.0 * 88
    )
    named = Request(*(getattr(large, name) for name in large.__slots__[:-2]), {"redundant_experts": 32.0})
    found = DEPLOYMENTS.answer(large)
    assert found.status == "ok", found.reason
    assert found.quantities == DEPLOYMENTS.answer(named).quantities
    above = DEPLOYMENTS.answer(Request("deepseek-v3", "h800", 320, 1, None, 320, 320))
    assert above.status == "infeasible"
    assert "ep 320 is above the 256 experts" in above.reason


def test_names_in_use_are_the_same_question() -> None:
    first = DEPLOYMENTS.answer(ask())
    second = DEPLOYMENTS.answer(ask(model="llama-3.1-70b", chip="nvidia-h100-sxm"))
    assert first.quantities == second.quantities


def test_the_name_of_a_quantised_checkpoint_sets_the_format() -> None:
    named = DEPLOYMENTS.answer(ask(model="RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8", weights_dtype=None))
    assert named.quantities == DEPLOYMENTS.answer(ask()).quantities


def test_a_batch_is_its_rows() -> None:
    requests = [ask(concurrency=float(n), tp=tp, n_chips=tp) for n in (1, 7, 64) for tp in (4, 8, 3)]
    together = DEPLOYMENTS.answers(requests)
    for request, answer in zip(requests, together, strict=True):
        alone = DEPLOYMENTS.answer(request)
        assert (alone.status, alone.reason) == (answer.status, answer.reason)
        for name, band in alone.quantities.items():
            assert band.value == pytest.approx(answer.quantities[name].value, rel=1e-9)


CHIPS = (
    "a100_sxm",
    "h100_sxm",
    "h20_sxm",
    "b200_sxm",
    "gb200",
    "l40s",
    "mi300x",
    "google-tpu-v6e",
    "aws-trainium2",
    "910C",
    "RTX 4090",
)
MODELS = ("llama-3.1-8b", "qwen3-32b", "qwen3-30b-a3b", "gpt-oss-120b", "deepseek-v3", "mixtral-8x7b")


@given(
    model=st.sampled_from(MODELS),
    chip=st.sampled_from(CHIPS),
    tp=st.sampled_from((1, 2, 4, 8)),
    framework=st.sampled_from(("*", "vllm", "sglang", "trtllm")),
    phase=st.sampled_from(("mixed", "prefill", "decode")),
    isl=st.integers(1, 32768),
    osl=st.integers(2, 4096),
    concurrency=st.integers(1, 512),
)
@settings(deadline=None, max_examples=60)
def test_every_number_is_positive_finite_and_inside_its_band(
    model: str, chip: str, tp: int, framework: str, phase: str, isl: int, osl: int, concurrency: int
) -> None:
    found = DEPLOYMENTS.answer(
        Request(
            model, chip, tp, tp, framework=framework, phase=phase, isl=isl, osl=osl, concurrency=concurrency
        )
    )
    assert not found.internal, found.reason
    assert (found.status == "ok") == (found.reason == "")
    for name, band in found.quantities.items():
        assert math.isfinite(band.high), name
        assert 0.0 < band.low <= band.value <= band.high, name


@given(st.sampled_from(CHIPS), st.integers(1, 64))
@settings(deadline=None, max_examples=30)
def test_chips_draw_between_idle_and_tdp_and_servers_more(chip: str, concurrency: int) -> None:
    request = Request("llama-3.1-8b", chip, 1, 1, concurrency=float(concurrency))
    found = DEPLOYMENTS.answer(request)
    if "power_w" not in found.quantities:
        assert found.status != "ok" or "power_w" in found.unknown
        return
    known = DEPLOYMENTS.power.chip(DEPLOYMENTS.chip(chip))
    power = found.quantities["power_w"]
    assert known.idle_w <= power.low <= power.high <= known.tdp_w * (1 + 1e-9)
    wall = DEPLOYMENTS.wall_w(request, found)
    assert wall is not None
    assert wall.value > power.value


def test_a_power_limit_holds() -> None:
    limited = DEPLOYMENTS.answer(ask(concurrency=256.0, power_limit_w=450.0))
    assert limited.quantities["power_w"].high <= 4 * 450.0 + 1e-6


def test_cost_is_rent_over_rate() -> None:
    found = DEPLOYMENTS.answer(ask(concurrency=32.0))
    rent = hourly_cost(DEPLOYMENTS.catalog, "nvidia-h100-sxm")
    assert rent is not None
    rate = found.quantities["output_tokens_per_s"]
    cost = found.quantities["usd_per_mtok_output"]
    assert cost.value == pytest.approx(rent.usd_per_s.value * 4 / rate.value * 1e6)
    assert cost.low == pytest.approx(rent.usd_per_s.low * 4 / rate.high * 1e6)


def test_a_chip_without_rent_is_owned_and_without_price_unknown() -> None:
    owned = hourly_cost(DEPLOYMENTS.catalog, "huawei-ascend-910c")
    assert owned is not None
    assert owned.basis.startswith("owned")
    # 19,800 USD x 1.35 over five years at 10 % is 26,730 x 0.2638 a year, 0.80 USD/h.
    assert owned.usd_per_s.value * 3600 == pytest.approx(19800 * 1.35 * 0.263797 / 8760, rel=1e-3)
    assert hourly_cost(DEPLOYMENTS.catalog, "apple-m2-ultra") is None
    answer = DEPLOYMENTS.answer(Request("llama-3-8b", "M2 Ultra", weights_dtype="int4"))
    assert "usd_per_mtok_output" not in answer.quantities
    assert "price" in answer.unknown["usd_per_mtok_output"]


def test_one_call_for_one_deployment() -> None:
    import suanli

    answer = suanli.estimate("llama-3.1-8b", "h100_sxm", n_chips=2, concurrency=16, framework="vllm")
    assert answer.status == "ok"
    tpot = answer.quantities["tpot_s"]
    assert tpot.low < tpot.value < tpot.high
    assert suanli.estimate("llama-3.1-405b", "h100_sxm").status == "infeasible"
    with pytest.raises(InputError, match=r'concurency: no such condition\. Did you mean "concurrency"\?'):
        suanli.estimate("llama-3.1-8b", "h100_sxm", concurency=4)
