"""What the `model_type` of a config implies and its fields do not say: biases, norms, gates, defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

ALWAYS = "*"


@dataclass(frozen=True, slots=True)
class Traits:
    """Habits of an architecture. A bias is "" (never), "*" (always) or the field that says so.

    Attributes:
        mixer: family of token mixers: "gqa", "mla", "mfa" (Step-3), "csa" (DeepSeek-V4), "nemotron",
            "mamba2",
            "qwen_hybrid", "kimi_linear", "nas".
        gated: whether the dense FFN has a gate.
        norms: hidden-wide norms a layer [1].
        norm_width: vectors of a norm: 1 scale, 2 scale and bias [1].
        qkv_bias: bias of query, key and value.
        o_bias: bias of the attention output.
        mlp_bias: bias of the FFN.
        qk_norm: norm of queries and keys: "" none, "head" one head wide, "full" all heads wide.
        qk_norm_field: field that switches it; "" always on.
        positions: rows of learned positions beyond the longest context; None where positions are not learned.
        embedding_norm: whether a norm follows the embedding.
        tied: whether the head is the embedding where the config does not say.
        head_bias: whether the head has a bias.
        routing_bias: whether a correction bias per expert steers the routing.
        windows: how `sliding_window` applies where no list of layer types says so: "all", "alternate",
            "sixth"
            (five windowed layers, one full) or "switched" (`use_sliding_window`).
        sinks: layers with a learned sink per head: "" none, "all", "swa" those with heads of their own for
            windows.
        mtp: mixer of the MTP module: "" none known, "last" as the last layer, "full" full attention.
    """

    mixer: str = "gqa"
    gated: bool = True
    norms: int = 2
    norm_width: int = 1
    qkv_bias: str = "attention_bias"
    o_bias: str = "attention_bias"
    mlp_bias: str = "mlp_bias"
    qk_norm: Literal["", "head", "full"] = ""
    qk_norm_field: str = ""
    positions: int | None = None
    embedding_norm: bool = False
    tied: bool = False
    head_bias: bool = False
    routing_bias: bool = False
    windows: Literal["all", "alternate", "sixth", "switched"] = "all"
    sinks: Literal["", "all", "swa"] = ""
    mtp: Literal["", "last", "full"] = ""


_LLAMA = Traits()
_CLASSIC = Traits(
    gated=False, norm_width=2, qkv_bias=ALWAYS, o_bias=ALWAYS, mlp_bias=ALWAYS, tied=True
)  # GPT-2 and its kin
_QWEN2 = Traits(qkv_bias=ALWAYS, o_bias="", windows="switched")
_QWEN3 = Traits(qk_norm="head", windows="switched")
_DEEPSEEK2 = Traits(mixer="mla")
_DEEPSEEK3 = Traits(mixer="mla", routing_bias=True, mtp="last")
_QWEN_HYBRID = Traits(mixer="qwen_hybrid", qk_norm="head", mtp="full", windows="switched")
_GEMMA2 = Traits(norms=4, tied=True, windows="alternate")
_GEMMA3 = replace(_GEMMA2, qk_norm="head", windows="sixth")

ARCHITECTURES: dict[str, Traits] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "mistral3": _LLAMA,
    "mixtral": _LLAMA,
    "internlm": replace(_LLAMA, qkv_bias="bias", o_bias="bias"),
    "internlm2": replace(_LLAMA, qkv_bias="bias", o_bias="bias"),
    "baichuan": replace(_LLAMA, qkv_bias="", o_bias=""),
    "seed_oss": replace(_LLAMA, qkv_bias="attention_bias", o_bias="attention_out_bias"),
    "olmo2": replace(_LLAMA, qk_norm="full"),
    "qwen2": _QWEN2,
    "qwen2_moe": _QWEN2,
    "qwen3": _QWEN3,
    "qwen3_moe": _QWEN3,
    "qwen3_next": _QWEN_HYBRID,
    "qwen3_5": _QWEN_HYBRID,
    "qwen3_5_text": _QWEN_HYBRID,
    "qwen3_5_moe": _QWEN_HYBRID,
    "qwen3_5_moe_text": _QWEN_HYBRID,
    "mimo": replace(_QWEN2, mtp="last"),
    "mimo_v2_flash": replace(_LLAMA, o_bias="", routing_bias=True, sinks="swa"),
    "phi": replace(_CLASSIC, norms=1, tied=False, head_bias=True),
    "phi3": replace(_LLAMA, qkv_bias="", o_bias="", mlp_bias=""),
    "gemma": Traits(tied=True),
    "gemma2": _GEMMA2,
    "gemma3": _GEMMA3,
    "gemma3_text": _GEMMA3,
    "chatglm": Traits(qkv_bias="add_qkv_bias", o_bias="add_bias_linear", mlp_bias="add_bias_linear"),
    "glm4_moe": Traits(o_bias="", qk_norm="head", qk_norm_field="use_qk_norm", routing_bias=True, mtp="last"),
    "glm_moe_dsa": _DEEPSEEK3,
    "deepseek": _LLAMA,
    "deepseek_v2": _DEEPSEEK2,
    "deepseek_v3": _DEEPSEEK3,
    "deepseek_v32": _DEEPSEEK3,
    "deepseek_v4": Traits(mixer="csa", routing_bias=True, mtp="last"),
    "kimi_k2": _DEEPSEEK3,
    "kimi_k25": _DEEPSEEK3,
    "kimi_linear": Traits(mixer="kimi_linear", routing_bias=True),
    "kimi_k3": Traits(mixer="kimi_linear", routing_bias=True),
    "gpt_oss": replace(_LLAMA, windows="alternate", sinks="all"),
    "minimax_m2": Traits(
        qkv_bias="", o_bias="", qk_norm="full", qk_norm_field="use_qk_norm", routing_bias=True
    ),
    "minimax_m3": Traits(
        qkv_bias="", o_bias="", qk_norm="head", qk_norm_field="use_qk_norm", routing_bias=True
    ),
    "bailing_moe": Traits(
        qkv_bias="use_qkv_bias",
        o_bias="use_bias",
        mlp_bias="use_bias",
        qk_norm="head",
        qk_norm_field="use_qk_norm",
        routing_bias=True,
    ),
    "llama4": _LLAMA,
    "llama4_text": _LLAMA,
    "hunyuan": Traits(qk_norm="head", qk_norm_field="use_qk_norm", tied=True),
    "step3_vl": Traits(mixer="mfa", qkv_bias="", o_bias=""),
    "step3_text": Traits(mixer="mfa", qkv_bias="", o_bias=""),
    "nemotron": Traits(gated=False, norm_width=2),
    "apertus": Traits(gated=False, qk_norm="head", qkv_bias="", o_bias="", mlp_bias=""),
    "nemotron_h": Traits(mixer="nemotron", gated=False, norms=1, routing_bias=True, mtp="last"),
    "nemotron-nas": Traits(mixer="nas"),
    "mamba2": Traits(mixer="mamba2", norms=1, tied=True),
    "cohere": Traits(norms=1, tied=True, qkv_bias="attention_bias", o_bias="attention_bias", mlp_bias=""),
    "falcon": replace(_CLASSIC, qkv_bias="bias", o_bias="bias", mlp_bias="bias"),
    "gptj": replace(_CLASSIC, norms=1, qkv_bias="", o_bias="", tied=False, head_bias=True),
    "gpt_neox": replace(_CLASSIC, tied=False),
    "mpt": replace(_CLASSIC, norm_width=1, qkv_bias="", o_bias="", mlp_bias=""),
    "starcoder2": replace(_CLASSIC, qkv_bias="use_bias", o_bias="use_bias", mlp_bias="use_bias", tied=True),
    "opt": replace(_CLASSIC, positions=2),
    "gpt2": replace(_CLASSIC, positions=0),
    "bloom": replace(_CLASSIC, embedding_norm=True),
    "megatron_gpt": replace(_CLASSIC, positions=0),
    "palm": Traits(norms=1, qkv_bias="", o_bias="", mlp_bias="", tied=True),
}
