"""Build the feed-forward part of a layer from config fields: dense, routed experts, shared experts."""

from __future__ import annotations

from suanli.llm.architectures import Traits
from suanli.llm.fields import Fields
from suanli.llm.mixers import biased
from suanli.llm.parts import Experts, FeedForward, Linear, Mlp

_WIDTH = ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim")
EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
_TOP_K = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k")
_SHARED = ("n_shared_experts", "num_shared_experts", "num_shared_expert")
# Width of the shared experts taken together, where a config gives that and not their number.
_SHARED_WIDTH = (
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "share_expert_dim",
    "shared_intermediate_size",
)


def make_mlp(name: str, hidden: int, width: int, gated: bool, bias: bool = False) -> Mlp:
    """Two products with an activation between; the gate is fused with the first."""
    factor = 2 if gated else 1
    up_name = f"{name}gate_up" if gated else f"{name}up"
    up = Linear(up_name, hidden, factor * width, factor * width if bias else 0, "n", ((width, factor),))
    down = Linear(f"{name}down", width, hidden, hidden if bias else 0, "k", ((width, 1),))
    return Mlp(up, down, width, gated)


def dense(fields: Fields, traits: Traits, hidden: int, width: int | None = None) -> FeedForward:
    """A dense FFN, of the config's width or another one."""
    if width is None:
        width = fields.optional("dense_intermediate_size", "intermediate_size_mlp") or dense_width(
            fields, hidden
        )
    return FeedForward(make_mlp("", hidden, width, traits.gated, biased(fields, traits.mlp_bias)))


def dense_width(fields: Fields, hidden: int) -> int:
    """Width of the dense FFN; GPT-like architectures that do not say so use four times the hidden width
    [1]."""
    classic = fields.config.get("model_type") in ("gpt2", "gptj", "bloom", "falcon")
    return fields.number(*_WIDTH, default=4 * hidden if classic else None)


def mixture(fields: Fields, traits: Traits, hidden: int, steered: bool) -> FeedForward:
    """Routed experts with what belongs to them.

    Args:
        fields: the config.
        traits: the architecture's habits.
        hidden: width of the residual stream [1].
        steered: whether a correction bias per expert steers the routing.
    """
    count, top_k = fields.number(*EXPERTS), fields.number(*_TOP_K)
    if top_k > count:
        fields.problem(fields.name_of(*_TOP_K), f"a token cannot visit {top_k} of {count} experts")
    width = fields.number("moe_intermediate_size", *_WIDTH)
    latent = fields.optional("moe_latent_size", "routed_expert_hidden_size")
    oss = fields.config.get("model_type") == "gpt_oss"
    expert = make_mlp("expert_", latent or hidden, width, traits.gated, bias=oss)
    shared, shared_gate = _shared(fields, traits, hidden, width)
    extra: tuple[Linear, ...] = ()
    other = count if steered else 0
    if latent:
        extra = (Linear("latent_in", hidden, latent), Linear("latent_out", latent, hidden))
    if fields.raw("routed_expert_hidden_size") is not None:
        other += latent or 0  # Kimi-K3 norms the narrow vector
    return FeedForward(
        mlp=shared,
        experts=Experts(count, top_k, expert),
        router=Linear("router", hidden, count, count if oss else 0, kept_wide=True),
        extra=extra + shared_gate,
        other_parameters=other,
    )


def _shared(fields: Fields, traits: Traits, hidden: int, width: int) -> tuple[Mlp | None, tuple[Linear, ...]]:
    """The shared experts as one MLP, and Qwen's gate on them."""
    number = fields.number(*_SHARED, default=0, minimum=0)
    together = fields.number(*_SHARED_WIDTH, default=0, minimum=0)
    if fields.config.get("model_type") in ("llama4", "llama4_text"):
        number = 1
    total = together or number * width
    if not total:
        return None, ()
    gate: tuple[Linear, ...] = ()
    if fields.raw("shared_expert_intermediate_size") is not None:
        gate = (Linear("shared_gate", hidden, 1, kept_wide=True),)
    return make_mlp("shared_", hidden, total, traits.gated), gate


def expert_layers(fields: Fields, layers: int) -> list[bool]:
    """Which layers route to experts, by whichever rule the config uses."""
    if fields.raw(*EXPERTS) is None:
        return [False] * layers
    named = fields.numbers("moe_layers_enum")
    if named is not None:
        return [layer in named for layer in range(layers)]
    first = fields.number("first_k_dense_replace", default=0, minimum=0)
    frequency = fields.raw("moe_layer_freq")
    if isinstance(frequency, list):
        flags = fields.per_layer("moe_layer_freq", layers) or [1] * layers
        return [bool(flag) for flag in flags[:layers]]
    every = fields.number("moe_layer_freq", default=1)
    sparse = fields.number("decoder_sparse_step", "interleave_moe_layer_step", default=1)
    only_dense = fields.numbers("mlp_only_layers") or []
    return [
        layer >= first and layer % every == 0 and (layer + 1) % sparse == 0 and layer not in only_dense
        for layer in range(layers)
    ]
