"""Counts, FLOPs and bytes against published figures, each row with its source."""

from __future__ import annotations

import pytest
from llm_shapes import rows, shipped

from suanli.llm import (
    Attention,
    Model,
    from_config,
    kv_bytes,
    parameters,
    training_flops_per_token,
    weight_bytes,
)


def _label(row: dict[str, str]) -> str:
    return "-".join(list(row.values())[:4])


def _count(model: Model, name: str) -> float:
    count = parameters(model)
    if name == "router":
        return sum(g.count * g.ffn.router.parameters for g in model.layers if g.ffn and g.ffn.router)
    if name == "attention":
        return sum(g.count * g.mixer.parameters for g in model.layers if isinstance(g.mixer, Attention))
    parts = {
        "main": count.total,
        "mtp": count.mtp,
        "vision": count.vision,
        "tied_head": count.embedding,
        "mtp_embeddings": count.embedding + count.head,
        "experts": count.experts_total,
        "active_without_input_embedding": count.active_without_input_embedding,
    }
    return parts[name]


@pytest.mark.parametrize("row", rows("llm_parameters.csv"), ids=_label)
def test_parameters(row: dict[str, str]) -> None:
    model = shipped(row["id"])
    got = sum(_count(model, name) for name in row["counts"].split("+"))
    published, tolerance = float(row["published"]), float(row["tolerance"])
    assert abs(got - published) <= tolerance * published


@pytest.mark.parametrize("row", rows("llm_flops.csv"), ids=_label)
def test_training_flops(row: dict[str, str]) -> None:
    got = training_flops_per_token(
        shipped(row["id"]),
        float(row["sequence_tokens"]),
        causal=row["causal"] == "yes",
        mtp=row["mtp"] == "yes",
    ).total
    assert float(got) == pytest.approx(float(row["published_flop_per_token"]), rel=float(row["tolerance"]))


@pytest.mark.parametrize("row", rows("llm_kv.csv"), ids=_label)
def test_kv(row: dict[str, str]) -> None:
    got = kv_bytes(shipped(row["id"]), float(row["context_tokens"]), row["kv_dtype"]).total
    assert float(got) == pytest.approx(float(row["published_bytes"]), rel=float(row["tolerance"]) or 1e-12)


@pytest.mark.parametrize("row", rows("llm_bytes.csv"), ids=_label)
def test_checkpoint_bytes(row: dict[str, str]) -> None:
    model = shipped(row["id"])
    got = weight_bytes(model, mtp=row["mtp"] == "yes").total
    if row["mtp_embeddings"] == "yes":
        got += (model.embedding_parameters + model.head.parameters) * model.dtypes.embedding.size_bytes
    assert got == pytest.approx(float(row["published_bytes"]), rel=float(row["tolerance"]) or 1e-12)


def test_deepseek_v3_bytes_by_format() -> None:
    """FP8 values of the checkpoint are its attention, FFN and expert products: 680,571,043,840.

    Source: Hugging Face model API deepseek-ai/DeepSeek-V3 safetensors.parameters, read 2026-09-04, as recorded in a
    public repository.
    """
    model = shipped("deepseek-v3")
    assert model.mtp is not None
    total = 0
    for group in (*model.layers, *model.mtp.layers):
        linears = [*(group.mixer.linears if group.mixer else ()), *(group.ffn.linears if group.ffn else ())]
        total += group.count * sum(one.parameters for one in linears if not one.kept_wide)
        if group.ffn and group.ffn.experts:
            total += group.count * group.ffn.experts.parameters
    assert total == 680_571_043_840


def test_headline_figures() -> None:
    count = parameters(shipped("deepseek-v3"))
    assert count.total / 1e9 == pytest.approx(671, rel=5e-4)
    assert count.active_without_input_embedding / 1e9 == pytest.approx(37, rel=0.011)
    # The README prints 11.5B for the MTP module without its 2h x h joining projection, 0.9B each for the tables.
    assert (count.mtp - 2 * 7168**2) / 1e9 == pytest.approx(11.5, rel=2e-3)
    assert count.embedding / 1e9 == pytest.approx(0.9, rel=0.03)


# Configs that do not ship, with totals from the Hugging Face model API as recorded in public repositories.
_OTHERS = {
    # mistralai/Mistral-7B-v0.3
    "mistral-v0.3": (
        {
            "model_type": "mistral",
            "hidden_size": 4096,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "intermediate_size": 14336,
            "vocab_size": 32768,
            "tie_word_embeddings": False,
            "sliding_window": None,
        },
        7_248_023_552,
    ),
    "moonlight-16b": (
        {
            "model_type": "deepseek_v3",
            "hidden_size": 2048,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "intermediate_size": 11264,
            "moe_intermediate_size": 1408,
            "n_routed_experts": 64,
            "n_shared_experts": 2,
            "num_experts_per_tok": 6,
            "first_k_dense_replace": 1,
            "q_lora_rank": None,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "vocab_size": 163840,
            "tie_word_embeddings": False,
        },
        15_960_111_936,
    ),
}


@pytest.mark.parametrize("name", _OTHERS)
def test_configs_that_do_not_ship(name: str) -> None:
    config, published = _OTHERS[name]
    assert parameters(from_config(config)).total == pytest.approx(published, rel=1e-6)


@pytest.mark.parametrize(
    ("layers", "hidden", "heads", "published"),
    [
        (6, 512, 8, 18_915_328),
        (24, 1024, 16, 302_311_424),
        (32, 4096, 32, 6_444_163_072),
        (36, 5120, 40, 11_327_027_200),
    ],
)
def test_pythia_without_embeddings(layers: int, hidden: int, heads: int, published: int) -> None:
    """GPT-NeoX: parameters beside the two tables, arXiv 2304.01373 table 1."""
    model = from_config(
        {
            "model_type": "gpt_neox",
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": 4 * hidden,
            "vocab_size": 50304,
            "tie_word_embeddings": False,
        }
    )
    count = parameters(model)
    assert count.total - count.embedding - count.head == published


def test_opt_13b_cache() -> None:
    """The KV cache of one token of OPT-13B takes 800 KB: 2 x 5120 x 40 x 2 bytes (arXiv 2309.06180 section 3)."""
    model = from_config(
        {
            "model_type": "opt",
            "hidden_size": 5120,
            "num_hidden_layers": 40,
            "num_attention_heads": 40,
            "ffn_dim": 20480,
            "vocab_size": 50272,
            "max_position_embeddings": 2048,
        }
    )
    assert float(kv_bytes(model, 1.0, "fp16").total) == 800 * 1024


def test_mla_saves_what_deepseek_v2_says() -> None:
    """DeepSeek-V2 caches 4.5 d_h values a layer, as much as GQA with 2.25 groups (arXiv 2405.04434 table 1)."""
    model = shipped("deepseek-v2")
    per_layer = float(kv_bytes(model, 1.0).total) / 2 / 60
    assert per_layer == 4.5 * 128
    assert per_layer == 2.25 * (2 * 128)
    naive = float(kv_bytes(model, 1.0, form="naive").total) / 2 / 60
    assert naive == 128 * (128 + 64 + 128)
