"""Number formats of weights and activations: how many bytes they move and which peak the product runs at."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.errors import UnknownIdError
from suanli.llm.dtypes import GGUF, dtype


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """A format of a matrix product y = x W.

    Attributes:
        name: our name.
        weight_bytes: bytes of one weight, block scales included [byte].
        activation_bytes: bytes of one element of x as the kernel reads it, block scales included [byte].
        output_bytes: bytes of one element of y [byte].
        peaks: chip peaks it can compute at, best first ("bf16", "fp8", ...).
        quantised: whether x is quantised by an operator of its own before the product.
        like: formats whose coefficients stand in where a chip has none of its own, best first.
    """

    name: str
    weight_bytes: float
    activation_bytes: float
    output_bytes: float
    peaks: tuple[str, ...]
    quantised: bool
    like: tuple[str, ...]


_FORMATS = (
    NumberFormat("fp32", 4.0, 4.0, 4.0, ("fp32",), False, ("bf16",)),
    NumberFormat("bf16", 2.0, 2.0, 2.0, ("bf16", "fp16"), False, ()),
    NumberFormat("fp16", 2.0, 2.0, 2.0, ("fp16", "bf16"), False, ("bf16",)),
    NumberFormat("fp8", 1.0, 1.0, 2.0, ("fp8",), True, ("int8", "bf16")),
    NumberFormat("fp8_block", 1.0 + 4.0 / 128**2, 1.0 + 4.0 / 128, 2.0, ("fp8",), True, ("fp8", "bf16")),
    NumberFormat("int8", 1.0, 1.0, 2.0, ("int8",), True, ("fp8", "bf16")),
    NumberFormat(
        "nvfp4", 0.5 + 1.0 / 16, 0.5 + 1.0 / 16, 2.0, ("fp4",), True, ("mxfp4", "fp8_block", "fp8", "bf16")
    ),
    NumberFormat(
        "mxfp4", 0.5 + 1.0 / 32, 0.5 + 1.0 / 32, 2.0, ("fp4",), True, ("nvfp4", "fp8_block", "fp8", "bf16")
    ),
    NumberFormat("w4afp8", 0.5 + 1.0 / 64, 1.0, 2.0, ("fp8",), True, ("fp8_block", "fp8", "bf16")),
    NumberFormat(
        "w4a8_mxfp4",
        0.5 + 1.0 / 32,
        1.0 + 1.0 / 32,
        2.0,
        ("fp8",),
        True,
        ("mxfp4", "nvfp4", "fp8_block", "fp8"),
    ),
    NumberFormat("int4_wo", 0.5 + 2.0 / 128, 2.0, 2.0, ("bf16", "fp16"), False, ("bf16",)),
    NumberFormat("int8_wo", 1.0, 2.0, 2.0, ("bf16", "fp16"), False, ("bf16",)),
    NumberFormat("mxfp4_wo", 0.5 + 1.0 / 32, 2.0, 2.0, ("bf16", "fp16"), False, ("int4_wo", "bf16")),
)
# Weights in the blocks of llama.cpp are widened to the activations' 16 bits in the product.
_BLOCKS = tuple(
    NumberFormat(
        name,
        form.size_bytes,
        2.0,
        2.0,
        ("bf16", "fp16"),
        False,
        ("int8_wo" if form.size_bytes > 0.9 else "int4_wo", "bf16"),
    )
    for name, form in GGUF.items()
)
FORMATS: dict[str, NumberFormat] = {form.name: form for form in (*_FORMATS, *_BLOCKS)}
_ALIASES = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "float32": "fp32",
    "fp8_e4m3": "fp8",
    "fp4": "nvfp4",
    "int4": "int4_wo",
    "w4a16": "int4_wo",
    "w8a16": "int8_wo",
    "w4a16_mxfp4": "mxfp4_wo",
    "w4a8_mxfp4_mxfp8": "w4a8_mxfp4",
    "sq": "int8",
    "w8a8": "int8",
}


def number_format(name: str) -> NumberFormat:
    """Return the format of that name (case ignored; common aliases such as "int4" for weight-only INT4 resolve, and
    every spelling of a storage format).

    Raises:
        UnknownIdError: no such format.
    """
    key = name.strip().lower()
    found = FORMATS.get(_ALIASES.get(key, key))
    if found is None:
        found = _stored(name)
    if found is None:
        raise UnknownIdError("number format", name, FORMATS, aliases=_ALIASES)
    return found


def _stored(name: str) -> NumberFormat | None:
    """The format of products with weights that are stored in a format of `suanli.llm`."""
    try:
        stored = dtype(name).name
    except UnknownIdError:
        return None
    return FORMATS.get("int4_wo" if stored.startswith("int4") else "fp8" if stored == "mxfp8" else stored)
