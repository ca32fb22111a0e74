"""Reading configs: what is understood, what is refused, and how it is said."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_shapes import WHOLE, deepseek, llama, shipped

from suanli.catalog import Catalog
from suanli.errors import InputError, UnknownIdError
from suanli.llm import (
    DTYPES,
    WeightDtypes,
    dtype,
    from_config,
    parameters,
    supported_architectures,
    weight_bytes,
)


def test_an_unsupported_architecture_is_named() -> None:
    with pytest.raises(InputError) as caught:
        from_config(llama(model_type="llamma"), place="my.json")
    text = str(caught.value)
    assert text.startswith('my.json model_type: architecture "llamma" is not supported. Close: llama')
    assert all(name in text for name in ("deepseek_v3", "qwen3_moe", "gpt_oss"))
    assert "\n" not in text


def test_a_missing_architecture_is_named() -> None:
    with pytest.raises(InputError, match=r"model_type: missing \(architectures: FooForCausalLM\)"):
        from_config({"architectures": ["FooForCausalLM"]})


def test_all_missing_fields_at_once() -> None:
    with pytest.raises(InputError) as caught:
        from_config({"model_type": "deepseek_v3"})
    lines = str(caught.value).splitlines()
    for field in (
        "hidden_size",
        "vocab_size",
        "num_hidden_layers",
        "num_attention_heads",
        "kv_lora_rank",
        "intermediate_size",
    ):
        assert sum(f"config.json {field}: missing" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": "4096"}, "hidden_size: expected a whole number of at least 1, got '4096'"),
        ({"hidden_size": -1}, "hidden_size: expected a whole number"),
        ({"hidden_size": True}, "hidden_size: expected a whole number"),
        ({"hidden_size": 2.5}, "hidden_size: expected a whole number"),
        ({"hidden_size": float("nan")}, "hidden_size: expected a whole number"),
        ({"hidden_size": float("inf")}, "hidden_size: expected a whole number"),
        ({"vocab_size": 0}, "vocab_size: expected a whole number"),
        ({"num_key_value_heads": 3}, "num_key_value_heads: 3 does not divide num_attention_heads 8"),
        (
            {"num_attention_heads": 7, "num_key_value_heads": 7},
            "7 does not divide hidden_size 512; give head_dim",
        ),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings: expected true or false"),
        ({"num_hidden_layers": 10**9}, "beyond any model"),
        ({"layer_types": ["full_attention"]}, "layer_types: has 1 entries for 4 layers"),
        ({"layer_types": ["full"] * 4}, "layer_types: no such layer type 'full'; known: full_attention"),
        ({"layer_types": 7}, "layer_types: expected a list, got 7"),
        ({"torch_dtype": "float17"}, "torch_dtype: No dtype"),
        (
            {"quantization_config": {"quant_method": "hqq"}},
            'quant_method: "hqq" is not understood; known: awq',
        ),
        ({"quantization_config": {}}, "quant_method: missing is not understood"),
    ],
)
def test_malformed_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        from_config(llama(**fields))
    assert message in str(caught.value)
    assert str(caught.value).startswith("config.json ")


def test_more_experts_a_token_than_experts() -> None:
    with pytest.raises(InputError, match="num_experts_per_tok: a token cannot visit 17 of 16 experts"):
        from_config(deepseek(num_experts_per_tok=17))


def test_several_problems_are_several_lines() -> None:
    with pytest.raises(InputError) as caught:
        from_config(llama(hidden_size=-1, vocab_size=None, num_key_value_heads=3))
    assert len(str(caught.value).splitlines()) >= 3


def test_unknown_fields_are_listed_not_guessed() -> None:
    model = from_config(llama(rope_theta=1e4, frobnicate=3, text_style={"a": 1}))
    assert model.unknown_fields == ("frobnicate", "text_style")
    assert parameters(model) == parameters(from_config(llama()))


def test_unknown_fields_inside_a_text_config() -> None:
    inner = {**llama(model_type="gemma3_text"), "odd": 1, "sliding_window": 512}
    model = from_config(
        {"model_type": "gemma3", "text_config": inner, "vision_config": {"x": 1}, "outer_odd": 2}
    )
    assert model.unknown_fields == ("outer_odd", "text_config.odd")
    assert model.architecture == "gemma3_text"


def test_the_supported_list_is_what_reads() -> None:
    names = supported_architectures()
    assert names == tuple(sorted(names))
    assert {shipped(name).architecture for name in WHOLE} <= set(names)


def test_synonyms() -> None:
    gpt = {
        "model_type": "gpt2",
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "vocab_size": 50257,
        "n_positions": 1024,
    }
    # GPT-2 small: 124M in arXiv/OpenAI's release; 124,439,808 as Hugging Face counts it without buffers.
    assert parameters(from_config(gpt)).total == 124_439_808


_FP8 = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
_KIMI = {
    "quant_method": "compressed-tensors",
    "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 32}}},
    "ignore": [
        "lm_head",
        "re:.*self_attn.*",
        "re:.*shared_experts.*",
        "re:.*mlp\\.(gate|up|gate_up|down)_proj.*",
    ],
}
_OSS = {
    "quant_method": "mxfp4",
    "modules_to_not_convert": [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ],
}


@pytest.mark.parametrize(
    ("quantisation", "shown"),
    [
        (_FP8, "fp8_block"),
        (_KIMI, "int4_g32 experts, bf16 rest"),
        (_OSS, "mxfp4 experts, mxfp4 FFN, bf16 attention"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": ["lm_head"]}, "fp8"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}},
            },
            "fp8",
        ),
        (
            {
                "quant_method": "fbgemm_fp8",
                "modules_to_not_convert": [
                    "lm_head",
                    *(f"model.layers.{i}.self_attn.q_proj" for i in range(4)),
                    "model.layers.0.mlp.down_proj",
                ],
            },
            "fp8 experts, fp8 FFN, bf16 attention",
        ),
    ],
)
def test_quantised_checkpoints(quantisation: dict[str, Any], shown: str) -> None:
    model = from_config(llama(quantization_config=quantisation))
    assert model.dtypes.shown == shown
    assert model.dtypes.embedding.name == "bf16"
    assert model.unknown_fields == ()


def test_a_quantised_checkpoint_keeps_embeddings_wide() -> None:
    model = from_config(llama())
    part = weight_bytes(model, "fp8")
    assert part.embedding == 2 * 2 * 512 * 1000
    assert part.attention == 4 * (512 * 768 + 512 * 512)
    assert part.ffn == 4 * 3 * 512 * 1024
    assert part.other == 2 * 9 * 512
    assert WeightDtypes.checkpoint("bf16") == WeightDtypes.uniform("bf16")


def test_format_sizes() -> None:
    """OCP MX v1.0: 32 values share a byte; NVFP4: 16 share one; DeepSeek: 128 x 128 share four."""
    sizes = {name: form.size_bytes for name, form in DTYPES.items()}
    assert sizes["mxfp4"] == (32 * 0.5 + 1) / 32
    assert sizes["nvfp4"] == (16 * 0.5 + 1) / 16
    assert sizes["mxfp8"] == 33 / 32
    assert sizes["fp8_block"] == (128 * 128 + 4) / 128**2
    assert sizes["int4"] == (128 * 0.5 + 2) / 128
    assert (sizes["fp32"], sizes["bf16"], sizes["fp16"], sizes["fp8"], sizes["int8"]) == (4, 2, 2, 1, 1)
    assert all(form.reference for form in DTYPES.values())


@pytest.mark.parametrize(
    ("given_", "name"),
    [
        ("BF16", "bf16"),
        ("torch.bfloat16", "bf16"),
        ("fp4", "nvfp4"),
        ("w4a16", "int4"),
        ("fp8-block", "fp8_block"),
    ],
)
def test_format_aliases(given_: str, name: str) -> None:
    assert dtype(given_).name == name


def test_unknown_format() -> None:
    with pytest.raises(UnknownIdError, match='No dtype "fp9"'):
        dtype("fp9")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(WHOLE), st.data())
def test_any_damage_is_read_or_refused_in_words(name: str, data: st.DataObject) -> None:
    """Replace fields of a real config by anything: a model or an InputError, never another exception."""
    config = json.loads(json.dumps(Catalog().model(name)))
    inner = config.get("text_config", config)
    for field in data.draw(
        st.lists(st.sampled_from(sorted(k for k in inner if k != "_suanli")), min_size=1, max_size=3)
    ):
        inner[field] = data.draw(JSON)
    try:
        model = from_config(config)
    except InputError as error:
        assert str(error)
        return
    assert parameters(model).total > 0


def test_import_is_light() -> None:
    code = (
        "import sys, suanli.llm\n"
        "top = {name.partition('.')[0] for name in sys.modules}\n"
        "heavy = {'scipy', 'numba', 'pydantic', 'rich', 'click', 'pyarrow', 'pandas'} & top\n"
        "parts = {name for name in sys.modules if name.startswith('suanli.')}\n"
        "other = {p for p in parts if not p.startswith('suanli.llm') and p != 'suanli.errors'}\n"
        "sys.exit(f'{heavy} {other}' if heavy or other else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_which_layers_of_an_odd_number_are_special() -> None:
    """Gemma 2 windows layers 0, 2, 4; Qwen MoE with step 2 routes layers 1, 3; Llama 4 chunks all but every fourth."""
    gemma = from_config(llama(model_type="gemma2", num_hidden_layers=5, sliding_window=64))
    windowed = sum(g.count for g in gemma.layers if g.mixer.attends[0].kind == "window")
    assert windowed == 3
    qwen = from_config(
        llama(model_type="qwen2_moe", num_hidden_layers=5, decoder_sparse_step=2, num_experts=8,
              num_experts_per_tok=2, moe_intermediate_size=64, shared_expert_intermediate_size=64)
    )  # fmt: skip
    assert sum(g.count for g in qwen.layers if g.ffn and g.ffn.experts) == 2
    scout = from_config(
        llama(model_type="llama4_text", num_hidden_layers=7, attention_chunk_size=32, num_local_experts=4,
              num_experts_per_tok=1, interleave_moe_layer_step=2, intermediate_size_mlp=128)
    )  # fmt: skip
    assert sum(g.count for g in scout.layers if g.mixer.attends[0].kind == "chunk") == 6
    assert sum(g.count for g in scout.layers if g.ffn and g.ffn.experts) == 3
    dense = from_config(deepseek(first_k_dense_replace=2, moe_layer_freq=2, num_hidden_layers=6))
    assert sum(g.count for g in dense.layers if g.ffn and g.ffn.experts) == 2
