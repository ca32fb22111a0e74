"""Serving constants of frameworks from measured deployments: fitted on one half of the configurations, judged on the other."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanli.catalog.calibration import FRAMEWORK_COLUMNS
from suanli.errors import SuanliError
from suanli.serving import Coefficients
from suanli.serving.closed_loop import Latency, Load, closed_loop
from suanli.serving.engine import Engine, check_memory, engine
from suanli.serving.estimate import load_of
from suanli.serving.framework import KINDS, FrameworkRow, Serving, split_framework
from suanli.study.deployment.solve import Deployments
from suanli.study.validate.measured import Measurement
from suanli.study.validate.predict import request_of

Array = NDArray[np.float64]

FRAMEWORKS = ("sglang", "trtllm", "vllm")
FAMILIES = ("INFX", "AICGAP")
SOURCE = "aiconfigurator silicon sample"
# Residuals of a logarithm beyond this are treated as outliers (soft L1).
_OUTLIER = 0.1
# Weight of TTFT beside TPOT: its noise is three times as large.
_TTFT_WEIGHT = 0.35
# Pull towards the constants for unknown frameworks, in residuals of a logarithm per `Constant.scale`.
_PRIOR = 0.3
# A version's factor counts like this many rows of no drift.
_SHRINK = 3.0
_BAND = 0.9
_WIDEST_BAND = {"dense": 1.25, "moe": 1.45, "mla": 1.45}


class Constant(NamedTuple):
    """A constant to fit: how far from its default it may easily be, and its physical bounds."""

    name: str
    scale: float
    low: float
    high: float


CONSTANTS = (
    Constant("kernel_factor", 0.15, 0.6, 1.6),
    Constant("prefill_factor", 0.25, 0.5, 2.5),
    Constant("step_s", 1e-3, -1.5e-3, 8e-3),
    Constant("sequence_s", 15e-6, 0.0, 150e-6),
    Constant("prefill_step_s", 3e-3, 0.0, 30e-3),
    Constant("ttft_base_s", 30e-3, 0.0, 0.4),
    Constant("ttft_steps", 3.0, 0.0, 30.0),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Measured rows of one engine.

    Attributes:
        ready: the engine.
        load: what the clients asked, one value a row.
        tpot_s: measured, NaN where it was not or is in doubt [s].
        ttft_s: the same [s].
        measured: the rows themselves.
    """

    ready: Engine
    load: Load
    tpot_s: Array
    ttft_s: Array
    measured: tuple[Measurement, ...]

    @property
    def framework(self) -> str:
        """Name of the framework."""
        return split_framework(self.measured[0].framework)[0]

    def predict(self, constants: Serving) -> Latency:
        """Latencies with given constants."""
        return closed_loop(self.ready.table, constants, self.load)


def rows_of(measurements: Iterable[Measurement], deployments: Deployments, tables: Coefficients) -> list[Rows]:
    """Group closed-loop measurements by engine; those without speculative decoding that the model can answer.

    Args:
        measurements: what was measured.
        deployments: resolves names.
        tables: calibration rows.
    """
    groups: dict[int, tuple[Engine, list[tuple[Measurement, Load]]]] = {}
    for one in measurements:
        if one.protocol != "closed_loop" or one.mtp or one.family not in FAMILIES:
            continue
        try:
            point = deployments.point(request_of(one))
            ready = engine(point, tables)
            load = load_of(point, ready)
            prompt, output = float(np.asarray(load.input_tokens)), float(np.asarray(load.output_tokens))
            memory = ready.memory(prompt, output, float(np.asarray(load.clients)))
            check_memory(memory, ready)
        except SuanliError:
            continue
        load = replace(load, capacity=memory.sequences * ready.placement.dp)
        groups.setdefault(id(ready.table), (ready, []))[1].append((one, load))
    return [_rows(ready, members) for ready, members in groups.values()]


def _rows(ready: Engine, members: Sequence[tuple[Measurement, Load]]) -> Rows:
    def column(name: str) -> Array:
        return np.array([float(np.asarray(getattr(load, name))) for _, load in members])

    def value(metric: str) -> Array:
        return np.array(
            [np.nan if one.doubts(metric) else one.values.get(metric, np.nan) for one, _ in members]
        )

    names = ("clients", "input_tokens", "output_tokens", "cached_share", "capacity", "length_spread", "rounds")
    load = replace(members[0][1], **{name: column(name) for name in names})
    return Rows(ready, load, value("tpot_s"), value("ttft_s"), tuple(one for one, _ in members))


def errors(groups: Sequence[Rows], constants: Callable[[Rows], Serving]) -> tuple[Array, Array]:
    """Logarithms of predicted over measured TPOT and TTFT of all rows; NaN where not measured.

    Args:
        groups: rows by engine.
        constants: constants for a group.
    """
    tpot, ttft = [], []
    for group in groups:
        found = group.predict(constants(group))
        tpot.append(np.log(np.maximum(found.tpot_s, 1e-9) / group.tpot_s))
        ttft.append(np.log(np.maximum(found.ttft_s, 1e-9) / group.ttft_s))
    return np.concatenate(tpot), np.concatenate(ttft)


def fit_constants(groups: Sequence[Rows], base: Serving, start: Serving) -> tuple[Serving, dict[str, float | None]]:
    """Fit the constants of one framework and kind of model.

    Minimises sum rho(log TPOT ratio) + w sum rho(log TTFT ratio) + pull to `start`, rho the soft L1 loss.

    Args:
        groups: rows to fit.
        base: constants that are not fitted (chunk, memory).
        start: constants of unknown frameworks, the prior.

    Returns:
        The constants, and their standard errors (None at a bound).
    """
    from scipy.optimize import least_squares

    prior = np.array([getattr(start, one.name) for one in CONSTANTS])
    scale = np.array([one.scale for one in CONSTANTS])
    low = (np.array([one.low for one in CONSTANTS]) - prior) / scale
    high = (np.array([one.high for one in CONSTANTS]) - prior) / scale

    def at(position: Array) -> Serving:
        values = (prior + position * scale).tolist()
        return replace(base, **dict(zip((one.name for one in CONSTANTS), values, strict=True)))

    def residual(position: Array) -> Array:
        chosen = at(position)
        tpot, ttft = errors(groups, lambda group: chosen)
        both = np.concatenate([tpot, _TTFT_WEIGHT * ttft])
        return np.concatenate([both[np.isfinite(both)], _PRIOR * position])

    found = least_squares(
        residual,
        np.clip(np.zeros(scale.size), low + 1e-6, high - 1e-6),
        bounds=(low, high),
        loss="soft_l1",
        f_scale=_OUTLIER,
        diff_step=1e-3,
        max_nfev=40,
    )
    inside = (found.x > low + 1e-3) & (found.x < high - 1e-3)
    hessian = found.jac.T @ found.jac
    freedom = max(found.fun.size - scale.size, 1)
    spread = np.sqrt(np.maximum(np.diag(np.linalg.pinv(hessian)) * 2.0 * found.cost / freedom, 0.0)) * scale
    known = {
        one.name: float(error) if free else None
        for one, error, free in zip(CONSTANTS, spread, inside, strict=True)
    }
    return at(found.x), known


def drifts(groups: Sequence[Rows], constants: Serving) -> dict[str, tuple[float, int]]:
    """Factor on kernel times of each version of a framework: the median residual, shrunk towards none.

    Args:
        groups: rows that were fitted.
        constants: of the framework.

    Returns:
        {version: (factor, rows)}.
    """
    by_version: dict[str, list[float]] = {}
    for group in groups:
        tpot, _ = errors([group], lambda one: constants)
        for one, error in zip(group.measured, tpot.tolist(), strict=True):
            if np.isfinite(error):
                by_version.setdefault(split_framework(one.framework)[1], []).append(error)
    return {
        version: (float(np.exp(-np.median(found) * len(found) / (len(found) + _SHRINK))), len(found))
        for version, found in by_version.items()
        if version
    }


def fitted(groups: Sequence[Rows], tables: Coefficients) -> dict[tuple[str, str], FittedSet]:
    """Fit every framework and kind of model that has rows.

    Args:
        groups: rows to fit.
        tables: the structural constants (chunks, memory) and the prior.
    """
    found: dict[tuple[str, str], FittedSet] = {}
    for framework in FRAMEWORKS:
        for kind in KINDS:
            mine = [one for one in groups if one.framework == framework and one.ready.table.kind == kind]
            if not mine:
                continue
            base = structural(tables, framework, kind)
            start = tables.frameworks.serving("*", "*", kind).values
            normal = [one for one in (_graphs_only(group) for group in mine) if one is not None]
            constants, known = fit_constants(normal or mine, base, start)
            found[framework, kind] = FittedSet(
                framework, kind, constants, known, drifts(normal, constants), _bands(mine, constants, kind)
            )
    return found


@dataclass(frozen=True, slots=True)
class FittedSet:
    """Constants of one framework and kind, with errors, version factors, and bands of TPOT and TTFT."""

    framework: str
    kind: str
    constants: Serving
    errors: Mapping[str, float | None]
    versions: Mapping[str, tuple[float, int]]
    bands: tuple[float, float]

    def of_version(self, version: str) -> Serving:
        """The constants of a version."""
        factor = self.versions.get(version, (1.0, 0))[0]
        return replace(self.constants, kernel_factor=self.constants.kernel_factor * factor)


def structural(tables: Coefficients, framework: str, kind: str) -> Serving:
    """Constants of a framework that are not fitted here."""
    return tables.frameworks.serving(framework, "*", kind).values


# Versions that ran without graphs: their step is the host's, not the kernels'.
EAGER = (("vllm 0.12.0", "moe"),)


def _graphs_only(group: Rows) -> Rows | None:
    kind = group.ready.table.kind
    kept = [i for i, one in enumerate(group.measured) if (one.framework, kind) not in EAGER]
    return group if len(kept) == len(group.measured) else (_select(group, kept) if kept else None)


def _select(group: Rows, index: Sequence[int]) -> Rows:
    names = ("clients", "input_tokens", "output_tokens", "cached_share", "capacity", "length_spread", "rounds")
    load = replace(group.load, **{name: np.asarray(getattr(group.load, name))[list(index)] for name in names})
    return Rows(
        group.ready,
        load,
        group.tpot_s[list(index)],
        group.ttft_s[list(index)],
        tuple(group.measured[i] for i in index),
    )


def halves(groups: Sequence[Rows], half: str) -> list[Rows]:
    """Return the rows of one half: "fit" or "judge"."""
    return chosen(groups, lambda one: one.half == half)


def chosen(groups: Sequence[Rows], keep: Callable[[Measurement], bool]) -> list[Rows]:
    """Return the rows that a condition keeps."""
    found = []
    for group in groups:
        index = [i for i, one in enumerate(group.measured) if keep(one)]
        if index:
            found.append(_select(group, index))
    return found


def _bands(groups: Sequence[Rows], constants: Serving, kind: str) -> tuple[float, float]:
    """Factors that nine of ten fitted rows keep; TTFT away from saturation only."""
    tpot, ttft = errors(groups, lambda one: constants)
    calm = np.concatenate([np.asarray(g.predict(constants).prefill_share) < 0.8 for g in groups])
    step = float(np.exp(np.nanquantile(np.abs(tpot), _BAND)))
    first = float(np.exp(np.nanquantile(np.abs(ttft[calm]), _BAND)))
    return min(step, _WIDEST_BAND[kind]), first


def framework_rows(
    sets: Mapping[tuple[str, str], FittedSet], fit: Sequence[Rows], judge: Sequence[Rows]
) -> list[FrameworkRow]:
    """The fitted rows of the framework table, with the errors of judged rows.

    Args:
        sets: fitted sets.
        fit: rows that were fitted.
        judge: rows that judge.
    """
    rows = []
    for (framework, kind), found in sets.items():
        mine = [one for one in fit if one.framework == framework and one.ready.table.kind == kind]
        others = [one for one in judge if one.framework == framework and one.ready.table.kind == kind]
        fitted_on = ", ".join(sorted({m.model for g in mine for m in g.measured}))
        count = sum(len(g.measured) for g in mine)
        scores = _scores(others, found)
        for one in CONSTANTS:
            score = scores["ttft" if one.name.startswith("ttft") else "tpot"]
            rows.append(
                FrameworkRow(
                    *(framework, "*", kind, one.name, getattr(found.constants, one.name)),
                    *(found.errors[one.name], count, *score, fitted_on, SOURCE),
                )
            )
        for name, value in zip(("tpot_band", "ttft_band"), found.bands, strict=True):
            rows.append(
                FrameworkRow(framework, "*", kind, name, value, None, count, 0, None, None, fitted_on, SOURCE)
            )
        for version, (factor, number) in sorted(found.versions.items()):
            rows.append(
                FrameworkRow(
                    *(framework, version, kind, "kernel_factor_drift", factor, None, number, 0, None, None),
                    *(f"{framework} {version}", SOURCE),
                )
            )
    return rows


def _scores(groups: Sequence[Rows], found: FittedSet) -> dict[str, tuple[int, float | None, float | None]]:
    if not groups:
        return {"tpot": (0, None, None), "ttft": (0, None, None)}
    scores: dict[str, tuple[int, float | None, float | None]] = {}
    parts = [errors([_one(g, i)], lambda one: _version_constants(one, found)) for g in groups for i in range(len(g.measured))]
    for name, column in (("tpot", 0), ("ttft", 1)):
        size = np.abs(np.expm1(np.concatenate([part[column] for part in parts])))
        size = size[np.isfinite(size)]
        scores[name] = (size.size, float(np.median(size)), float(np.quantile(size, 0.9))) if size.size else (0, None, None)
    return scores


def _one(group: Rows, index: int) -> Rows:
    return _select(group, [index])


def _version_constants(group: Rows, found: FittedSet) -> Serving:
    return found.of_version(split_framework(group.measured[0].framework)[1])


def write_rows(rows: Iterable[FrameworkRow], path: Path) -> None:
    """Replace the fitted rows of a framework table; rows that were not fitted stay.

    Args:
        rows: fitted rows.
        path: the table.
    """
    with path.open(encoding="utf-8", newline="") as file:
        kept = [row for row in csv.DictReader(file) if row["source"] != SOURCE]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FRAMEWORK_COLUMNS)
        writer.writerows([row[name] for name in FRAMEWORK_COLUMNS] for row in kept)
        for row in rows:
            numbers = (row.standard_error, row.rows_fit, row.rows_judged, row.median_error, row.p90_error)
            shown = ["" if value is None else f"{value:.4g}" for value in numbers]
            writer.writerow(
                [row.framework, row.version, row.kind, row.constant, f"{row.value:.5g}", *shown, row.fitted_on, row.source]
            )
