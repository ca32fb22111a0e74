"""Build layers with a constant state from config fields: Mamba-2, Gated DeltaNet, Kimi Delta Attention."""

from __future__ import annotations

from suanli.llm.fields import Fields
from suanli.llm.parts import Linear, StateMixer

# FLOPs of the recurrence on one element of the state, for one token.
_MAMBA2_OPS = 5  # decay 1, add the outer product of input and B 2, read out with C 2
_DELTA_OPS = 7  # decay 1, read what the key finds 2, add the rank-one correction 2, read out with the query 2


def mamba2(fields: Fields, hidden: int) -> StateMixer:
    """Mamba-2 (arXiv 2405.21060): state heads x head_dim x state_size, one convolution over x, B and C."""
    state = fields.number("ssm_state_size", "state_size")
    groups = fields.number("n_groups", default=1)
    kernel = fields.number("conv_kernel", default=4)
    width = fields.optional("mamba_head_dim") or fields.number("head_dim")
    heads = fields.optional("mamba_num_heads") or fields.number("num_heads")
    inner = heads * width
    channels = inner + 2 * groups * state
    projection = 2 * inner + 2 * groups * state + heads
    bias = fields.flag("mamba_proj_bias", fields.flag("use_bias"))
    conv_bias = channels if fields.flag("use_conv_bias", True) else 0
    pieces = ((heads, 2 * width + 1), (groups, 2 * state))
    return StateMixer(
        kind="mamba2",
        heads=heads,
        inputs=(Linear("in", hidden, projection, projection if bias else 0, "n", pieces),),
        outputs=(Linear("out", inner, hidden, hidden if bias else 0, "k", ((heads, width),)),),
        other_parameters=channels * kernel + conv_bias + 3 * heads + inner,
        state_values=inner * state,
        conv_values=channels * (kernel - 1),
        scan_flops=_MAMBA2_OPS * inner * state + 2 * kernel * channels,
    )


def gated_deltanet(fields: Fields, hidden: int) -> StateMixer:
    """Gated DeltaNet (arXiv 2412.06464) as in Qwen3-Next: state value_heads x key_dim x value_dim."""
    key_heads, key_dim = fields.number("linear_num_key_heads"), fields.number("linear_key_head_dim")
    value_heads, value_dim = fields.number("linear_num_value_heads"), fields.number("linear_value_head_dim")
    kernel = fields.number("linear_conv_kernel_dim", default=4)
    keys, values = key_heads * key_dim, value_heads * value_dim
    channels = 2 * keys + values
    state = value_heads * key_dim * value_dim
    qkvz = ((key_heads, 2 * key_dim), (value_heads, 2 * value_dim))
    return StateMixer(
        kind="gated_deltanet",
        heads=key_heads,
        inputs=(
            Linear("qkvz", hidden, 2 * keys + 2 * values, 0, "n", qkvz),
            Linear("ba", hidden, 2 * value_heads, 0, "n", ((value_heads, 2),), kept_wide=True),
        ),
        outputs=(Linear("out", values, hidden, 0, "k", ((value_heads, value_dim),)),),
        other_parameters=channels * kernel + 2 * value_heads + value_dim,
        state_values=state,
        conv_values=channels * (kernel - 1),
        scan_flops=_DELTA_OPS * state + 2 * kernel * channels,
    )


def kimi_delta(fields: Fields, hidden: int) -> StateMixer:
    """Kimi Delta Attention (arXiv 2510.26692): a delta rule with a decay per channel, from a narrow
    projection."""
    heads, width = fields.number("num_heads"), fields.number("head_dim")
    kernel = fields.number("short_conv_kernel_size", default=4)
    inner = heads * width
    cut = ((heads, width),)
    gate: tuple[Linear, ...]
    if fields.flag("use_full_rank_gate"):
        gate = (Linear("gate", hidden, inner, 0, "n", cut),)
    else:
        gate = (Linear("gate_a", hidden, width), Linear("gate_b", width, inner, 0, "n", cut))
    return StateMixer(
        kind="kda",
        heads=heads,
        inputs=(
            Linear("qkv", hidden, 3 * inner, 0, "n", ((heads, 3 * width),)),
            Linear("decay_a", hidden, width),
            Linear("decay_b", width, inner, 0, "n", cut),
            Linear("beta", hidden, heads, 0, "n", ((heads, 1),), kept_wide=True),
            *gate,
        ),
        outputs=(Linear("out", inner, hidden, 0, "k", cut),),
        other_parameters=3 * inner * kernel + heads + inner + width,
        state_values=heads * width * width,
        conv_values=3 * inner * (kernel - 1),
        scan_flops=_DELTA_OPS * heads * width * width + 2 * kernel * 3 * inner,
    )
