"""Files of llama.cpp: bits of a weight as published, sizes of whole files, spellings of formats."""

from __future__ import annotations

import pytest
from llm_shapes import shipped

from suanli.errors import UnknownIdError
from suanli.hardware.formats import number_format
from suanli.llm import WeightDtypes, dtype, weight_bytes
from suanli.llm.dtypes import DTYPES, GGUF

GIB = 2.0**30


# llama.cpp tools/quantize/README.md: bits/weight and size of Llama-3.1-8B.
@pytest.mark.parametrize(
    ("name", "bits", "size_gib"),
    [
        ("q2_k", 3.1593, 2.95),
        ("q3_k_l", 4.2979, 4.02),
        ("q4_k_s", 4.6672, 4.36),
        ("q4_k_m", 4.8944, 4.58),
        ("q5_k_m", 5.7036, 5.33),
        ("q6_k", 6.5633, 6.14),
        ("q8_0", 8.5008, 7.95),
        ("iq4_xs", 4.4597, 4.17),
    ],
)
def test_a_file_is_as_large_as_published(name: str, bits: float, size_gib: float) -> None:
    assert 8.0 * dtype(name).size_bytes == pytest.approx(bits, rel=2e-4)
    held = weight_bytes(shipped("llama-3.1-8b"), WeightDtypes.checkpoint(name)).total
    assert held / GIB == pytest.approx(size_gib, rel=0.01)


# The same page: Q4_K_M of the larger models [GB].
@pytest.mark.parametrize(("name", "size_gb"), [("llama-3.1-70b", 43.1), ("llama-3.1-405b", 249.1)])
def test_the_mean_of_one_model_carries_to_larger_ones(name: str, size_gb: float) -> None:
    held = weight_bytes(shipped(name), WeightDtypes.checkpoint("q4_k_m")).total
    assert held / 1e9 == pytest.approx(size_gb, rel=0.02)


@pytest.mark.parametrize(
    ("spelling", "ours"),
    [
        ("Q4_K_M", "q4_k_m"), ("q4-k-m", "q4_k_m"), ("Q4_0", "q4_0"), ("q8", "q8_0"), ("Q6_K", "q6_k"),
        ("W4A16", "int4"), ("awq", "int4"), ("GPTQ-Int4", "int4"), ("nf4", "int4"), ("4-bit", "int4"),
        ("w8a8", "int8"), ("SmoothQuant", "int8"), ("w8a16", "int8_wo"), ("GPTQ-Int8", "int8_wo"),
        ("FP8_E4M3", "fp8"), ("float8_e4m3fn", "fp8"), ("fp8 block", "fp8_block"), ("MXFP4", "mxfp4"),
        ("mxfp8", "mxfp8"), ("nvfp4", "nvfp4"), ("fp4", "nvfp4"), ("torch.bfloat16", "bf16"), ("half", "fp16"),
        ("w4afp8", "w4afp8"),
    ],
)  # fmt: skip
def test_spellings(spelling: str, ours: str) -> None:
    assert dtype(spelling).name == ours
    assert number_format(spelling).weight_bytes == pytest.approx(dtype(ours).size_bytes, rel=0.04)


@pytest.mark.parametrize("name", [*GGUF, "int4", "int8_wo"])
def test_weights_alone_are_narrow(name: str) -> None:
    """A weight-only format computes at the peak of its 16-bit activations."""
    form = number_format(name)
    assert form.peaks == ("bf16", "fp16") and form.activation_bytes == 2.0 and not form.quantised


@pytest.mark.parametrize("name", DTYPES)
def test_every_stored_format_has_a_product(name: str) -> None:
    assert number_format(name).weight_bytes == pytest.approx(dtype(name).size_bytes, rel=0.1)


def test_an_unknown_format_brings_the_close_ones() -> None:
    with pytest.raises(UnknownIdError, match=r'No dtype "nvpf4". Close: nvfp4'):
        dtype("nvpf4")
