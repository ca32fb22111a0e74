"""Read a Hugging Face `config.json` into a `Model`, or say in one go why that cannot be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suanli.errors import InputError, NoDataError, close_matches
from suanli.llm.architectures import ARCHITECTURES, Traits
from suanli.llm.fields import Fields
from suanli.llm.layers import Key, layer_groups, layer_keys, layer_number, nemotron_blocks
from suanli.llm.model import LayerGroup, Model, Mtp
from suanli.llm.native import native_dtypes
from suanli.llm.parts import Attention, Linear, StateMixer
from suanli.llm.vision import vision_parameters

_TEXT = ("text_config", "llm_config", "language_config")
_POSITIONS = ("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length", "max_seq_len")


def from_config(config: Mapping[str, Any], place: str = "config.json") -> Model:
    """Read a model from a Hugging Face config, with or without our `_suanli` block.

    Args:
        config: the parsed `config.json`; multimodal ones keep the language model in `text_config`.
        place: what messages call the config.

    Returns:
        The model. Fields that are not understood are listed in `unknown_fields`, never guessed at.

    Raises:
        InputError: the architecture is not supported (named, with the supported ones), or fields are missing,
            malformed or contradict one another (all of them, one line each).
        NoDataError: the shape is published only in part.
    """
    outer = Fields(config, place)
    if outer.own.get("partial"):
        raise NoDataError(f"{outer.own.get('id', place)}: {outer.own['partial']}")
    inner = _text_fields(outer)
    architecture = _architecture(outer, inner)
    traits = ARCHITECTURES[architecture]
    model = _read(outer, inner, traits, architecture)
    if inner.problems:
        raise InputError("\n".join(inner.problems))
    return model


def supported_architectures() -> tuple[str, ...]:
    """Return the `model_type` values that `from_config` reads."""
    return tuple(sorted(ARCHITECTURES))


def _text_fields(outer: Fields) -> Fields:
    for name in _TEXT:
        if isinstance(outer.config.get(name), Mapping):
            return outer.nested(name)
    return outer


def _architecture(outer: Fields, inner: Fields) -> str:
    names = [str(name) for name in (inner.config.get("model_type"), outer.config.get("model_type")) if name]
    for name in names:
        if name in ARCHITECTURES:
            return name
    supported = ", ".join(supported_architectures())
    if not names:
        classes = outer.items("architectures") or []
        found = f" (architectures: {', '.join(map(str, classes))})" if classes else ""
        raise InputError(
            f"{outer.place} model_type: missing{found}; it names the architecture. Supported: {supported}"
        )
    close = close_matches(names[-1], ARCHITECTURES)
    hint = f" Close: {', '.join(close)}." if close else ""
    raise InputError(
        f'{outer.place} model_type: architecture "{names[-1]}" is not supported.{hint} Supported: {supported}'
    )


def _read(outer: Fields, inner: Fields, traits: Traits, architecture: str) -> Model:
    hidden = inner.number("hidden_size", "n_embd", "d_model")
    vocab = inner.number("vocab_size", "padded_vocab_size")
    multiple = inner.number("pad_vocab_size_multiple", default=1)
    vocab = -(-vocab // multiple) * multiple
    tied = inner.flag("tie_word_embeddings", outer.flag("tie_word_embeddings", traits.tied))
    context = inner.optional(*_POSITIONS)
    projected = inner.number("word_embed_proj_dim", default=hidden)
    if projected != hidden:
        inner.problem("word_embed_proj_dim", f"{projected} differs from hidden_size {hidden}: not supported")
    keys = layer_keys(inner, traits, layer_number(inner))
    groups = layer_groups(inner, traits, hidden, keys)
    mtp = _mtp(inner, traits, hidden, keys, groups)
    positions = 0 if traits.positions is None else ((context or 0) + traits.positions) * hidden
    vision = vision_parameters(outer)
    return Model(
        id=str(outer.own.get("id") or outer.config.get("_name_or_path") or architecture),
        architecture=architecture,
        hidden=hidden,
        vocab=vocab,
        tied_embeddings=tied,
        layers=groups,
        embedding_parameters=vocab * hidden,
        position_parameters=positions,
        final_parameters=_final(inner, traits, hidden),
        head=Linear("head", hidden, vocab, vocab if traits.head_bias else 0, "n", ((vocab, 1),)),
        mtp=mtp,
        vision_parameters=vision,
        dtypes=native_dtypes(outer, inner),
        context_length=_context_length(outer) or context,
        unknown_fields=outer.unknown(),
        approximate=_approximate(groups, inner),
    )


def _context_length(outer: Fields) -> int | None:
    given = outer.own.get("context_length")
    return given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else None


def _final(fields: Fields, traits: Traits, hidden: int) -> int:
    norms = 2 if traits.embedding_norm else 1
    return norms * traits.norm_width * hidden + _mixing_out(fields, hidden)


def _mixing_out(fields: Fields, hidden: int) -> int:
    """DeepSeek-V4: weights, base and scale that join the residual streams before the head."""
    streams = fields.number("hc_mult", default=0, minimum=0)
    return streams * streams * hidden + streams + 1 if streams else 0


def _mtp(
    fields: Fields, traits: Traits, hidden: int, keys: list[tuple[Key, Key]], groups: tuple[LayerGroup, ...]
) -> Mtp | None:
    depth = fields.number("num_nextn_predict_layers", "mtp_num_hidden_layers", default=0, minimum=0)
    if not depth or not traits.mtp or not groups:
        return None
    return Mtp(
        depth=depth,
        layers=layer_groups(fields, traits, hidden, _mtp_keys(fields, traits, keys)),
        projection=Linear("mtp_projection", 2 * hidden, hidden, kept_wide=True),
        other_parameters=3 * hidden + _mixing_out(fields, hidden),
    )


def _mtp_keys(fields: Fields, traits: Traits, keys: list[tuple[Key, Key]]) -> list[tuple[Key, Key]]:
    """Mixer and feed-forward part of the MTP module: as the last layer, with full attention where layers
    differ."""
    if traits.mixer == "nemotron":
        return nemotron_blocks(fields, traits, "mtp_layers_block_type", "mtp_hybrid_override_pattern")
    mixer, ffn = keys[-1]
    if traits.mixer == "csa":
        ratios = fields.numbers("compress_ratios") or []
        return [(("csa", ratios[len(keys)] if len(ratios) > len(keys) else 0), ffn)]
    if traits.mtp == "full":
        mixer = ("gated", 0)
    if mixer[0] == "dsa":
        mixer = ("dsa", 1)
    return [(mixer, ffn)]


def _approximate(groups: tuple[LayerGroup, ...], fields: Fields) -> tuple[str, ...]:
    notes = []
    for group in groups:
        if isinstance(group.mixer, StateMixer):
            notes.append(f"{group.mixer.kind}: FLOPs of the recurrent form; chunked kernels do more")
        if isinstance(group.mixer, Attention) and group.mixer.sparse:
            notes.append("sparse attention: selection itself (top-k) is not counted as FLOPs")
    if fields.raw("hc_mult") is not None:
        notes.append("hyper-connections: parameters exact, FLOPs left out (below 1 %)")
    return tuple(dict.fromkeys(notes))
