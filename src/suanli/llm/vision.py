"""Parameters of a vision tower, where a config describes it fully (Llama 4)."""

from __future__ import annotations

from suanli.llm.fields import Fields

_LLAMA4 = ("llama4",)


def vision_parameters(outer: Fields) -> int:
    """Count vision tower, adapter and projector of a Llama 4 config; 0 for all others [1].

    ViT with biases, class token and learned positions; two-layer adapter after pixel shuffle; projector to
    the text width.
    """
    if outer.config.get("model_type") not in _LLAMA4 or "vision_config" not in outer.config:
        return 0
    vision = outer.nested("vision_config")
    text = outer.nested("text_config")
    width, inner = vision.number("hidden_size"), vision.number("intermediate_size")
    vision.number("num_attention_heads", default=1)  # heads do not change the count
    patch = vision.number("patch_size")
    patches = (vision.number("image_size") // patch) ** 2 + 1
    embedding = vision.number("num_channels", default=3) * patch * patch * width + width + patches * width
    layer = 4 * (width * width + width) + 2 * width * inner + inner + width + 4 * width
    norms = 4 * width
    adapter_in, adapter_out = vision.number("projector_input_dim"), vision.number("projector_output_dim")
    adapter = inner * adapter_in + adapter_in * adapter_out
    projector = vision.number("vision_output_dim") * text.number("hidden_size")
    return embedding + vision.number("num_hidden_layers") * layer + norms + adapter + projector
