"""Which coefficient set an operator gets: own chip, family, generic prior; format, framework and kernel stand-ins."""

from __future__ import annotations

from dataclasses import fields

import pytest

from suanli.catalog.calibration import CALIBRATION_COLUMNS, calibration_records
from suanli.errors import InputError, NoDataError
from suanli.hardware.coefficients import CoefficientRow, CoefficientTable
from suanli.hardware.gemm import GemmCoefficients, gemm_time_s
from suanli.study.calibrate.chips import operator_chip
from suanli.study.calibrate.rows import KINDS


def row(chip, family, dtype, framework, kernel, value, p90=0.2):
    return CoefficientRow(
        "gemm", chip, family, dtype, framework, kernel, "compute_efficiency", value, None, 10, 10, 0.05, p90, "t", "t"
    )  # fmt: skip


ROWS = [
    row("a", "f", "bf16", "vllm", "main", 0.1),
    row("a", "f", "bf16", "vllm", "side", 0.11),
    row("a", "f", "bf16", "*", "*", 0.2),
    row("a", "f", "fp8", "sglang", "*", 0.3),
    row("*", "f", "bf16", "*", "*", 0.4, 0.5),
    row("*", "f", "fp8", "vllm", "*", 0.5),
    row("*", "*", "bf16", "*", "*", 0.6, 1.5),
]


def value(*key):
    return CoefficientTable(ROWS).coefficients("gemm", *key).values["compute_efficiency"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (("a", "f", "bf16", "vllm", "side"), 0.11),  # exact
        (("a", "f", "bf16", "vllm"), 0.1),  # the framework's main kernel comes first
        (("a", "f", "bf16", "vllm", "absent"), 0.1),
        (("a", "f", "bf16", "sglang"), 0.2),  # all frameworks pooled
        (("a", "f", "bf16"), 0.2),
        (("a", "f", "fp16", "vllm"), 0.1),  # BF16 stands in for FP16
        (("a", "f", "fp8", "trtllm"), 0.3),  # the only framework there is
        (("a", "f", "fp8_block", "sglang"), 0.3),  # FP8 stands in for FP8 block
        (("b", "f", "bf16", "vllm"), 0.4),  # family
        (("b", "f", "fp8", "sglang"), 0.5),
        (("b", "g", "bf16"), 0.6),  # generic
        (("b", "g", "nvfp4"), 0.6),
    ],
)
def test_closest_set(key, expected):
    assert value(*key) == expected


def test_basis_and_band_widen_with_distance():
    table = CoefficientTable(ROWS)
    sets = [table.coefficients("gemm", *place, "bf16") for place in (("a", "f"), ("b", "f"), ("b", "g"))]
    assert [found.basis for found in sets] == ["calibrated", "family", "datasheet"]
    assert [found.band for found in sets] == [1.2, 1.5, 2.5]
    assert sets[0].into(GemmCoefficients).compute_efficiency == 0.2
    assert sets[0].into(GemmCoefficients).overlap == GemmCoefficients().overlap


def test_missing_operator_and_broken_rows_say_so():
    with pytest.raises(NoDataError, match="no attention_decode coefficients"):
        CoefficientTable(ROWS).coefficients("attention_decode", "a", "f")
    text = ["gemm", "a", "f", "bf16", "vllm", "*", "overlap", "fast", "", "1", "1", "", "", "", ""]
    with pytest.raises(InputError, match="gemm/a/f/bf16"):
        CoefficientTable([text]).coefficients("gemm", "a", "f", "bf16")


# -- the shipped table ------------------------------------------------------------------------------------------------
def test_columns_are_the_rows_fields():
    assert tuple(entry.name for entry in fields(CoefficientRow)) == CALIBRATION_COLUMNS


def test_shipped_rows_are_readable_and_physical():
    records = calibration_records()
    assert len(records) > 5000
    known = {operator: {entry.name for entry in fields(kind)} for operator, kind in KINDS.items()}
    for record in records:
        named = dict(zip(CALIBRATION_COLUMNS, record, strict=True))
        assert named["coefficient"] in known[named["operator"]]
        number = float(named["value"])
        assert number >= 0.0 or named["coefficient"] == "head_exponent"
        if named["coefficient"].endswith("_efficiency"):
            assert 0.0 < number <= 1.0
        assert int(named["rows_fit"]) > 0
        assert named["fitted_on"]
        assert named["source"] in ("aiconfigurator", "vidur")


@pytest.mark.parametrize("operator", sorted(KINDS))
def test_every_operator_has_a_family_and_a_generic_prior(operator):
    table = CoefficientTable(calibration_records())
    generic = table.coefficients(operator, "unknown-chip", "unknown-family")
    assert generic.basis == "datasheet"
    generic.into(KINDS[operator])
    if operator != "expert_prepare":
        assert table.coefficients(operator, "nvidia-h800-sxm", "hopper").basis in ("family", "datasheet")


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp8", "fp8_block", "int8", "nvfp4", "mxfp4", "int4"])
def test_bands_widen_from_chip_to_family_to_generic(dtype):
    table = CoefficientTable(calibration_records())
    family = table.coefficients("gemm", "nvidia-b300-sxm", "blackwell", dtype, "vllm")
    generic = table.coefficients("gemm", "some-npu", "npu", dtype, "vllm")
    assert generic.basis == "datasheet"
    assert family.band > 1.0
    assert generic.band >= 1.3


def test_unprofiled_chips_get_an_answer():
    """A phone-sized and a wafer-sized chip, and the Ascend 910B of the catalogue: finite and above the roofline."""
    table = CoefficientTable(calibration_records())
    c = table.coefficients("gemm", "huawei-ascend-910b", "ascend", "bf16").into(GemmCoefficients)
    machine = operator_chip("huawei-ascend-910b")
    time = gemm_time_s(1, 8192, 8192, "fp16", machine, c)
    floor = 2.0 * 8192**2 / machine.memory_bandwidth_bytes_per_s
    assert floor < time < 2.0 * floor


def test_table_is_quick_to_index():
    """Set look-ups are cached: the second is the same object."""
    table = CoefficientTable(calibration_records())
    first = table.coefficients("gemm", "nvidia-h100-sxm", "hopper", "bf16", "vllm")
    assert table.coefficients("gemm", "nvidia-h100-sxm", "hopper", "bf16", "vllm") is first
    assert set(KINDS) <= set(table.operators())
