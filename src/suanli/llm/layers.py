"""Which layer of a config has which mixer and which feed-forward part, gathered into groups of identical
layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from suanli.llm import feedforward, mixers, states
from suanli.llm.architectures import Traits
from suanli.llm.fields import Fields
from suanli.llm.model import LayerGroup
from suanli.llm.parts import Attention, FeedForward, Indexer, Linear, StateMixer
from suanli.llm.spans import FULL, Span

# A mixer or feed-forward part by name with one number (window, ratio, width ...), so that equal layers
# compare equal.
Key = tuple[str, int]
NONE: Key = ("none", 0)
_MOST_LAYERS = 100_000


def layer_number(fields: Fields) -> int:
    """Layers of the main model [1]."""
    blocks = _listed(fields, "layers_block_type", "hybrid_override_pattern")
    layers = fields.number(
        "num_hidden_layers", "n_layer", "num_layers", default=len(blocks) if blocks else None
    )
    if layers > _MOST_LAYERS:
        fields.problem("num_hidden_layers", f"{layers} layers are beyond any model")
        return 1
    return layers


def layer_groups(
    fields: Fields, traits: Traits, hidden: int, keys: list[tuple[Key, Key]]
) -> tuple[LayerGroup, ...]:
    """Build one group for each distinct pair of keys, in order of first appearance."""
    return tuple(
        LayerGroup(
            count,
            _mixer(fields, traits, hidden, mixer),
            _ffn(fields, traits, hidden, ffn),
            _norm_parameters(fields, traits, hidden, single=NONE in (mixer, ffn)),
        )
        for (mixer, ffn), count in Counter(keys).items()
    )


def _norm_parameters(fields: Fields, traits: Traits, hidden: int, single: bool) -> int:
    """Norms and residual mixing of one layer [1]; `single`: it has only a mixer or only a feed-forward
    part."""
    norms = 1 if single else traits.norms
    if fields.config.get("model_type") == "falcon" and not fields.flag("new_decoder_architecture"):
        norms = 1 if fields.flag("parallel_attn", True) else 2
    total = norms * traits.norm_width * hidden
    streams = fields.number("hc_mult", default=0, minimum=0)
    if streams:  # DeepSeek-V4: two mixings of the residual streams, each with weights, base and three scales
        mixed = (2 + streams) * streams
        total += 2 * (mixed * streams * hidden + mixed + 3)
    if fields.raw("attn_res_block_size") is not None:
        # Kimi-K3: query and norm of the attention over earlier blocks' outputs, before each of the two parts.
        total += 4 * hidden
    return total


def layer_keys(fields: Fields, traits: Traits, layers: int) -> list[tuple[Key, Key]]:
    """Return (mixer, feed-forward) keys, one pair a layer."""
    if traits.mixer == "nemotron":
        return _nemotron_keys(fields, traits)
    if traits.mixer == "nas":
        return _nas_keys(fields, layers)
    if traits.mixer == "mamba2":
        return [(("mamba2", 0), NONE)] * layers
    moe = feedforward.expert_layers(fields, layers)
    hashed = fields.number("num_hash_layers", default=0, minimum=0)
    ffns: list[Key] = [
        ("moe", int(traits.routing_bias and layer >= hashed)) if routed else ("dense", 0)
        for layer, routed in enumerate(moe)
    ]
    return list(zip(_mixer_keys(fields, traits, layers), ffns, strict=True))


def _mixer_keys(fields: Fields, traits: Traits, layers: int) -> list[Key]:
    if traits.mixer == "mla":
        return _latent_keys(fields, layers)
    if traits.mixer == "mfa":
        return [("mfa", 0)] * layers
    if traits.mixer == "csa":
        fields.per_layer("compress_ratios", layers)
        ratios = (fields.numbers("compress_ratios") or []) + [0] * layers
        return [("csa", ratio) for ratio in ratios[:layers]]
    if traits.mixer == "kimi_linear":
        full = fields.nested("linear_attn_config").numbers("full_attn_layers") or []
        return [("mla", 0) if layer + 1 in full else ("kda", 0) for layer in range(layers)]
    if traits.mixer == "qwen_hybrid" and fields.raw("layer_types") is None:
        every = fields.number("full_attention_interval", default=4)
        return [("gated", 0) if (layer + 1) % every == 0 else ("gdn", 0) for layer in range(layers)]
    return _grouped_keys(fields, traits, layers)


def _latent_keys(fields: Fields, layers: int) -> list[Key]:
    if fields.raw("index_topk") is None:
        return [("mla", 0)] * layers
    kinds = fields.per_layer("indexer_types", layers) or ["full"] * layers
    return [("dsa", int(kind == "full")) for kind in kinds[:layers]]


def _grouped_keys(fields: Fields, traits: Traits, layers: int) -> list[Key]:
    """Keys of attention with key-value heads, by the rule that the config uses."""
    window = fields.optional("sliding_window") or 0
    types = fields.per_layer("layer_types", layers)
    pattern = fields.per_layer("hybrid_layer_pattern", layers)
    sparse = fields.nested("sparse_attention_config").per_layer("sparse_attention_freq", layers)
    full: Key = ("gated", 0) if traits.mixer == "qwen_hybrid" else ("full", 0)
    if types is not None:
        names: dict[str, Key] = {
            "full_attention": full,
            "sliding_attention": ("window", window),
            "chunked_attention": ("chunk", fields.number("attention_chunk_size", default=8192)),
            "linear_attention": ("gdn", 0),
        }
        return [_named(fields, names, kind) for kind in types[:layers]]
    if pattern is not None:
        return [("swa", window) if kind else full for kind in pattern[:layers]]
    if sparse is not None:
        return [("blocks", 0) if kind else full for kind in sparse[:layers]]
    chunk = fields.optional("attention_chunk_size")
    if chunk:
        rotary = fields.per_layer("no_rope_layers", layers) or [(layer + 1) % 4 for layer in range(layers)]
        return [("chunk", chunk) if kind else full for kind in rotary[:layers]]
    if fields.flag("use_cla"):
        share = fields.number("cla_share_factor", default=2)
        return [("reuse", 0) if layer % share else full for layer in range(layers)]
    return [
        ("window", window) if windowed else full for windowed in _windowed(fields, traits, layers, window)
    ]


def _named(fields: Fields, names: dict[str, Key], kind: object) -> Key:
    if not isinstance(kind, str) or kind not in names:
        fields.problem("layer_types", f"no such layer type {kind!r}; known: {', '.join(names)}")
        return NONE
    return names[kind]


def _windowed(fields: Fields, traits: Traits, layers: int, window: int) -> list[bool]:
    if not window:
        return [False] * layers
    if traits.windows == "alternate":
        return [layer % 2 == 0 for layer in range(layers)]
    if traits.windows == "sixth":
        every = fields.number("sliding_window_pattern", default=6)
        return [(layer + 1) % every != 0 for layer in range(layers)]
    if traits.windows == "switched":
        if not fields.flag("use_sliding_window"):
            return [False] * layers
        first = fields.number("max_window_layers", default=0, minimum=0)
        return [layer >= first for layer in range(layers)]
    return [True] * layers


def _nemotron_keys(fields: Fields, traits: Traits) -> list[tuple[Key, Key]]:
    return nemotron_blocks(fields, traits, "layers_block_type", "hybrid_override_pattern")


def nemotron_blocks(fields: Fields, traits: Traits, names: str, letters: str) -> list[tuple[Key, Key]]:
    """Keys of Nemotron-H blocks, each a mixer or a feed-forward part, from a list of names or a string of
    letters."""
    blocks: dict[str, tuple[Key, Key]] = {
        "mamba": (("mamba2", 0), NONE),
        "attention": (("full", 0), NONE),
        "moe": (NONE, ("moe", int(traits.routing_bias))),
        "mlp": (NONE, ("dense", 0)),
    }
    blocks |= {"M": blocks["mamba"], "*": blocks["attention"], "E": blocks["moe"], "-": blocks["mlp"]}
    listed = _listed(fields, names, letters)
    if not listed:
        fields.problem(letters, "missing; it says which layer is Mamba, attention or FFN")
        return []
    wrong = sorted({kind for kind in listed if kind not in blocks})
    if wrong:
        fields.problem(letters, f"no such block {', '.join(wrong)}; known: {' '.join(blocks)}")
    return [blocks[kind] for kind in listed if kind in blocks]


def _listed(fields: Fields, names: str, letters: str) -> list[str]:
    """Block kinds from a list of names, or letter by letter from a string."""
    pattern = fields.raw(letters)
    if fields.raw(names) is None and isinstance(pattern, str):
        return list(pattern)
    return [str(kind) for kind in fields.items(names) or fields.items(letters) or ()]


def _nas_keys(fields: Fields, layers: int) -> list[tuple[Key, Key]]:
    """Keys of NVIDIA's pruned Llamas: each layer has its own key-value heads and FFN width, or none."""
    hidden, heads = fields.number("hidden_size"), fields.number("num_attention_heads")
    keys: list[tuple[Key, Key]] = []
    for number, config in enumerate((fields.per_layer("block_configs", layers) or [])[:layers]):
        block = Fields(
            config if isinstance(config, Mapping) else {}, f"block_configs[{number}]", fields.problems
        )
        attention, ffn = block.nested("attention"), block.nested("ffn")
        group = None if attention.flag("no_op") else attention.optional("n_heads_in_group")
        mixer: Key = ("heads", max(heads // group, 1)) if group else NONE
        multiple = 0.0 if ffn.flag("no_op") else ffn.positive("ffn_mult")
        width = -(-int(2 * multiple * hidden / 3) // 256) * 256
        keys.append((mixer, ("dense", width) if width else NONE))
    if not keys:
        fields.problem("block_configs", "missing; it gives heads and width of each layer")
    return keys


def _ffn(fields: Fields, traits: Traits, hidden: int, key: Key) -> FeedForward | None:
    kind, number = key
    if kind == "moe":
        return feedforward.mixture(fields, traits, hidden, steered=bool(number))
    if kind == "dense":
        return feedforward.dense(fields, traits, hidden, number or None)
    return None


def _mixer(fields: Fields, traits: Traits, hidden: int, key: Key) -> Attention | StateMixer | None:
    kind, number = key
    if kind == "none":
        return None
    builder = _BUILDERS.get(kind)
    return builder(fields, hidden, number) if builder else _grouped(fields, traits, hidden, key)


_BUILDERS: dict[str, Callable[[Fields, int, int], Attention | StateMixer]] = {
    "mla": lambda fields, hidden, _: mixers.latent_attention(fields, hidden),
    "dsa": lambda fields, hidden, indexed: mixers.latent_attention(
        fields, hidden, indexed=bool(indexed), selects=True
    ),
    "mfa": lambda fields, hidden, _: mixers.factorised_attention(fields, hidden),
    "csa": mixers.compressed_attention,
    "mamba2": lambda fields, hidden, _: states.mamba2(fields, hidden),
    "gdn": lambda fields, hidden, _: states.gated_deltanet(fields, hidden),
    "kda": lambda fields, hidden, _: states.kimi_delta(fields.nested("linear_attn_config"), hidden),
}


def _grouped(fields: Fields, traits: Traits, hidden: int, key: Key) -> Attention:
    kind, number = key
    shape = _heads(fields, kind, number)
    if kind == "blocks":
        span, indexer = _block_selection(fields, hidden)
        return mixers.grouped_attention(fields, traits, hidden, shape, span, indexer=indexer)
    span = FULL
    if kind in ("window", "swa"):
        span = Span("window", number)
    elif kind == "chunk":
        span = Span("chunk", number)
    return mixers.grouped_attention(
        fields,
        traits,
        hidden,
        shape,
        span,
        gate=kind == "gated",
        reuse=kind == "reuse",
        sinks=traits.sinks == "all" or (traits.sinks == "swa" and kind == "swa"),
    )


def _heads(fields: Fields, kind: str, number: int) -> tuple[int, int, int, int]:
    """Query heads, key-value heads, query/key width, value width of a kind of layer [1]."""
    if kind == "swa":
        names = ("num_attention_heads", "num_key_value_heads", "head_dim", "v_head_dim")
        heads, kv_heads, qk_dim, v_dim = (fields.number(f"swa_{name}", name) for name in names)
        return heads, kv_heads, qk_dim, v_dim
    if kind == "heads":
        heads = fields.number("num_attention_heads")
        width = fields.number("head_dim", default=max(fields.number("hidden_size") // heads, 1))
        return heads, number, width, width
    heads, kv_heads, width = mixers.heads_of(fields)
    if fields.flag("multi_query") and not fields.flag("new_decoder_architecture"):
        kv_heads = 1  # Falcon-7B
    return heads, kv_heads, width, fields.number("v_head_dim", default=width)


def _block_selection(fields: Fields, hidden: int) -> tuple[Span, Indexer]:
    """MiniMax-M3: index heads score blocks of positions; attention reads the best blocks."""
    config = fields.nested("sparse_attention_config")
    block = config.number("sparse_block_size")
    heads, dim = config.number("sparse_num_index_heads"), config.number("sparse_index_dim")
    inputs = (Linear("index_q", hidden, heads * dim), Linear("index_k", hidden, dim))
    return Span("select", block * config.number("sparse_topk_blocks")), Indexer(
        heads, dim, FULL, inputs, 2 * dim
    )
