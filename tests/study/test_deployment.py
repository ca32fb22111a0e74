"""Deployment questions with the real estimate: statuses, reasons, laws that hold for every answer, power, money."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.errors import InputError
from suanli.study.deployment.rent import _owned, hourly_cost
from suanli.study.deployment.request import Interval, Request
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
    # CloudMatrix 384 at 8.2 MUSD, 21,354 USD a chip: over five years at 10 % 0.2638 of it a year, maintenance 3 % and
    # insurance 1 %; 559.6 kW over 384 chips at 1.3 x 0.0892 USD/kWh and 215 USD/kW/month.
    hardware = 8.2e6 / 384 * (0.263797 + 0.04) / 8760
    power = 1.457 * (1.3 * 0.0892 + 215 / 730)
    assert owned.usd_per_s.value * 3600 == pytest.approx(hardware + power, rel=2e-3)
    assert "hardware, power, hosting" in owned.basis
    assert hourly_cost(DEPLOYMENTS.catalog, "apple-m2-ultra") is None
    answer = DEPLOYMENTS.answer(Request("llama-3-8b", "M2 Ultra", weights_dtype="int4"))
    assert "usd_per_mtok_output" not in answer.quantities
    assert "price" in answer.unknown["usd_per_mtok_output"]


@pytest.mark.parametrize(
    "chip", ["nvidia-h100-sxm", "nvidia-h200-sxm", "nvidia-b200-sxm", "nvidia-a100-sxm-80gb"]
)
def test_a_rent_is_about_twice_what_owning_costs(chip: str) -> None:
    """What the note says of the two bases: where both are on record, a rent is a margin above owning."""
    rented, owned = hourly_cost(DEPLOYMENTS.catalog, chip), _owned(DEPLOYMENTS.catalog, chip)
    assert rented is not None and owned is not None
    assert (rented.kind, owned.kind) == ("rent", "owned")
    assert 1.5 < rented.usd_per_s.value / owned.usd_per_s.value < 2.8


def test_list_prices_of_hyperscalers_do_not_widen_a_market() -> None:
    rent = hourly_cost(DEPLOYMENTS.catalog, "nvidia-h100-sxm")
    assert rent is not None
    # Azure and GCP list 11 to 12 USD/h, which is no part of the market's 90 %.
    assert rent.usd_per_s.high / rent.usd_per_s.value < 1.5
    one = hourly_cost(DEPLOYMENTS.catalog, "nvidia-rtx-4090")
    assert one is not None and one.basis == "rent, the one open-market row on record, of 2026-08-23"


@pytest.mark.parametrize("chip", ["M2 Ultra", "Jetson AGX Orin 64GB", "DGX Spark", "Strix Halo"])
def test_a_device_has_no_server_around_it(chip: str) -> None:
    request = Request("llama-3-8b", chip, weights_dtype="int4")
    found = DEPLOYMENTS.answer(request)
    assert found.status == "ok" and DEPLOYMENTS.wall_w(request, found) is None
    assert "is a device" in DEPLOYMENTS.no_wall(DEPLOYMENTS.chip(chip))


def test_a_small_card_has_a_small_share_of_a_host() -> None:
    """A T4 of 70 W has no 215 W of host and network around it; an H100 has a whole share."""
    power = DEPLOYMENTS.power
    tesla = DEPLOYMENTS.chip("T4")
    assert power.wall_w(tesla, Interval(50.0, 40.0, 60.0), 1).value < 50.0 + 70.0
    assert power.host_share(DEPLOYMENTS.chip("h100_sxm")) == 1.0
    shares = [power.host_share(DEPLOYMENTS.chip(name)) for name in ("T4", "A10", "RTX 3090", "h100_sxm")]
    assert shares == sorted(shares)


def test_one_output_token_has_no_time_per_output_token() -> None:
    found = DEPLOYMENTS.answer(ask(osl=1.0))
    assert found.status == "ok"
    assert {"tpot_s", "itl_s"} <= set(found.unknown)
    assert not {"tpot_s", "itl_s"} & set(found.quantities)
    assert "ttft_s" in found.quantities


def test_a_request_beyond_the_context_is_remarked() -> None:
    """Llama 2 is published for 4,096 tokens (arXiv 2307.09288)."""
    lengths = {"isl": 3996.0, "osl": 100.0}
    inside = DEPLOYMENTS.answer(Request("llama-2-7b", "h100_sxm", **lengths))
    beyond = DEPLOYMENTS.answer(Request("llama-2-7b", "h100_sxm", **lengths | {"osl": 101.0}))
    prompts = DEPLOYMENTS.answer(
        Request("llama-2-7b", "h100_sxm", phase="prefill", **lengths | {"osl": 999.0})
    )
    assert [any("4,096" in note for note in one.notes) for one in (inside, beyond, prompts)] == [
        False,
        True,
        False,
    ]


def test_a_refusal_for_memory_says_what_fits() -> None:
    import re

    import suanli

    found = suanli.estimate("llama-3.1-405b", "h200_sxm")
    assert found.status == "infeasible" and "weights of 811" in found.reason
    chips = int(re.search(r"--n-chips (\d+)", found.reason)[1])  # type: ignore[index]
    assert suanli.estimate("llama-3.1-405b", "h200_sxm", n_chips=chips).status == "ok"
    layout = suanli.estimate("llama-3.1-70b", "h200_sxm", tp=1, pp=1, dp=4, ep=1, n_chips=4)
    assert layout.status == "ok" or "the same chips as --tp" in layout.reason


def test_one_call_for_one_deployment() -> None:
    import suanli

    answer = suanli.estimate("llama-3.1-8b", "h100_sxm", n_chips=2, concurrency=16, framework="vllm")
    assert answer.status == "ok"
    tpot = answer.quantities["tpot_s"]
    assert tpot.low < tpot.value < tpot.high
    assert suanli.estimate("llama-3.1-405b", "h100_sxm").status == "infeasible"
    with pytest.raises(InputError, match=r'concurency: no such condition\. Did you mean "concurrency"\?'):
        suanli.estimate("llama-3.1-8b", "h100_sxm", concurency=4)
