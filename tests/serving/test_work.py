"""What a model asks of the chips of a replica: nothing is lost in the split, and links carry what must travel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from suanli.catalog import Catalog
from suanli.errors import InfeasibleError
from suanli.hardware import Chip
from suanli.llm import Model, from_config, weight_bytes
from suanli.serving import Layout, exchange, formats_for, layout_problems

PEAKS = {"bf16": 989e12, "fp16": 989e12, "fp8": 1979e12, "int8": 1979e12}
H100 = Chip("h100", PEAKS, 80e9, 3.35e12, 450e9, 50e9, 8, 700.0)
A100 = Chip("a100", {"bf16": 312e12, "fp16": 312e12, "int8": 624e12}, 80e9, 2e12, 300e9, 25e9, 8, 400.0)
OLD = Chip("old", {"fp16": 100e12, "bf16": 100e12}, 32e9, 1e12, None, None, 1, 300.0)


@pytest.fixture(scope="module")
def model() -> Callable[[str], Model]:
    catalog = Catalog()
    return lambda name: from_config(catalog.model(name))


# -- formats ------------------------------------------------------------------------------------------------------
def test_a_checkpoint_runs_in_its_own_format_where_the_chip_can(model: Callable[[str], Model]) -> None:
    formats = formats_for(model("deepseek-r1"), H100)
    assert formats.changes == () and formats.experts.startswith("fp8")


def test_fp8_becomes_int8_else_16_bit_and_says_so(model: Callable[[str], Model]) -> None:
    r1 = model("deepseek-r1")
    narrow, wide = formats_for(r1, A100), formats_for(r1, OLD)
    assert (narrow.experts, wide.experts) == ("int8", "bf16")
    assert "a100 cannot compute in fp8" in narrow.changes[0] and "int8" in narrow.changes[0]
    assert weight_bytes(r1, wide.weights).total > 1.9 * weight_bytes(r1, narrow.weights).total


def test_a_format_that_was_asked_for_is_not_swapped(model: Callable[[str], Model]) -> None:
    with pytest.raises(InfeasibleError, match="a100 cannot compute in fp8"):
        formats_for(model("llama-3.1-70b"), A100, "fp8")
    assert formats_for(model("llama-3.1-70b"), A100, "int8").ffn == "int8"


# -- layouts ------------------------------------------------------------------------------------------------------
def test_layouts_that_cannot_be(model: Callable[[str], Model]) -> None:
    llama, r1 = model("llama-3.1-70b"), model("deepseek-r1")
    assert layout_problems(llama, Layout(8, 8)) == []
    assert layout_problems(r1, Layout(144, 1, 144)) == []
    assert "tp = 48 does not divide 64 attention heads" in layout_problems(llama, Layout(48, 48))[0]
    assert layout_problems(llama, Layout(8, 1, 8)) == ["ep = 8, but llama-3.1-70b has no experts; use ep = 1"]
    assert "more than the 256 experts" in layout_problems(r1, Layout(320, 1, 320))[0]


# -- exchange -----------------------------------------------------------------------------------------------------
def test_a_chip_alone_sends_nothing(model: Callable[[str], Model]) -> None:
    for name in ("llama-3.1-70b", "deepseek-r1"):
        found = exchange(model(name), OLD, Layout(1), direct=True)
        assert float(found.sent_bytes) == float(found.time_s) == 0.0


def test_tensor_parallel_bytes_counted_by_hand(model: Callable[[str], Model]) -> None:
    """Two all-reduces in each of 80 layers of 8,192 values of 2 bytes; a ring moves 2 (tp - 1) of them a group."""
    found = exchange(model("llama-3.1-70b"), H100, Layout(8, 8), direct=False)
    assert float(found.sent_bytes) == pytest.approx(80 * 2 * 2 * 7 * 8192 * 2)
    assert float(found.time_s) == pytest.approx(float(found.sent_bytes) / 450e9)


def test_expert_bytes_counted_by_hand(model: Callable[[str], Model]) -> None:
    """58 expert layers, 8 copies of 7,168 values out in FP8 with block scales and back in BF16, few to oneself."""
    found = exchange(model("deepseek-r1"), H100, Layout(144, 1, 144), direct=True)
    whole = 58 * 8 * 7168 * (1 + 4 / 128 + 2)
    assert whole * 0.98 <= float(found.sent_bytes) <= whole
    assert float(found.time_s) >= float(found.sent_bytes) * 0.9 / 50e9, "most copies cross the network"


def test_one_copy_a_node_sends_less_over_the_network(model: Callable[[str], Model]) -> None:
    r1, layout = model("deepseek-r1"), Layout(144, 1, 144)
    assert float(exchange(r1, H100, layout, direct=False).time_s) < float(
        exchange(r1, H100, layout, direct=True).time_s
    )


def test_a_larger_scale_up_domain_exchanges_faster(model: Callable[[str], Model]) -> None:
    r1, layout = model("deepseek-r1"), Layout(64, 1, 64)
    times = [
        float(exchange(r1, replace(H100, scale_up_domain=n), layout, direct=True).time_s) for n in (8, 16, 64)
    ]
    assert times == sorted(times, reverse=True) and times[2] < times[0] / 4


def test_faster_links_are_never_slower(model: Callable[[str], Model]) -> None:
    r1, layout = model("deepseek-r1"), Layout(144, 1, 144)
    base = float(exchange(r1, H100, layout, direct=True).time_s)
    assert float(
        exchange(r1, replace(H100, scale_out_bytes_per_s=100e9), layout, direct=True).time_s
    ) == pytest.approx(base / 2)


def test_chips_without_links_cannot_exchange_for_free(model: Callable[[str], Model]) -> None:
    """A link that is not known must not count as infinitely fast."""
    r1 = model("deepseek-r1")
    with np.errstate(divide="ignore"):
        for layout in (Layout(8, 8), Layout(8, 1, 8)):
            assert float(exchange(r1, OLD, layout, direct=True).time_s) == np.inf
