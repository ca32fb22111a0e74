"""Every shipped model: readable, within 0.5 % of what is published, explained where it is not."""

from __future__ import annotations

import math

import pytest
from llm_shapes import CATALOG, IDS, PARTIAL, WHOLE, about, shipped

from suanli.errors import NoDataError
from suanli.llm import Parameters, from_config, kv_bytes, parameters, weight_bytes

_REQUIRED = {
    "id",
    "aliases",
    "released",
    "licence",
    "parameters_total_published",
    "parameters_active_published",
    "weights_dtype_native",
    "quantisation",
    "context_length",
    "sources",
    "verified",
    "notes",
}


def _published_counts(count: Parameters, basis: str) -> int:
    """The count that the publisher's convention names."""
    return {
        "main": count.total,
        "with_mtp": count.total + count.mtp,
        "with_vision": count.total + count.vision,
        "without_embeddings": count.total - count.embedding - count.head,
        "without_embeddings_with_mtp": count.total - count.embedding - count.head + count.mtp,
    }[basis]


def _checkpoint(count: Parameters, parts: list[str]) -> int:
    sizes = {
        "main": count.total,
        "mtp": count.mtp,
        "vision": count.vision,
        "tied_head": count.embedding,
        "mtp_embeddings": count.embedding + count.head,
    }
    return sum(sizes[part] for part in parts)


def _digits(value: float) -> int:
    """Significant digits a figure is printed with."""
    return len(f"{value:.12e}".partition("e")[0].replace(".", "").rstrip("0"))


def _rounds_to(value: float, published: float) -> bool:
    places = _digits(published) - 1 - math.floor(math.log10(published))
    return round(value, places) == published


def test_the_catalogue_is_wide() -> None:
    assert len(IDS) >= 107
    assert PARTIAL == ["hunyuan-turbos"]


@pytest.mark.parametrize("name", IDS)
def test_block(name: str) -> None:
    block = about(name)
    assert set(block) >= _REQUIRED
    assert block["id"] == name
    assert block["sources"]
    assert "check" not in block


@pytest.mark.parametrize("name", WHOLE)
def test_every_field_is_understood(name: str) -> None:
    assert shipped(name).unknown_fields == ()


@pytest.mark.parametrize("name", WHOLE)
def test_total_is_within_half_a_percent(name: str) -> None:
    block, count = about(name), parameters(shipped(name))
    published = block["parameters_total_published"]
    error = _published_counts(count, block.get("published_counts", "main")) / published - 1
    if block.get("published_rounded"):
        assert abs(error) > 0.005, "remove published_rounded: the figure agrees"
        assert len(block["published_rounded_reason"]) > 20
        exact = block.get("parameters_total_checkpoint")
        agrees = exact is not None and abs(_checkpoint(count, block["checkpoint_counts"]) / exact - 1) < 1e-4
        assert agrees or _rounds_to(count.total, published)
    else:
        assert abs(error) <= 0.005


@pytest.mark.parametrize("name", [name for name in WHOLE if "parameters_total_checkpoint" in about(name)])
def test_total_is_that_of_the_checkpoint(name: str) -> None:
    block, count = about(name), parameters(shipped(name))
    got = _checkpoint(count, block["checkpoint_counts"])
    # 1e-4 leaves room for block scales and buffers that checkpoints count as parameters.
    assert got == pytest.approx(block["parameters_total_checkpoint"], rel=1e-4)


@pytest.mark.parametrize("name", WHOLE)
def test_active_follows_a_named_convention(name: str) -> None:
    block, count = about(name), parameters(shipped(name))
    published = block["parameters_active_published"]
    if shipped(name).experts_per_layer == 0:
        assert count.active == count.total
        return
    got = {
        "all": count.active,
        "without_input_embedding": count.active_without_input_embedding,
        "without_embeddings": count.active_without_embeddings,
    }[block["active_counts"]]
    assert abs(got / published - 1) <= 0.025 or _rounds_to(got, published)


@pytest.mark.parametrize("name", WHOLE)
def test_bytes_and_cache_are_consistent(name: str) -> None:
    model, count = shipped(name), parameters(shipped(name))
    assert weight_bytes(model, "bf16").total == pytest.approx(2 * count.total, rel=1e-12)
    native = weight_bytes(model).total
    assert 0.5 * count.total <= native <= 4 * count.total
    assert float(kv_bytes(model, 1024.0).total) > 0
    assert model.context_length


def test_aliases_are_unique() -> None:
    seen: dict[str, str] = {}
    for name in IDS:
        for alias in [name, *about(name)["aliases"]]:
            key = alias.lower().replace("_", "-").replace(" ", "-")
            assert key not in seen, f"{alias} is {seen[key]} and {name}"
            seen[key] = name


def test_aliases_resolve() -> None:
    assert CATALOG.model("deepseek-ai/DeepSeek-R1")["_suanli"]["id"] == "deepseek-r1"
    assert CATALOG.model("meta-llama/Llama-3.1-405B")["_suanli"]["id"] == "llama-3.1-405b"


def test_a_partial_shape_says_so() -> None:
    with pytest.raises(NoDataError, match="hunyuan-turbos: head counts"):
        from_config(CATALOG.model("hunyuan-turbos"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("deepseek-v3", "fp8_block"),
        ("gpt-oss-120b", "mxfp4 experts, bf16 rest"),
        ("deepseek-v4-pro", "mxfp4 experts, fp8_block rest"),
        ("kimi-k2-thinking", "int4_g32 experts, bf16 rest"),
        ("llama-3.1-70b", "bf16"),
    ],
)
def test_native_formats(name: str, shown: str) -> None:
    assert shipped(name).dtypes.shown == shown


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("llama-2-7b", ("mha",)),
        ("llama-3.1-8b", ("gqa",)),
        ("falcon-7b", ("mqa",)),
        ("deepseek-v3", ("mla",)),
        ("qwen3-next-80b-a3b", ("gated_deltanet", "gqa")),
        ("kimi-k3", ("kda", "mla")),
        ("mamba2-2.7b", ("mamba2",)),
        ("nemotron-3-nano-30b-a3b", ("mamba2", "gqa")),
        ("deepseek-v4-flash", ("mqa",)),
    ],
)
def test_attention_kinds(name: str, kinds: tuple[str, ...]) -> None:
    assert shipped(name).attention_kinds == kinds
