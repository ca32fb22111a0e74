"""Number formats that weights and caches are stored in: bytes of one value, block scales included."""

from __future__ import annotations

from dataclasses import dataclass, replace

from suanli.errors import UnknownIdError


@dataclass(frozen=True, slots=True)
class Dtype:
    """A storage format.

    Attributes:
        name: our name.
        value_bytes: bytes of the value itself [byte].
        scale_bytes: bytes of the scales that go with it, spread over the values of a block [byte].
        reference: what defines the format.
    """

    name: str
    value_bytes: float
    scale_bytes: float
    reference: str

    @property
    def size_bytes(self) -> float:
        """Bytes of one stored value with its share of the scales [byte]."""
        return self.value_bytes + self.scale_bytes


_OCP = "OCP Microscaling Formats (MX) v1.0: blocks of 32 values share one E8M0 byte"
_TABLE = (
    Dtype("fp32", 4.0, 0.0, "IEEE 754 binary32"),
    Dtype("bf16", 2.0, 0.0, "bfloat16"),
    Dtype("fp16", 2.0, 0.0, "IEEE 754 binary16"),
    Dtype(
        "fp8",
        1.0,
        0.0,
        "arXiv 2209.05433, E4M3/E5M2; scales per tensor or channel are below 0.1 % and left out",
    ),
    Dtype(
        "fp8_block",
        1.0,
        4.0 / 128**2,
        "arXiv 2412.19437 section 3.3: blocks of 128 x 128 weights share an FP32",
    ),
    Dtype("mxfp8", 1.0, 1.0 / 32, _OCP),
    Dtype("int8", 1.0, 0.0, "two's complement; scales per channel are below 0.1 % and left out"),
    Dtype("nvfp4", 0.5, 1.0 / 16, "NVIDIA NVFP4: E2M1, blocks of 16 values share one E4M3 byte"),
    Dtype("mxfp4", 0.5, 1.0 / 32, _OCP),
    Dtype(
        "int4", 0.5, 2.0 / 128, "groups of 128 values share one FP16 scale (arXiv 2306.00978); no zero points"
    ),
    Dtype("int4_g64", 0.5, 2.0 / 64, "as int4, groups of 64"),
    Dtype("int4_g32", 0.5, 2.0 / 32, "as int4, groups of 32"),
)
DTYPES: dict[str, Dtype] = {row.name: row for row in _TABLE}
_ALIASES = {
    "float32": "fp32",
    "float": "fp32",
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "float8_e4m3fn": "fp8",
    "w8a8": "int8",
    "int8_wo": "int8",
    "fp4": "nvfp4",
    "mxfp4_wo": "mxfp4",
    "int4_wo": "int4",
    "w4a16": "int4",
    "awq": "int4",
    "gptq": "int4",
}
# Formats that quantise matrix products only: checkpoints keep embeddings, head and norms in 16 bits beside
# them.
_WHOLE = ("fp32", "bf16", "fp16")


def dtype(name: str) -> Dtype:
    """Return the format of that name (case and "-" ignored; common aliases such as "w4a16" resolve).

    Raises:
        UnknownIdError: no such format.
    """
    key = name.strip().lower().replace("-", "_").removeprefix("torch.")
    found = DTYPES.get(_ALIASES.get(key, key))
    if found is None:
        raise UnknownIdError("dtype", name, [*DTYPES, *_ALIASES])
    return found


@dataclass(frozen=True, slots=True)
class WeightDtypes:
    """The formats of the parts of a checkpoint.

    Attributes:
        experts: routed experts.
        attention: products of attention and state layers.
        ffn: products of dense FFNs, shared experts and narrower expert spaces.
        embedding: token embedding and output head.
        other: norms, routers, convolutions, biases of the state layers, MTP projection.
    """

    experts: Dtype
    attention: Dtype
    ffn: Dtype
    embedding: Dtype
    other: Dtype

    @classmethod
    def uniform(cls, name: str) -> WeightDtypes:
        """Every parameter in one format: what "671 B at 8 bit" means in a rule of thumb."""
        form = dtype(name)
        return cls(form, form, form, form, form)

    @classmethod
    def checkpoint(cls, name: str, rest: str = "bf16") -> WeightDtypes:
        """A checkpoint quantised to `name`: matrix products in it, embedding, head, norms and routers in
        `rest`."""
        form = dtype(name)
        if form.name in _WHOLE:
            return cls.uniform(name)
        return replace(cls.uniform(rest), experts=form, attention=form, ffn=form)

    @property
    def shown(self) -> str:
        """The formats in words: "fp8_block", or "mxfp4 experts, bf16 rest"."""
        if self.experts == self.attention == self.ffn:
            return self.ffn.name
        if self.attention == self.ffn:
            return f"{self.experts.name} experts, {self.ffn.name} rest"
        return f"{self.experts.name} experts, {self.ffn.name} FFN, {self.attention.name} attention"


def resolve(dtypes: WeightDtypes | str) -> WeightDtypes:
    """Return `dtypes` itself, or for a name the checkpoint quantised to it (`WeightDtypes.checkpoint`)."""
    return WeightDtypes.checkpoint(dtypes) if isinstance(dtypes, str) else dtypes
