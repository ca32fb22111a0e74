"""A chip from its datasheet: which peak a format runs at, and the roofline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InfeasibleError, UnknownIdError
from suanli.hardware import Chip, roofline_s

laws = settings(deadline=None, max_examples=100)
POSITIVE = st.floats(1e-3, 1e18)
SHARE = st.floats(0.05, 1.0)

# NVIDIA H100 SXM data sheet, dense: 989 TFLOPS BF16, 1,979 FP8, 1,979 TOPS INT8; 80 GB at 3.35 TB/s.
H100 = Chip(
    id="nvidia-h100-sxm",
    peak_flop_per_s={"bf16": 989e12, "fp8": 1979e12, "int8": 1979e12},
    memory_bytes=80e9,
    bandwidth_bytes_per_s=3.35e12,
    scale_up_bytes_per_s=450e9,
    scale_out_bytes_per_s=50e9,
    scale_up_domain=8,
    tdp_w=700.0,
)


def test_formats_run_at_the_peak_of_their_products() -> None:
    assert H100.compute_dtype("bf16") == "bf16"
    assert H100.compute_dtype("fp8_block") == "fp8"
    assert H100.compute_dtype("int4_wo") == "bf16", "weights of 4 bit are widened before the product"
    assert H100.peak("fp8") == 1979e12


def test_a_format_that_the_chip_lacks_is_infeasible_and_not_slow() -> None:
    assert H100.compute_dtype("nvfp4") is None
    with pytest.raises(
        InfeasibleError, match="nvidia-h100-sxm cannot compute in nvfp4; its peaks: bf16, fp8, int8"
    ):
        H100.peak("nvfp4")
    with pytest.raises(UnknownIdError):
        H100.peak("fp7")


def test_the_ridge_of_the_h100() -> None:
    """Below 989e12/3.35e12 = 295 FLOP a byte the memory binds, above it the matrix units."""
    ridge = 989e12 / 3.35e12
    moved = 1e9
    for factor, bound in ((0.5, moved / 3.35e12), (2.0, 2.0 * ridge * moved / 989e12)):
        assert roofline_s(factor * ridge * moved, moved, 989e12, 3.35e12) == pytest.approx(bound)


@laws
@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, SHARE, SHARE)
def test_time_is_the_larger_of_its_two_bounds(
    flops: float, moved: float, peak: float, bandwidth: float, compute: float, memory: float
) -> None:
    time = float(roofline_s(flops, moved, peak, bandwidth, compute, memory))
    bounds = (flops / (peak * compute), moved / (bandwidth * memory))
    assert time == pytest.approx(max(bounds), rel=1e-12)
    assert time >= float(roofline_s(flops, moved, peak, bandwidth)) * (1 - 1e-12), (
        "no efficiency beats the datasheet"
    )


@laws
@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, st.floats(1.0, 100.0))
def test_more_chip_is_never_slower_and_more_work_never_faster(
    flops: float, moved: float, peak: float, bandwidth: float, factor: float
) -> None:
    time = roofline_s(flops, moved, peak, bandwidth)
    assert roofline_s(flops, moved, peak * factor, bandwidth) <= time
    assert roofline_s(flops, moved, peak, bandwidth * factor) <= time
    assert roofline_s(flops * factor, moved, peak, bandwidth) >= time
    assert roofline_s(flops, moved * factor, peak, bandwidth) >= time
    assert roofline_s(flops * factor, moved * factor, peak, bandwidth) == pytest.approx(float(time) * factor)


def test_arrays_broadcast() -> None:
    assert roofline_s(np.ones((4, 1)), np.ones(3), 1.0, 1.0).shape == (4, 3)
