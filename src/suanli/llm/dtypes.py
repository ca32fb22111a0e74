"""Number formats that weights and caches are stored in: bytes of one value, block scales included."""

from __future__ import annotations

import re
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
    Dtype("int8_wo", 1.0, 0.0, "as int8, activations stay in 16 bits (W8A16)"),
    Dtype("nvfp4", 0.5, 1.0 / 16, "NVIDIA NVFP4: E2M1, blocks of 16 values share one E4M3 byte"),
    Dtype("mxfp4", 0.5, 1.0 / 32, _OCP),
    Dtype(
        "int4", 0.5, 2.0 / 128, "groups of 128 values share one FP16 scale (arXiv 2306.00978); no zero points"
    ),
    Dtype("int4_g64", 0.5, 2.0 / 64, "as int4, groups of 64"),
    Dtype("int4_g32", 0.5, 2.0 / 32, "as int4, groups of 32"),
    Dtype("w4afp8", 0.5, 2.0 / 128, "as int4, activations in FP8 (W4A8)"),
)
# Mean bits of a weight in the files of llama.cpp, embedding and head included: blocks of one kind by their layout
# (4-bit q4_0: 32 values in 18 bytes), mixtures as measured on Llama-3.1-8B (q3_k_m: Llama-2-7B).
_GGUF_SOURCE = "llama.cpp tools/quantize/README.md (q3_k_m: its edition of 2023) and block layouts of ggml"
_GGUF_BITS = {
    "iq1_s": 2.0042,
    "iq1_m": 2.1460,
    "iq2_xxs": 2.3824,
    "iq2_xs": 2.5882,
    "iq2_s": 2.7403,
    "iq2_m": 2.9294,
    "iq3_xxs": 3.2548,
    "iq3_xs": 3.4977,
    "iq3_s": 3.6606,
    "iq3_m": 3.7628,
    "iq4_xs": 4.4597,
    "iq4_nl": 4.6818,
    "q2_k_s": 2.9697,
    "q2_k": 3.1593,
    "q3_k_s": 3.6429,
    "q3_k_m": 3.91,
    "q3_k_l": 4.2979,
    "q4_0": 4.5,
    "q4_1": 5.0,
    "q4_k_s": 4.6672,
    "q4_k_m": 4.8944,
    "q5_0": 5.5,
    "q5_1": 6.0,
    "q5_k_s": 5.5704,
    "q5_k_m": 5.7036,
    "q6_k": 6.5633,
    "q8_0": 8.5,
}
GGUF: dict[str, Dtype] = {
    name: Dtype(
        name, int(name.lstrip("iq")[0]) / 8.0, bits / 8.0 - int(name.lstrip("iq")[0]) / 8.0, _GGUF_SOURCE
    )
    for name, bits in _GGUF_BITS.items()
}
DTYPES: dict[str, Dtype] = {row.name: row for row in _TABLE} | GGUF
# Other spellings, as engines' flags, checkpoint names and tables write them; "-", "." and " " count as "_".
_SPELLINGS = {
    "fp32": "float32 float f32",
    "bf16": "bfloat16 16bit 16_bit w16a16",
    "fp16": "float16 half f16",
    "fp8": "fp8_e4m3 fp8_e5m2 float8_e4m3fn fp8_e4m3fn fp8_e4m3fnuz float8 f8 e4m3 e5m2 fp8_dynamic fp8_static fp8_kv "
    "fp8_w8a8 w8a8_fp8 fp8_ptpc ptpc_fp8 fp8_tensor fp8_tensorwise fp8_per_tensor fp8_per_channel fp8_torchao "
    "modelopt_fp8 fp8_dense",
    "fp8_block": "block_fp8 fp8_blockwise fp8_block_scaled fp8_blockscale w8a8_block_fp8 fp8_128x128 fp8_b128",
    "mxfp8": "mx_fp8 ocp_mxfp8",
    "int8": "w8a8 w8a8_int8 int8_w8a8 i8 sq smoothquant quantized_w8a8 int8_dynamic",
    "int8_wo": "w8a16 int8_w8a16 int8_weight_only weight_only_int8 gptq_int8 8bit 8_bit bnb_8bit mlx_8bit awq_int8 "
    "fp8_wo fp8_w8a16 w8a16_fp8 quantized_w8a16",
    "nvfp4": "fp4 nv_fp4 fp4_e2m1 e2m1 w4a4 w4a4_nvfp4 nvfp4_awq modelopt_fp4 fp4_nvfp4 nvfp4_w4a4 nvfp4a16",
    "mxfp4": "mxfp4_wo mx_fp4 ocp_mxfp4 w4a4_mxfp4 w4a16_mxfp4 w4a8_mxfp4 w4a8_mxfp4_mxfp8 w4a8_mxfp4_fp8 mxfp4_moe "
    "w_mxfp4_a_fp8 w_mxfp4_a_mxfp4",
    "int4": "int4_wo w4a16 awq gptq uint4 u4 i4 4bit 4_bit awq_int4 int4_awq gptq_int4 int4_gptq awq_4bit gptq_4bit "
    "awq_marlin gptq_marlin marlin w4a16_awq w4a16_gptq w4a16_g128 int4_g128 int4_w4a16 w4a16_int4 nf4 bnb bnb_4bit "
    "bitsandbytes mlx_4bit hqq hqq_4bit autoround auto_round int4_autoround quantized_w4a16 int4_weight_only "
    "weight_only_int4 4bit_awq 4bit_gptq dwq exl2 exl3",
    "w4afp8": "w4a8 w4a8_awq w4a8_fp8 w4fp8 w4a8fp8",
    "q2_k": "q2 q2_k_m q2_k_l q2_k_xl",
    "q3_k_m": "q3 q3_k q3_k_xl 3bit",
    "q4_0": "q4 q4_0_4_4 q4_0_4_8 q4_0_8_8",
    "q4_k_m": "q4_k q4km q4_k_xl q4_k_l gguf_q4_k_m",
    "q4_k_s": "q4ks",
    "q5_k_m": "q5 q5_k q5km q5_k_xl q5_k_l 5bit",
    "q6_k": "q6 q6k q6_k_xl q6_k_l 6bit",
    "q8_0": "q8 q80 q8_k_xl q8_k",
}
_ALIASES = {spelling: name for name, words in _SPELLINGS.items() for spelling in words.split()}
# Formats that quantise matrix products only: checkpoints keep embeddings, head and norms in 16 bits beside
# them.
_WHOLE = ("fp32", "bf16", "fp16")


def dtype(name: str) -> Dtype:
    """Return the format of that name (case and separators ignored; other spellings such as "w4a16" resolve).

    Raises:
        UnknownIdError: no such format.
    """
    key = name.strip().lower().removeprefix("torch.").replace("-", "_").replace(" ", "_").replace(".", "_")
    found = DTYPES.get(_ALIASES.get(key, key))
    if found is None:
        raise UnknownIdError(
            "dtype", name, [row.name for row in _TABLE], aliases={**_ALIASES, **{one: one for one in GGUF}}
        )
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
        `rest`; files of llama.cpp hold embedding and head in it too."""
        form = dtype(name)
        if form.name in _WHOLE:
            return cls.uniform(name)
        found = replace(cls.uniform(rest), experts=form, attention=form, ffn=form)
        return replace(found, embedding=form) if form.name in GGUF else found

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


# What tables write where they do not state a format.
_UNSTATED = re.compile(
    r"[-?*]*|auto|default|native|none|null|nan|n/?a|unknown|unspecified|mixed|original|checkpoint|as published|not .*"
)


def stated(label: str) -> bool:
    """Whether a label of a format says anything: not "", "auto", "not stated" and the like."""
    return _UNSTATED.fullmatch(label.strip().lower()) is None
