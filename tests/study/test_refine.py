"""A user's own runs: between prior and data, narrower with more of them, his machine only, nothing twice."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.catalog.calibration import calibration_records, framework_records
from suanli.errors import InputError
from suanli.serving import Coefficients
from suanli.serving.refinement import (
    CORRECTIONS,
    HALF_WIDTH,
    TPOT_SCATTER,
    Refinement,
    RefinementTable,
    corrected,
)
from suanli.study.deployment.request import Request
from suanli.study.deployment.solve import Deployments
from suanli.study.refine.fit import refine
from suanli.study.refine.kernelrows import KernelRow
from suanli.study.refine.kernels import FEW, take_kernels
from suanli.study.refine.observed import Run, observe
from suanli.study.refine.own import Refined, take
from suanli.study.refine.ownrun import OwnRun, joined_runs, read_own_runs
from suanli.study.refine.trial import outcome, trials

PLAIN = Deployments(Catalog())
TABLES = Coefficients(calibration_records(), framework_records())
RUN = OwnRun(
    tool="vllm-bench",
    date="2026-11-20",
    model="qwen3-32b",
    chip="nvidia-h200-sxm",
    n_chips=4,
    tp=4,
    pp=None,
    dp=None,
    ep=None,
    weights_dtype="fp8",
    kv_dtype="",
    framework="vllm 0.19.0",
    isl=2048.0,
    osl=512.0,
    concurrency=32.0,
    arrival_rate_per_s=None,
    requests=320,
    file="run.json",
)


def own(**changes: object) -> OwnRun:
    """A run whose times are the package's own, times the given `slower` factors."""
    slower, first = changes.pop("slower", 1.0), changes.pop("first", 1.0)
    run = replace(RUN, **changes)  # type: ignore[arg-type]
    found = PLAIN.answer(run.request).quantities
    return replace(
        run, tpot_s=found["tpot_s"].value * float(slower), ttft_s=found["ttft_s"].value * float(first)
    )


def predicted(folder: Path, run: OwnRun, name: str = "tpot_s") -> float:
    return Deployments(Catalog([folder])).answer(run.request).quantities[name].value


def half_width(folder: Path, run: OwnRun, name: str = "tpot_s") -> float:
    found = Deployments(Catalog([folder])).answer(run.request).quantities[name]
    return math.log(found.high / found.value)


def synthetic(truth: dict[str, float], requests: list[Request]) -> list[Run]:
    """Runs of a machine whose constants differ from the package's by known factors."""
    runs = [Run(PLAIN.point(request), math.nan, math.nan) for request in requests]
    for group in observe(runs, TABLES):
        found = group.predict(corrected(group.ready.serving.values, truth))
        for place, tpot, ttft in zip(group.places, found.tpot_s, found.ttft_s, strict=True):
            runs[place] = replace(runs[place], tpot_s=float(tpot), ttft_s=float(ttft))
    return runs


# -- laws -------------------------------------------------------------------------------------------------------------
def test_without_runs_nothing_changes(tmp_path: Path) -> None:
    assert refine([], TABLES) == []
    plain, empty = (Deployments(Catalog(folders)).answer(RUN.request) for folders in ([], [tmp_path]))
    assert plain.quantities == empty.quantities


@settings(deadline=None, max_examples=12)
@given(slower=st.floats(0.75, 1.35).filter(lambda x: abs(x - 1.0) > 0.02))
def test_one_run_moves_the_answer_part_of_the_way(slower: float) -> None:
    run = own(slower=slower, first=math.nan)
    (machine,) = refine([Run(PLAIN.point(run.request), run.tpot_s or math.nan, math.nan)], TABLES)
    observed = machine.observed[0]
    before = observed.predict(observed.ready.serving.values).tpot_s[0]
    scope = (observed.named[1], observed.deployment)
    after = observed.predict(machine.refinement(scope).applied(observed.ready.serving.values)).tpot_s[0]
    share = math.log(after / before) / math.log(slower)
    assert 0.3 < share < 1.0, "a run moves its own deployment towards itself, and not beyond"
    elsewhere = machine.refinement(("*", "*"))
    general = math.log(observed.predict(elsewhere.applied(observed.ready.serving.values)).tpot_s[0] / before)
    assert 0.0 < general / math.log(slower) < share, "other deployments of the machine move less"


def test_more_runs_narrow_the_band_down_to_the_scatter(tmp_path: Path) -> None:
    loads = [1.0, 4.0, 8.0, 16.0, 48.0, 64.0, 96.0, 128.0]
    runs = [own(concurrency=load, slower=1.04) for load in loads]
    widths = []
    for count in (1, 2, 4, 8):
        folder = tmp_path / str(count)
        take(runs[:count], folder)
        widths.append(half_width(folder, RUN))
    package = PLAIN.answer(RUN.request).quantities["tpot_s"]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] < math.log(package.high / package.value)
    assert widths[-1] >= HALF_WIDTH * TPOT_SCATTER
    assert widths[-1] < 1.25 * HALF_WIDTH * TPOT_SCATTER


def test_known_constants_are_found_again() -> None:
    truth = {"decode_kernels": 1.12, "prefill_kernels": 0.9, "ttft_steps": 1.3}
    requests = [
        replace(RUN.request, model=model, n_chips=tp, tp=tp, concurrency=load, isl=isl, osl=osl)
        for model in ("qwen3-32b", "llama-3.1-70b", "llama-3.1-8b")
        for tp in (2, 4, 8)
        for load in (1.0, 16.0, 128.0)
        for isl, osl in ((512.0, 512.0), (4096.0, 256.0))
    ]
    (machine,) = refine(synthetic(truth, requests), TABLES)
    one = machine.refinement(("0.19.0", "*"))
    found = dict(zip(CORRECTIONS, one.factors, strict=True))
    assert found["decode_kernels"] == pytest.approx(1.12, rel=0.03)
    assert found["prefill_kernels"] == pytest.approx(0.9, rel=0.06)
    assert found["ttft_steps"] == pytest.approx(1.3, rel=0.15)
    assert found["host"] == pytest.approx(1.0, rel=0.1)
    before, after = machine.errors(0)
    assert before is not None and after is not None and after < 0.25 * before


def test_a_run_left_out_is_a_fit_without_it() -> None:
    requests = [replace(RUN.request, concurrency=load) for load in (1.0, 8.0, 32.0, 96.0)]
    noise = (1.03, 0.98, 1.05, 1.01)
    runs = [
        replace(run, tpot_s=run.tpot_s * factor, ttft_s=math.nan)
        for run, factor in zip(synthetic({}, requests), noise, strict=True)
    ]
    (machine,) = refine(runs, TABLES)
    quick = machine.found.left_out()
    for at, run in enumerate(runs):
        (others,) = refine([one for one in runs if one is not run], TABLES)
        ready = observe([run], TABLES)[0]
        values = others.refinement((ready.named[1], ready.deployment)).applied(ready.ready.serving.values)
        slow = ready.errors(values)[0, 0]
        here = quick[np.flatnonzero(machine.found.place == at)][0]
        assert here == pytest.approx(slow, abs=0.003)


def test_a_run_that_is_not_what_was_stated_does_not_carry_the_others_away(tmp_path: Path) -> None:
    good = [own(concurrency=load) for load in (4.0, 16.0, 64.0)]
    wrong = own(concurrency=32.0, slower=8.0)
    found = take([*good, wrong], tmp_path)
    assert any("check chip, layout" in doubt for doubt in found.doubts)
    for run in good:
        assert predicted(tmp_path, run) == pytest.approx(run.tpot_s, rel=0.08)


def test_runs_that_scatter_widen_the_band(tmp_path: Path) -> None:
    loads = (2.0, 4.0, 8.0, 16.0, 48.0, 64.0, 96.0, 128.0)
    for name, factors in (("calm", (1.02, 0.98)), ("wild", (1.3, 0.75))):
        runs = [own(concurrency=load, slower=factors[at % 2]) for at, load in enumerate(loads)]
        take(runs, tmp_path / name)
    assert half_width(tmp_path / "wild", RUN) > 1.5 * half_width(tmp_path / "calm", RUN)


def test_other_chips_frameworks_and_kinds_stay_bit_for_bit(tmp_path: Path) -> None:
    take([own(slower=1.3, first=1.5), own(concurrency=4.0, slower=1.3)], tmp_path)
    refined = Deployments(Catalog([tmp_path]))
    others = [
        replace(RUN.request, chip="nvidia-h100-sxm"),
        replace(RUN.request, chip="nvidia-b200-sxm"),
        replace(RUN.request, framework="sglang 0.5.9"),
        replace(RUN.request, framework="*"),
        replace(RUN.request, model="qwen3-235b-a22b", n_chips=8, tp=8),
        replace(RUN.request, model="deepseek-r1", n_chips=8, tp=8, weights_dtype="native"),
    ]
    for request in others:
        plain, own_folder = PLAIN.answer(request), refined.answer(request)
        assert plain.status == "ok" and plain.quantities == own_folder.quantities
    assert refined.answer(RUN.request).quantities != PLAIN.answer(RUN.request).quantities


def test_another_version_and_another_model_move_less(tmp_path: Path) -> None:
    run = own(slower=1.2)
    take([run], tmp_path)
    plain = {name: PLAIN.answer(one.request).quantities["tpot_s"].value for name, one in _VARIANTS.items()}
    moved = {name: predicted(tmp_path, one) / plain[name] for name, one in _VARIANTS.items()}
    assert 1.0 < moved["both differ"] < moved["other model"] < moved["same"] < 1.2
    assert 1.0 < moved["both differ"] < moved["other version"] < moved["same"]
    widths = {name: half_width(tmp_path, one) for name, one in _VARIANTS.items()}
    assert widths["same"] < min(widths["other version"], widths["other model"])


_VARIANTS = {
    "same": RUN,
    "other version": replace(RUN, framework="vllm 0.12.0"),
    "other model": replace(RUN, model="llama-3.1-70b"),
    "both differ": replace(RUN, model="llama-3.1-70b", framework="vllm 0.12.0"),
}


def test_an_open_arrival_rate_refines_too(tmp_path: Path) -> None:
    run = own(concurrency=None, arrival_rate_per_s=2.0, slower=1.15)
    take([run], tmp_path)
    assert 1.03 < predicted(tmp_path, run) / PLAIN.answer(run.request).quantities["tpot_s"].value < 1.15


# -- the overlay ------------------------------------------------------------------------------------------------------
def tables_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_import_twice_changes_no_byte(tmp_path: Path) -> None:
    runs = [own(slower=1.1), own(concurrency=8.0, slower=1.05)]
    first = take(runs, tmp_path)
    before = tables_of(tmp_path)
    second = take([replace(runs[0], file="copy.json"), runs[1]], tmp_path)
    assert len(first.added) == 2 and not second.added
    assert len(second.runs) == 2
    # Of two names of one file the last is kept; nothing else differs.
    assert {
        name: data.replace(b"copy.json", b"run.json") for name, data in tables_of(tmp_path).items()
    } == before


def test_runs_come_back_as_they_were_kept(tmp_path: Path) -> None:
    run = own(options={"length_low_share": 0.8}, kv_dtype="fp8")
    take([run], tmp_path)
    (kept,) = read_own_runs(tmp_path)
    assert kept.id == run.id and kept.request == run.request
    assert joined_runs([kept], [run]) == [run]


def test_every_bad_run_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    good = own()
    bad = [
        replace(good, tp=3, n_chips=3, file="a.json"),
        replace(good, chip="nvidia-l4", n_chips=1, tp=1, file="b.json"),
    ]
    with pytest.raises(InputError) as caught:
        take([good, *bad], tmp_path / "mine")
    assert "a.json: tp 3 does not divide" in str(caught.value)
    assert "b.json: " in str(caught.value)
    assert not (tmp_path / "mine").exists()


def test_a_refinement_is_read_as_it_was_written(tmp_path: Path) -> None:
    found: Refined = take([own(slower=1.1), own(concurrency=8.0)], tmp_path)
    read = Deployments(Catalog([tmp_path])).tables.refinements.refinements
    made = found.machines[0].refinements()
    assert [(one.version, one.deployment) for one in read] == [(one.version, one.deployment) for one in made]
    for one, two in zip(read, made, strict=True):
        assert one.factors == pytest.approx(two.factors, rel=1e-5)
        assert np.allclose(one.covariance, two.covariance, atol=1e-4)


def test_the_closest_refinement_wins() -> None:
    base = Refinement("c", "vllm", "*", "dense", "*", (1.0,) * 5, ((0.0,) * 5,) * 5, 0.1, 0.3)
    names = [("1", "a"), ("*", "a"), ("1", "*"), ("*", "*")]
    table = RefinementTable([replace(base, version=version, deployment=name) for version, name in names])
    asked = [("1", "a"), ("2", "a"), ("1", "b"), ("2", "b")]
    found = [table.find("c", "vllm", "dense", *names) for names in asked]
    assert [(one.version, one.deployment) for one in found if one] == names
    assert table.find("c", "*", "dense", "1", "a") is None
    assert table.find("other", "vllm", "dense", "1", "a") is None


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("measurements.csv", "2048", "many", 'measurements.csv:2 isl "many" is not a number'),
        (
            "measurements.csv",
            ",mixed,",
            ",mxed,",
            'measurements.csv:2 phase "mxed" is none of mixed; is "mixed" meant?',
        ),
        ("refinements.csv", "decode_kernels,", "decode_kernel,", 'constant "decode_kernel" is none of'),
        (
            "refinements.csv",
            "chip,framework",
            "chip,frame",
            "refinements.csv:1 columns must be chip,framework,version",
        ),
    ],
)
def test_a_bad_value_in_a_table_is_named(tmp_path: Path, name: str, old: str, new: str, words: str) -> None:
    take([own()], tmp_path)
    path = tmp_path / name
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Catalog([tmp_path])
    assert words in str(caught.value)


# -- kernels ----------------------------------------------------------------------------------------------------------
def timed(slower: float, count: int, chip: str = "nvidia-rtx-4090") -> list[KernelRow]:
    """GEMMs of a chip of a known family whose efficiencies are lower than the package's by a known factor."""
    from suanli.study.refine.kernelrows import samples_of
    from suanli.study.refine.kernels import law

    known = PLAIN.chip(chip)
    base = TABLES.operators.coefficients("gemm", known.id, known.family, "bf16", "vllm")
    values = {
        f"gemm.{name}": value / slower if name.endswith("_efficiency") else value
        for name, value in base.values.items()
    }
    random = np.random.default_rng(5)
    rows = [
        KernelRow(
            "gemm",
            known.id,
            "bf16",
            "vllm",
            "*",
            {"m": float(m), "n": float(n), "k": float(k)},
            1.0,
            "gemm.csv",
        )
        for m, n, k in zip(*(random.choice([128, 512, 1024, 4096, 8192], (3, count))), strict=True)
    ]
    rows = list({row.id: row for row in rows}.values())
    times = law("gemm").predict(samples_of(rows, known, {}), values)
    return [replace(row, time_s=float(time)) for row, time in zip(rows, times, strict=True)]


def test_few_kernels_scale_the_closest_set(tmp_path: Path) -> None:
    (one,) = take_kernels(timed(1.25, 12), tmp_path)
    assert one.how == "scaled" and one.factor is not None
    assert 1.1 < one.factor <= 1.27
    (again,) = take_kernels(timed(1.25, 12), tmp_path)
    assert again.factor == one.factor, "the same kernels do not count twice"
    tables = Deployments(Catalog([tmp_path])).tables
    chip = PLAIN.chip("nvidia-rtx-4090")
    found = tables.operators.coefficients("gemm", chip.id, chip.family, "bf16", "vllm")
    assert found.basis == "calibrated" and tables.basis("gemm", chip, found) == "family"


def test_fewer_kernels_stay_closer_to_the_package(tmp_path: Path) -> None:
    factors = []
    for count in (1, 3, 12):
        (one,) = take_kernels(timed(1.4, count), tmp_path / str(count))
        factors.append(one.factor or 0.0)
    assert 1.0 < factors[0] < factors[-1] < 1.42


def test_many_kernels_make_a_set_of_their_own(tmp_path: Path) -> None:
    rows = timed(1.25, 4 * FEW)
    (one,) = take_kernels(rows, tmp_path)
    assert one.rows >= FEW and one.after is not None
    assert one.after < 0.05 < one.before
    tables = Deployments(Catalog([tmp_path])).tables
    chip = PLAIN.chip("nvidia-rtx-4090")
    found = tables.operators.coefficients("gemm", chip.id, chip.family, "bf16", "vllm")
    assert tables.basis("gemm", chip, found) == "calibrated"


def test_kernels_of_one_chip_leave_the_others_alone(tmp_path: Path) -> None:
    take_kernels(timed(1.4, 12), tmp_path)
    refined = Deployments(Catalog([tmp_path]))
    for chip in ("nvidia-l40s", "nvidia-h100-sxm", "nvidia-rtx-3090"):
        request = replace(
            RUN.request, model="qwen3-8b", chip=chip, n_chips=1, tp=1, weights_dtype="bf16", osl=128.0
        )
        assert refined.answer(request).quantities == PLAIN.answer(request).quantities
    mine = replace(RUN.request, model="qwen3-8b", chip="nvidia-rtx-4090", n_chips=1, tp=1, concurrency=1.0)
    mine = replace(mine, weights_dtype="bf16")
    assert refined.answer(mine).quantities["tpot_s"].value > PLAIN.answer(mine).quantities["tpot_s"].value


def test_kernels_that_the_chip_cannot_run_are_refused(tmp_path: Path) -> None:
    rows = [replace(row, chip="nvidia-a100-sxm-80gb", dtype="fp8") for row in timed(1.0, 2)]
    with pytest.raises(InputError, match="cannot compute in fp8"):
        take_kernels(rows, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


# -- the trial --------------------------------------------------------------------------------------------------------
def test_the_trial_judges_on_runs_that_were_not_drawn() -> None:
    requests = [
        replace(RUN.request, n_chips=tp, tp=tp, concurrency=load)
        for tp in (2, 4)
        for load in (1.0, 4.0, 16.0, 64.0)
    ]
    runs = synthetic({"decode_kernels": 1.25}, requests)
    found = trials(runs, calibration_records(), framework_records(), counts=(1, 3), draws=3)
    assert {(one.runs, one.before.shape[1]) for one in found} == {(1, 7), (3, 5)}
    few, more = (outcome(found, count, 0) for count in (1, 3))
    assert few is not None and more is not None
    assert few.values == 21 and more.values == 15
    assert more.median[1] < few.median[1] < few.median[0]
    assert more.width[1] < few.width[1] < few.width[0]
    same, other = (outcome(found, 1, 0, same) for same in (True, False))
    assert same is not None and other is not None
    assert same.values + other.values == few.values and same.median[1] < other.median[1]
    assert outcome(found, 10, 0) is None
