"""Own kernels into coefficients of the user's chip: few rows scale the closest set, many make one of their own.

A set of fewer than FEW rows scales the efficiencies of the closest set by one factor whose prior is that set's band
(maximum a posteriori, Student's t for outliers). A larger one is fitted on one half of its shapes, like the package's
own, and replaces the scaled one where it surely does better on the other half.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suanli.catalog import Catalog
from suanli.catalog.calibration import CALIBRATION_COLUMNS, read_tables
from suanli.catalog.own import CALIBRATION, KERNEL_COLUMNS, KERNELS, own_records
from suanli.errors import InputError, NoDataError, SuanliError
from suanli.hardware.coefficients import CoefficientRow, CoefficientSet, CoefficientTable
from suanli.hardware.formats import number_format
from suanli.serving import Accelerator, Coefficients
from suanli.serving.refinement import HALF_WIDTH
from suanli.study.calibrate.fit import Fit, Model, fit, relative_errors, summary
from suanli.study.calibrate.rows import write_rows
from suanli.study.calibrate.samples import Samples
from suanli.study.deployment.solve import Deployments
from suanli.study.refine.kernelrows import SOURCE, KernelRow, Key, read_kernel_rows, samples_of, sets_of
from suanli.study.refine.own import take, write_whole
from suanli.study.refine.ownrun import read_own_runs

Array = NDArray[np.float64]
FEW = 30
# Rows of the other half that can judge a fit.
_JUDGES = 10
# Least scatter of a kernel's time around its law: what sets of the package reach at best.
_LEAST_SCATTER = 0.05
_FREEDOM = 4.0
_PASSES = 20
_STEP = 0.01


@dataclass(frozen=True, slots=True)
class KernelFit:
    """One set of the user's chip.

    Attributes:
        key: operator, chip, format, framework and kernel.
        rows: that it comes from [1].
        how: "scaled" or "fitted".
        base: what it was scaled from, or is compared with, in words.
        factor: on the base set's time [1]; None where it was fitted.
        standard_error: of its logarithm [1].
        before: median relative error of the base set [1].
        after: of the new set, on rows that it was not fitted on; None with one row [1].
        table: its rows of the calibration table.
    """

    key: Key
    rows: int
    how: str
    base: str
    factor: float | None
    standard_error: float | None
    before: float
    after: float | None
    table: tuple[CoefficientRow, ...]


def take_kernels(new: Sequence[KernelRow], overlay: Path) -> list[KernelFit]:
    """Add kernels to an overlay, fit the sets of all its kernels again, write both tables; refine its runs anew.

    At most 2,500 rows of a set are kept: as many as a fit uses.

    Args:
        new: rows, names resolved.
        overlay: the folder; made where it is not there.

    Raises:
        InputError: kernels that the chip cannot run: every problem at once; or a folder that cannot be written.
    """
    folders = [overlay] if overlay.is_dir() else []
    deployments = Deployments(Catalog(folders))
    sets = sets_of([*read_kernel_rows(overlay), *new])
    table = read_tables(Coefficients).operators
    fits, problems = [], []
    for key, rows in sets.items():
        try:
            fits.append(fit_set(rows, deployments.chip(key[1]), table))
        except SuanliError as error:
            problems.append(f"{'/'.join(key)}: {error}")
    if problems:
        raise InputError("\n".join(problems))
    made = [row for one in fits for row in one.table]
    mine = {(row.operator, row.chip, row.family, row.dtype, row.framework, row.kernel) for row in made}
    kept = [row for row in own_records(overlay, CALIBRATION) if row[-1] != SOURCE and row[:6] not in mine]
    write_whole(
        overlay,
        {
            KERNELS: [KERNEL_COLUMNS, *(row.texts for rows in sets.values() for row in rows)],
            CALIBRATION: [CALIBRATION_COLUMNS, *kept, *_texts(made, overlay)],
        },
    )
    if read_own_runs(overlay):
        take((), overlay)
    return fits


def _texts(rows: Sequence[CoefficientRow], overlay: Path) -> list[list[str]]:
    """Rows as the calibration table writes them."""
    overlay.mkdir(parents=True, exist_ok=True)
    scratch = overlay / f".{CALIBRATION}.new"
    try:
        write_rows(rows, scratch)
        with scratch.open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))[1:]
    finally:
        scratch.unlink(missing_ok=True)


def law(operator: str) -> Model:
    """Return the time law of an operator with its coefficients."""
    from suanli.study.calibrate import attention, gemm, mla, moe

    return {
        "gemm": gemm.MODEL,
        "attention_decode": attention.DECODE,
        "attention_prefill": attention.PREFILL,
        "mla_decode": mla.DECODE,
        "mla_prefill": mla.PREFILL,
        "moe": moe.MODEL,
    }[operator]


def fit_set(rows: Sequence[KernelRow], chip: Accelerator, table: CoefficientTable) -> KernelFit:
    """Fit one set.

    Args:
        rows: its kernels.
        chip: the accelerator.
        table: the package's coefficients.

    Raises:
        InfeasibleError: the chip cannot compute in the format.
        NoDataError: the table has nothing for the operator.
    """
    operator, _, dtype, framework, kernel = rows[0].key
    model = law(operator)
    base = table.coefficients(operator, chip.id, chip.family, dtype, framework, kernel)
    values = _values(operator, base, chip, dtype, framework, table)
    samples = samples_of(rows, chip, _given(model, values))
    before = summary(relative_errors(model, samples, values)).median
    scaled = _scaled(model, samples, values, base)
    left_out = _left_out(model, samples, values, base)
    own = _fitted(model, samples, values, base) if len(rows) >= FEW else None
    words = f"{base.basis}: {base.fitted_on}"
    if own is not None:
        found, errors = own
        made = _table_rows(rows, chip, found, errors[0], errors[1], errors[2])
        return KernelFit(rows[0].key, len(rows), "fitted", words, None, None, before, errors[0], made)
    factor, error = scaled
    sigma = _scatter(base)
    median = summary(left_out).median if left_out.size else None
    worst = float(np.quantile(np.abs(left_out), 0.9)) if left_out.size >= _JUDGES else 0.0
    band = max(math.expm1(HALF_WIDTH * math.hypot(error, sigma)), worst)
    kept = Fit(_with_factor(values, factor), dict.fromkeys(values), min(len(rows), FEW - 1))
    made = _table_rows(
        rows, chip, kept, median if median is not None else 0.6745 * sigma, band, left_out.size
    )
    return KernelFit(rows[0].key, len(rows), "scaled", words, math.exp(factor), error, before, median, made)


def _values(
    operator: str,
    base: CoefficientSet,
    chip: Accelerator,
    dtype: str,
    framework: str,
    table: CoefficientTable,
) -> dict[str, float]:
    values = {f"{operator}.{name}": value for name, value in base.values.items()}
    if operator == "gemm" and number_format(dtype).quantised:
        quantise = table.coefficients("quantise", chip.id, chip.family, dtype, framework)
        values |= {f"quantise.{name}": value for name, value in quantise.values.items()}
    return values


def _given(model: Model, values: Mapping[str, float]) -> dict[str, float]:
    """Coefficients that a fit leaves alone: those that the base set has at their default, and the launch of a GEMM."""
    from dataclasses import fields

    from suanli.study.calibrate.rows import KINDS

    given = {}
    for parameter in model.parameters:
        operator, name = parameter.name.split(".", 1)
        if parameter.name in values and parameter.name != "gemm.launch_s":
            continue
        default = next(entry.default for entry in fields(KINDS[operator]) if entry.name == name)
        given[parameter.name] = values.get(parameter.name, float(default))  # type: ignore[arg-type]
    known = {parameter.name for parameter in model.parameters}
    return given | {name: value for name, value in values.items() if name not in known}


def _with_factor(values: Mapping[str, float], logarithm: float) -> dict[str, float]:
    """Coefficients whose efficiencies are divided by a factor on time, at most the whole peak or bandwidth."""
    return {
        name: min(value / math.exp(logarithm), max(1.0, value)) if name.endswith("_efficiency") else value
        for name, value in values.items()
    }


def _scatter(base: CoefficientSet) -> float:
    return max(base.median_error / 0.6745, _LEAST_SCATTER)


def _scaled(
    model: Model, samples: Samples, values: Mapping[str, float], base: CoefficientSet
) -> tuple[float, float]:
    """Most likely logarithm of the factor on time, and its standard error."""
    prior, sigma = math.log(max(base.band, 1.01)) / HALF_WIDTH, _scatter(base)
    target, found, width = np.log(samples.time_s), 0.0, prior

    def residual(logarithm: float) -> Array:
        return np.asarray(target - np.log(model.predict(samples, _with_factor(values, logarithm))))

    for _ in range(_PASSES):
        here = residual(found)
        slope = (here - residual(found + _STEP)) / _STEP
        weight = (_FREEDOM + 1.0) / (_FREEDOM + (here / sigma) ** 2) / sigma**2
        width = (1.0 / prior**2 + float((weight * slope**2).sum())) ** -0.5
        moved = width**2 * float((weight * slope * (here + slope * found)).sum())
        found, change = moved, abs(moved - found)
        if change < 1e-5:
            break
    return found, width


def _left_out(model: Model, samples: Samples, values: Mapping[str, float], base: CoefficientSet) -> Array:
    """Relative error of each row, of FEW at most, with a factor that did not see it; empty for one row."""
    if len(samples) < 2:
        return np.zeros(0)
    errors = []
    for at in range(min(len(samples), FEW)):
        others = samples.where(np.arange(len(samples)) != at)
        factor, _ = _scaled(model, others, values, base)
        errors.append(relative_errors(model, samples.where(np.array([at])), _with_factor(values, factor))[0])
    return np.array(errors)


def _fitted(
    model: Model, samples: Samples, values: Mapping[str, float], base: CoefficientSet
) -> tuple[Fit, tuple[float, float, int]] | None:
    """A fit of its own with its errors on the half that it did not see; None where scaling does better there."""
    half, judge = samples.halves()
    if len(half) < _JUDGES or len(judge) < _JUDGES:
        return None
    try:
        found = fit(model, half)
    except ImportError as error:
        raise NoDataError(
            f"{len(samples)} kernels want a fit: pip install 'suanli[calibrate]' ({error.name})"
        ) from None
    own = summary(relative_errors(model, judge, found.values))
    factor, _ = _scaled(model, half, values, base)
    scaled = summary(relative_errors(model, judge, _with_factor(values, factor)))
    # A median of few rows is not known better than this.
    surely = 1.0 - 1.0 / math.sqrt(own.rows)
    return (found, (own.median, own.p90, own.rows)) if own.median < surely * scaled.median else None


def _table_rows(
    rows: Sequence[KernelRow], chip: Accelerator, found: Fit, median: float, p90: float, judged: int
) -> tuple[CoefficientRow, ...]:
    _, _, dtype, framework, kernel = rows[0].key
    return tuple(
        CoefficientRow(
            operator=name.split(".", 1)[0],
            chip=chip.id,
            family=chip.family,
            dtype=dtype,
            framework=framework,
            kernel="*" if name.startswith("quantise.") else kernel,
            coefficient=name.split(".", 1)[1],
            value=value,
            standard_error=found.errors.get(name),
            rows_fit=found.rows,
            rows_judged=judged,
            median_error=median,
            p90_error=p90,
            fitted_on=f"{len(rows)} kernels of your own",
            source=SOURCE,
        )
        for name, value in found.values.items()
        if number_format(dtype).quantised or not name.startswith("quantise.")
    )
