"""Power of an accelerator and of a server: laws, published points, and the fit itself where the data is there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog.calibration import calibration_records
from suanli.catalog.schema import DATA as CATALOG
from suanli.errors import InputError
from suanli.hardware.coefficients import CoefficientRow, CoefficientTable
from suanli.hardware.power import (
    AcceleratorPower,
    Activity,
    PowerCoefficients,
    accelerator_power,
    accelerator_power_w,
    activity_from_rates,
    activity_share,
    limited_speed,
)
from suanli.hardware.power_server import ServerCoefficients, server_power, supply_efficiency

DATA = Path(os.environ.get("SUANLI_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
FILES = ("measured/splitwise_perf_model.csv", "measured/measured_inference.csv", "power")
NEEDS_DATA = pytest.mark.skipif(
    not all((DATA / name).exists() for name in FILES),
    reason="measured power not there: set SUANLI_DATA to the folder that holds measured/ and power/",
)

share = st.floats(0.0, 1.0)
LAWS = settings(deadline=None, max_examples=80)


def table() -> CoefficientTable:
    rows = []
    for record in calibration_records(CATALOG / "power_model.csv"):
        value, error = float(record[7]), float(record[8]) if record[8] else None
        counts, errors = (int(record[9]), int(record[10])), (float(record[11]), float(record[12]))
        rows.append(CoefficientRow(*record[:7], value, error, *counts, *errors, *record[13:]))
    return CoefficientTable(rows)


TABLE = table()


def law(
    chip: str, family: str, tdp: float, peak: float, bandwidth: float, idle: float | None
) -> AcceleratorPower:
    found = TABLE.coefficients("power", chip, family).into(PowerCoefficients)
    return accelerator_power(found, tdp, peak, bandwidth, 450e9, idle)


A100 = law("nvidia-a100-sxm-80gb", "ampere", 400, 312e12, 2.039e12, 50)
H100 = law("nvidia-h100-sxm", "hopper", 700, 989e12, 3.35e12, 70)
H200 = law("nvidia-h200-sxm", "hopper", 700, 989e12, 4.8e12, 80.3)
B200 = law("nvidia-b200-sxm", "blackwell", 1000, 2250e12, 8.0e12, 140)
UNKNOWN = law("nobody-x1", "nobody", 550, 300e12, 1.6e12, None)
CHIPS = st.sampled_from([A100, H100, H200, B200, UNKNOWN])
SERVER = TABLE.coefficients("server_power", "*", "nvidia-hgx").into(ServerCoefficients)


# -- laws -------------------------------------------------------------------------------------------------------------
@LAWS
@given(CHIPS, share, share, share, share, st.floats(0.3, 1.0))
def test_power_lies_between_idle_and_the_limit(chip, compute, memory, link, busy, part):
    limit = chip.idle_w + part * (chip.tdp_w - chip.idle_w)
    power = accelerator_power_w(Activity(compute, memory, link, busy), chip, limit)
    assert chip.idle_w - 1e-9 <= power <= limit + 1e-9


@LAWS
@given(CHIPS, share, share, share, share, st.sampled_from(["compute", "memory", "link", "busy"]))
def test_more_of_anything_never_draws_less(chip, compute, memory, link, busy, what):
    less = Activity(compute, memory, link, busy)
    more = replace(less, **{what: min(1.0, getattr(less, what) + 0.05)})
    assert accelerator_power_w(more, chip) >= accelerator_power_w(less, chip) - 1e-9


@LAWS
@given(CHIPS, share, share, st.floats(0.2, 0.9))
def test_a_lower_limit_draws_less_and_is_slower(chip, compute, memory, part):
    low, high = (chip.idle_w + p * (chip.tdp_w - chip.idle_w) for p in (part, part + 0.1))
    use = Activity(compute, memory)
    assert accelerator_power_w(use, chip, low) <= accelerator_power_w(use, chip, high) + 1e-9
    assert 0.0 < limited_speed(chip, low) < limited_speed(chip, high) <= 1.0


def test_idle_and_little_work():
    assert accelerator_power_w(Activity(busy=0.0), H100) == pytest.approx(70.0)
    ideal = replace(H100, busy_w=0.0)
    assert accelerator_power_w(Activity(compute=1e-5), ideal) - 70.0 == pytest.approx(
        1e-5 * H100.compute_w, rel=1e-3
    )
    assert accelerator_power_w(Activity(memory=1e-5), ideal) - 70.0 == pytest.approx(
        1e-5 * H100.memory_w, rel=1e-3
    )
    assert limited_speed(H100, 700) == 1.0
    assert limited_speed(H100, 900) == 1.0


def test_waiting_for_the_host_is_a_mix_of_work_and_idle():
    """Half the time at full work draws the mean of work and idle: shares halve with the busy share."""
    full = accelerator_power_w(Activity(0.2, 0.4, 0.1, 1.0), H100)
    half = accelerator_power_w(Activity(0.1, 0.2, 0.05, 0.5), H100)
    assert half == pytest.approx((full + H100.idle_w) / 2.0)


def test_energies_belong_to_the_silicon():
    """A chip of the family with a seventh of the peak has a seventh of the compute demand; FP8 costs half of BF16."""
    found = TABLE.coefficients("power", "nvidia-h20-96gb", "hopper").into(PowerCoefficients)
    h20 = accelerator_power(found, 400, 148e12, 4.0e12, 450e9)
    assert h20.compute_w / H100.compute_w == pytest.approx(148 / 989)
    assert h20.memory_w / H100.memory_w == pytest.approx(4.0 / 3.35)
    fp8 = activity_from_rates(400e12, 1979e12, 0.0, 3.35e12)
    bf16 = activity_from_rates(200e12, 989.5e12, 0.0, 3.35e12)
    assert fp8.compute == pytest.approx(bf16.compute)


def test_functions_broadcast():
    limits = np.array([400.0, 500.0, 700.0])
    use = Activity(np.linspace(0.0, 0.5, 4)[:, None], np.array([0.1, 0.2, 0.3]))
    power = accelerator_power_w(use, H200, limits)
    assert power.shape == (4, 3)
    assert power[2, 1] == pytest.approx(accelerator_power_w(Activity(use.compute[2, 0], 0.2), H200, 500.0))
    assert server_power(power, 8, 700, 10, SERVER).wall_w.shape == (4, 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: activity_from_rates(2000e12, 989e12, 0, 1e12),
        lambda: activity_from_rates(-1.0, 989e12, 0, 1e12),
        lambda: activity_from_rates(1e12, 0.0, 0, 1e12),
        lambda: accelerator_power_w(Activity(busy=1.2), H100),
        lambda: accelerator_power_w(Activity(compute=float("nan")), H100),
        lambda: accelerator_power_w(Activity(), H100, 60.0),
        lambda: accelerator_power(PowerCoefficients(), 300, 1e12, 1e12, idle_w=300),
        lambda: server_power(-1.0, 8, 700, 10, SERVER),
        lambda: server_power(800.0, 8, 700, 10, SERVER),
    ],
)
def test_bad_input_is_an_error(call):
    with pytest.raises(InputError):
        call()


@LAWS
@given(st.floats(0.0, 1.0), st.integers(1, 72), st.integers(0, 72), st.floats(100.0, 2000.0))
def test_the_wall_sees_more_than_the_chips(part, chips, nics, tdp):
    found = server_power(part * tdp, chips, tdp, nics, SERVER)
    more = server_power(min(part + 0.05, 1.0) * tdp, chips, tdp, nics, SERVER)
    parts = found.chips_w + found.host_w + found.nics_w + found.fans_w + found.supply_loss_w
    assert found.wall_w == pytest.approx(parts)
    assert found.wall_w > found.chips_w
    assert more.wall_w >= found.wall_w - 1e-9
    assert min(found.fans_w, found.supply_loss_w) >= 0.0


def test_fans_go_with_the_cube_of_the_heat():
    bare = ServerCoefficients(host_w_per_chip=0.0, nic_w=0.0)
    half, full = (server_power(w, 8, 700, 0, bare).fans_w for w in (350.0, 700.0))
    assert full / half == pytest.approx(8.0)


def test_supply_passes_its_certification_points():
    """80 PLUS Titanium, 230 V internal redundant."""
    assert supply_efficiency(np.array([0.1, 0.2, 0.5, 1.0]), ServerCoefficients()) == pytest.approx(
        [0.90, 0.94, 0.96, 0.91]
    )


# -- published points -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("parameters", "kv_bytes", "tp", "batch", "token_ms", "power_share"),
    [  # Splitwise perf model, A100 80 GB, prompt 512, 128 tokens out: mean token time, mean power over TDP
        (68.7e9, 327680, 2, 1, 54.84, 0.736),
        (68.7e9, 327680, 2, 16, 65.60, 0.794),
        (68.7e9, 327680, 4, 1, 44.96, 0.599),
        (68.7e9, 327680, 4, 8, 45.87, 0.615),
        (68.7e9, 327680, 8, 1, 44.91, 0.435),
        (68.7e9, 327680, 8, 16, 50.44, 0.458),
        (172.6e9, 4014080, 8, 1, 48.79, 0.635),
        (172.6e9, 4014080, 8, 16, 57.33, 0.656),
    ],
)
def test_splitwise_token_phases(parameters, kv_bytes, tp, batch, token_ms, power_share):
    moved = (2.0 * parameters + batch * (512 + 64) * kv_bytes) / tp / (token_ms * 1e-3)
    flops = 2.0 * parameters * batch / tp / (token_ms * 1e-3)
    use = activity_from_rates(flops, 312e12, moved, 2.039e12)
    assert accelerator_power_w(use, A100) / 400.0 == pytest.approx(power_share, rel=0.10)


def test_splitwise_long_prompts_reach_the_limit():
    """Splitwise perf model: Llama2-70B, TP2, prompt 2048 takes 687 ms at a peak of 1.06 TDP; TP4, 403 ms, 1.02."""
    for tp, prompt_s in ((2, 0.687), (4, 0.403)):
        use = activity_from_rates(
            2 * 68.7e9 * 2048 / tp / prompt_s, 312e12, 137.4e9 / tp / prompt_s, 2.039e12
        )
        assert 0.95 <= accelerator_power_w(use, A100) / 400.0 <= 1.0


@pytest.mark.parametrize(
    ("parameters", "rate", "batch", "joule_per_token"),
    [  # ML.ENERGY benchmark v3, GPQA task, H100, BF16, max_num_seqs 8; neither task nor model was fitted on
        (12.3e9, 676.817, 7.988, 0.65905),  # NVIDIA Nemotron Nano 12B v2
        (8.9e9, 831.645, 7.986, 0.48337),  # NVIDIA Nemotron Nano 9B v2
    ],
)
def test_mlenergy_joule_per_token(parameters, rate, batch, joule_per_token):
    use = activity_from_rates(2 * parameters * rate, 989e12, 2 * parameters * rate / batch, 3.35e12)
    assert accelerator_power_w(use, H100) / rate == pytest.approx(joule_per_token, rel=0.15)


@pytest.mark.parametrize(
    ("rate", "batch", "wall"),
    [(25262.1, 806, 6153.0), (23113.1, 896, 6280.2)],
    ids=["offline", "server"],
)
def test_mlperf_llama2_70b_wall_power(rate, batch, wall):
    """MLPerf v4.1 power, 8 x H200, FP8, power_limit 500 W, 10 NICs: not fitted on; target 10 %."""
    per_chip = rate / 8.0
    moved = (68.7e9 + batch * (294 + 147) * 163840) * per_chip / batch
    use = activity_from_rates(2 * 68.7e9 * 2.0 * per_chip, 1979e12, moved, 4.8e12)
    chip_w = accelerator_power_w(use, H200, 500.0)
    assert server_power(chip_w, 8, 700, 10, SERVER).wall_w == pytest.approx(wall, rel=0.05)


def test_mlperf_llama2_70b_slowdown():
    """MLPerf v4.1: 25,262 tok/s at 500 W against 31,303 at 700 W offline, 23,113 against 29,228 in Server."""
    assert limited_speed(H200, 500.0) == pytest.approx(25262.1 / 31302.7, rel=0.05)
    assert limited_speed(H200, 500.0) == pytest.approx(23113.1 / 29228.2, rel=0.05)


def test_hgx_h100_at_full_power():
    """Latif et al., IEEE Access 13 (2025): an 8 x H100 HGX node peaks at 8.4 kW with its GPUs near full use."""
    assert server_power(700.0, 8, 700, 10, SERVER).wall_w == pytest.approx(8400, rel=0.05)


def test_every_level_of_the_table_answers_and_says_how_sure_it_is():
    levels = [("nvidia-h100-sxm", "hopper"), ("nvidia-h20-96gb", "hopper"), ("google-tpu-v6e", "tpu")]
    found = [TABLE.coefficients("power", chip, family) for chip, family in levels]
    assert [each.basis for each in found] == ["calibrated", "family", "datasheet"]
    assert 1.0 < found[0].band < found[1].band
    assert 0.3 < activity_share(accelerator_power_w(Activity(memory=0.6), UNKNOWN), UNKNOWN) < 0.9


# -- the fit ----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def found():
    from suanli.study.calibrate.power import calibrate_power

    return calibrate_power(DATA)


@NEEDS_DATA
def test_the_shipped_table_is_what_the_data_gives(found):
    shipped = {record[:7]: float(record[7]) for record in calibration_records(CATALOG / "power_model.csv")}
    fitted = {tuple(str(getattr(row, name)) for name in _KEY): row.value for row in found.rows}
    assert fitted.keys() == shipped.keys()
    for key, value in fitted.items():
        assert shipped[key] == pytest.approx(value, rel=1e-2), key


_KEY = ("operator", "chip", "family", "dtype", "framework", "kernel", "coefficient")


@NEEDS_DATA
def test_errors_on_what_was_left_out(found):
    judged = {fit.family: fit.judged for fit in found.families}
    assert judged["ampere"].median < 0.03 and judged["ampere"].p90 < 0.08
    assert judged["hopper"].median < 0.09 and judged["hopper"].p90 < 0.18
    assert judged["blackwell"].median < 0.09 and judged["blackwell"].p90 < 0.20
    assert found.pooled.judged.median < 0.12 and found.pooled.judged.p90 < 0.25


@NEEDS_DATA
def test_held_out_server_runs(found):
    held_out = [check for check in found.checks if check.run.held_out]
    assert len(held_out) == 2
    for check in held_out:
        assert abs(check.wall_error) < 0.10
        assert check.speed == pytest.approx(check.run.speed, rel=0.05)
