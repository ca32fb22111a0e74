"""Calibration: known coefficients come back from synthetic tables; splits, priors, table and report behave."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from suanli.catalog.calibration import FILE, calibration_records
from suanli.errors import NoDataError, UnknownIdError
from suanli.hardware.coefficients import CoefficientTable
from suanli.hardware.gemm import GemmCoefficients, gemm_time_s
from suanli.hardware.mla import MlaPrefillCoefficients, mla_prefill_time_s
from suanli.network.calibrated import ExchangeCoefficients, calibrated_s
from suanli.study.calibrate import calibrate
from suanli.study.calibrate import exchange as exchange_
from suanli.study.calibrate import gemm as gemm_
from suanli.study.calibrate.chips import PROFILED, operator_chip
from suanli.study.calibrate.fit import fit, relative_errors, summary
from suanli.study.calibrate.moe import kernel_family, power_law_load
from suanli.study.calibrate.report import TARGETS, errors_of
from suanli.study.calibrate.samples import FOLD, Samples, pool, shape_hash
from suanli.study.calibrate.sets import OperatorCalibration
from suanli.study.calibrate.tables import part, version_key

DATA = Path(os.environ.get("SUANLI_DATA", Path(__file__).parents[3] / "shared" / "data"))
SIDES = np.array([64, 256, 1024, 2048, 4096, 8192, 16384], dtype=float)
TRUE = {
    "gemm.compute_efficiency": 0.78,
    "gemm.memory_efficiency": 0.88,
    "gemm.overlap": 1.5,
    "gemm.reuse_penalty": 0.1,
    "gemm.tile_s": 1.5e-6,
    "gemm.memory_ramp_s": 2.0e-6,
    "gemm.split_s": 3.0e-6,
    "gemm.k_step_s": 20e-9,
    "gemm.droop": 0.2,
}


def gemm_samples(
    chip: str, family: str, framework: str = "vllm", noise: float = 0.0, seed: int = 1
) -> Samples:
    """GEMM rows that the law itself made, on a grid of shapes, with lognormal noise."""
    m, n, k = (side.ravel() for side in np.meshgrid([1, 8, 32, 128, 512, 2048, 8192, 32768], SIDES, SIDES))
    machine = operator_chip(chip)
    truth = GemmCoefficients(launch_s=gemm_.LAUNCH_S, **part(TRUE, "gemm"))
    time = gemm_time_s(m, n, k, "bf16", machine, truth, weight_copies=gemm_.WEIGHT_COPIES)
    time = time * np.exp(noise * np.random.default_rng(seed).standard_normal(time.size))
    given = {"gemm.launch_s": gemm_.LAUNCH_S, **gemm_._CACHE, **gemm_._NO_QUANTISE}
    shape = {"m": m.astype(float), "n": n, "k": k}
    return Samples(
        "gemm", chip, family, "bf16", framework, "*", shape, time, machine, "synthetic x", given, 1.0
    )


def test_known_coefficients_come_back():
    found = fit(gemm_.MODEL, gemm_samples("nvidia-h100-sxm", "hopper"))
    for name in ("compute_efficiency", "memory_efficiency", "tile_s", "memory_ramp_s", "k_step_s", "droop"):
        assert found.values[f"gemm.{name}"] == pytest.approx(TRUE[f"gemm.{name}"], rel=0.02), name


def test_standard_errors_cover_the_truth_under_noise():
    hits = 0
    for seed in range(6):
        found = fit(gemm_.MODEL, gemm_samples("nvidia-h100-sxm", "hopper", noise=0.05, seed=seed))
        for name in ("gemm.compute_efficiency", "gemm.memory_efficiency"):
            error = found.errors[name]
            assert error is not None
            assert 0.0 < error < 0.05
            hits += abs(found.values[name] - TRUE[name]) < 3.0 * error
    assert hits >= 10


def test_outliers_do_not_rule():
    clean = gemm_samples("nvidia-h100-sxm", "hopper")
    time = clean.time_s.copy()
    time[::20] *= 10.0
    found = fit(gemm_.MODEL, replace(clean, time_s=time))
    assert found.values["gemm.memory_efficiency"] == pytest.approx(0.88, rel=0.03)


def test_split_is_by_shape_and_the_same_on_every_chip():
    first, second = gemm_samples("nvidia-h100-sxm", "hopper"), gemm_samples("nvidia-b200-sxm", "blackwell")
    fitted, judged = first.halves()
    assert len(fitted) + len(judged) == len(first)
    assert 0.4 < len(fitted) / len(first) < 0.6
    assert np.array_equal(shape_hash(first.shape), shape_hash(second.shape))
    assert not set(shape_hash(fitted.shape).tolist()) & set(shape_hash(judged.shape).tolist())


def test_pooling_gives_every_row_its_own_chip():
    h100, b200 = gemm_samples("nvidia-h100-sxm", "hopper"), gemm_samples("nvidia-b200-sxm", "blackwell")
    both = pool([h100, b200], 400)
    assert (both.chip, both.family, both.framework) == ("*", "*", "vllm")
    errors = relative_errors(gemm_.MODEL, both, {**both.fixed, **TRUE})
    assert np.abs(errors).max() < 1e-9


def test_priors_are_judged_without_the_chip_they_stand_for():
    """Two chips of one family obey one law, a third of another family is 30 % slower: only the generic prior errs."""
    slow = gemm_samples("nvidia-a100-sxm-80gb", "ampere")
    slow = replace(slow, time_s=slow.time_s * 1.3)
    groups = [gemm_samples("nvidia-h100-sxm", "hopper"), gemm_samples("nvidia-h200-sxm", "hopper"), slow]
    result = OperatorCalibration(gemm_.MODEL, groups).result()
    by_place = {
        (found.chip, found.family): found for found in result.sets if found.framework in ("vllm", "*")
    }
    assert by_place["nvidia-h100-sxm", "hopper"].errors.median < 0.01
    assert by_place["*", "hopper"].judged_by == "left-out chip"
    assert by_place["*", "hopper"].errors.median < 0.02
    assert by_place["*", "*"].judged_by == "left-out family"
    assert by_place["*", "*"].errors.median > 0.15
    assert set(result.judgement.left_out_chip) == {
        (chip, "bf16", "vllm", "*") for chip in ("nvidia-h100-sxm", "nvidia-h200-sxm")
    }


def test_two_regimes_of_a_collective_come_back():
    truth = ExchangeCoefficients(8e-6, 1e-9, 0.3, 25e-6, 2e-9, 0.85)
    size = 2.0 ** np.arange(8, 31)
    machine = operator_chip("nvidia-h100-sxm")
    time = calibrated_s(size, 1.75 * size, machine.link_bytes_per_s, truth)
    shape = {"bytes": size, "wire": 1.75 * size, FOLD: exchange_.every_second(size)}
    group = Samples(
        "all_reduce", "nvidia-h100-sxm", "hopper", "*", "nccl", "n8", shape, time, machine, "synthetic x", {}
    )
    fitted, judged = group.halves()
    assert size.min() in fitted.shape["bytes"]
    assert size.max() in fitted.shape["bytes"]
    model = exchange_.model("all_reduce")
    found = fit(model, fitted)
    assert summary(relative_errors(model, judged, found.values)).p90 < 0.02
    assert found.values["all_reduce.large_bandwidth_share"] == pytest.approx(0.85, rel=0.03)


def test_power_law_routing_conserves_assignments():
    for tokens, topk, experts, ranks in (
        (4096, 8, 256, 1),
        (16, 8, 256, 8),
        (1, 8, 256, 32),
        (1024, 4, 128, 4),
    ):
        assignments, hit, *tiles = power_law_load(tokens, topk, experts, ranks, 1.2)
        assert hit <= min(assignments, experts / ranks)
        assert np.all(np.diff(tiles) <= 0.0)
        if ranks == 1:
            assert assignments == tokens * topk
        else:
            assert assignments >= tokens * topk / ranks


def test_names_and_versions():
    assert version_key("0.5.6.post2") < version_key("0.5.14")
    assert version_key("1.3.0rc10") < version_key("1.3.0rc20")
    assert kernel_family("vllm_fp8moe_flashinfer_trtllm_trtllmfp8expertsmonolithic", "fp8_block") == "trtllm"
    assert kernel_family("moe_torch_flow_nongated", "bf16") == "cutlass_nongated"
    assert kernel_family("moe_torch_flow", "w4a8_mxfp4") == "trtllm"


def test_missing_data_and_unknown_operators_say_so(tmp_path):
    with pytest.raises(NoDataError, match="calibrate --data DIR"):
        calibrate(tmp_path)
    (tmp_path / PROFILED[0].folder).mkdir()
    with pytest.raises(UnknownIdError, match="attention_decode"):
        calibrate(tmp_path, ["attention-decode"])


def test_a_tiny_data_folder_end_to_end(tmp_path):
    """Two synthetic MLA tables on disk -> table and report -> the look-up returns the coefficients that made them."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    truth = MlaPrefillCoefficients(11e-6, 0.6, 0.6, 0.3, 1.5e-6, 0.8e-6, 0.0, 0.1)
    batch, tokens, heads = (
        side.ravel()
        for side in np.meshgrid([1, 2, 4, 8, 16, 32], [64, 256, 1024, 2048, 4096, 8192], [8, 16, 32, 128])
    )
    for folder, chip in (("h100_sxm", "nvidia-h100-sxm"), ("h200_sxm", "nvidia-h200-sxm")):
        time = mla_prefill_time_s(batch, tokens, heads, operator_chip(chip), truth, warm=True)
        path = tmp_path / "kernels" / "aic" / folder / "mla" / "sglang" / "1.0"
        path.mkdir(parents=True)
        columns = {
            "kv_cache_dtype": ["bfloat16"] * batch.size,
            "batch_size": batch,
            "isl": tokens,
            "step": np.zeros_like(tokens),
            "num_heads": heads,
            "latency": time * 1e3,
        }
        pq.write_table(pa.table(columns), path / "context_mla_perf.parquet")
    seen: list[str] = []
    found = calibrate(tmp_path, ["mla_prefill"], progress=seen.append)
    assert seen == ["mla_prefill"]
    found.write(tmp_path / "calibration.csv", tmp_path / "report.md")
    table = CoefficientTable(calibration_records(tmp_path / "calibration.csv"))
    own = table.coefficients("mla_prefill", "nvidia-h100-sxm", "hopper", "bf16", "sglang")
    assert own.basis == "calibrated"
    assert own.values["compute_efficiency"] == pytest.approx(0.6, rel=0.05)
    assert own.values["launch_s"] == pytest.approx(11e-6, rel=0.05)
    assert own.values.get("absorbed", 0.0) == 0.0
    assert table.coefficients("mla_prefill", "nvidia-h20-96gb", "hopper", "bf16", "sglang").basis == "family"
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| MLA | 8 |" in report
    again = calibrate(tmp_path, ["mla_prefill"])
    assert again.rows == found.rows


# -- on the measured tables -------------------------------------------------------------------------------------------
needs_data = pytest.mark.skipif(
    not (DATA / "kernels" / "aic").is_dir(), reason="kernel tables not found (SUANLI_DATA or ../shared/data)"
)


@needs_data
def test_shipped_rows_are_what_the_data_give():
    """Fitting MLA again reproduces the shipped rows (a stale table fails here) and keeps its target."""
    pytest.importorskip("pyarrow")
    found = calibrate(DATA, ["mla_prefill"])
    shipped = {
        record[:7]: float(record[7]) for record in calibration_records(FILE) if record[0] == "mla_prefill"
    }
    fresh = {
        (row.operator, row.chip, row.family, row.dtype, row.framework, row.kernel, row.coefficient): row.value
        for row in found.rows
    }
    assert fresh.keys() == shipped.keys()
    changed = [
        key for key, value in fresh.items() if value != pytest.approx(shipped[key], rel=1e-3, abs=1e-9)
    ]
    assert not changed
    mla = next(target for target in TARGETS if target.name == "MLA")
    assert errors_of(found.results, mla.covers, "own").median * 100.0 <= mla.median
