"""Serving constants of frameworks from measured deployments: fitted on one half of the configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanli.serving.framework import KINDS, FrameworkTable, Serving
from suanli.study.calibrate.serving_rows import Rows

Array = NDArray[np.float64]

FRAMEWORKS = ("sglang", "trtllm", "vllm")
SOURCE = "aic-silicon-sample"
# Residuals of a logarithm beyond this are treated as outliers (soft L1).
_OUTLIER = 0.1
# Weight of TTFT beside TPOT: its noise is three times as large.
_TTFT_WEIGHT = 0.35
# Pull towards the constants for unknown frameworks, in residuals of a logarithm per `Constant.scale`.
_PRIOR = 1.0
# A version's factor counts like this many rows of no drift.
_SHRINK = 4.0
_BAND = 0.92
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


def fit_constants(
    groups: Sequence[Rows],
    base: Callable[[Rows], Serving],
    start: Serving,
    names: Sequence[Constant] = CONSTANTS,
    pull: float = _PRIOR,
) -> tuple[dict[str, float], dict[str, float | None]]:
    """Fit the constants of one framework and kind of model.

    Minimises sum rho(log TPOT ratio) + w sum rho(log TTFT ratio) + pull to `start`, rho the soft L1 loss.

    Args:
        groups: rows to fit.
        base: constants of a group that are not fitted (chunk, memory).
        start: constants of unknown frameworks, the prior.
        names: constants to fit.
        pull: weight of the prior, in residuals of a logarithm per `Constant.scale` [1].

    Returns:
        The constants, and their standard errors (None at a bound).
    """
    from scipy.optimize import least_squares

    prior = np.array([getattr(start, one.name) for one in names])
    scale = np.array([one.scale for one in names])
    low = (np.array([one.low for one in names]) - prior) / scale
    high = (np.array([one.high for one in names]) - prior) / scale
    bases = [base(group) for group in groups]

    def at(position: Array) -> dict[str, float]:
        values = (prior + position * scale).tolist()
        return dict(zip((one.name for one in names), values, strict=True))

    def residual(position: Array) -> Array:
        values = at(position)
        parts = [group.errors(replace(own, **values)) for group, own in zip(groups, bases, strict=True)]
        both = np.concatenate([np.concatenate([tpot, _TTFT_WEIGHT * ttft]) for tpot, ttft in parts])
        return np.concatenate([both[np.isfinite(both)], pull * position])

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
    freedom = max(found.fun.size - scale.size, 1)
    variance = np.diag(np.linalg.pinv(found.jac.T @ found.jac)) * 2.0 * found.cost / freedom
    spread = np.sqrt(np.maximum(variance, 0.0)) * scale
    known = {
        one.name: float(error) if free else None
        for one, error, free in zip(names, spread, inside, strict=True)
    }
    return at(found.x), known


@dataclass(frozen=True, slots=True)
class FittedSet:
    """Constants of one framework and kind.

    Attributes:
        framework: its name.
        kind: kind of model.
        table: constants that are not fitted.
        values: fitted constants.
        errors: their standard errors.
        versions: {version: (factor on kernel times, rows)}.
        host_layer_s: {version without graphs: (host time per layer [s], rows)}.
        bands: 90 % bands of TPOT and TTFT.
    """

    framework: str
    kind: str
    table: FrameworkTable
    values: Mapping[str, float]
    errors: Mapping[str, float | None]
    versions: Mapping[str, tuple[float, int]]
    host_layer_s: Mapping[str, tuple[float, int]]
    bands: tuple[float, float]

    def plain(self, group: Rows) -> Serving:
        """Constants of a group without its version's factor."""
        own = self.table.serving(self.framework, group.version, self.kind).values
        return replace(own, **self.values)

    def of(self, group: Rows) -> Serving:
        """Constants of a group."""
        found = self.plain(group)
        factor = self.versions.get(group.version, (1.0, 0))[0]
        layer = self.host_layer_s.get(group.version, (found.host_layer_s, 0))[0]
        return replace(found, kernel_factor=found.kernel_factor * factor, host_layer_s=layer)


def fitted(groups: Sequence[Rows], table: FrameworkTable) -> dict[tuple[str, str], FittedSet]:
    """Fit every framework and kind of model that has rows.

    Args:
        groups: rows to fit.
        table: constants that are not fitted, and the prior.
    """
    found: dict[tuple[str, str], FittedSet] = {}
    for framework in FRAMEWORKS:
        for kind in KINDS:
            mine = [one for one in groups if one.framework == framework and one.ready.table.kind == kind]
            if mine:
                found[framework, kind] = _fitted(mine, framework, kind, table)
    return found


def _fitted(groups: Sequence[Rows], framework: str, kind: str, table: FrameworkTable) -> FittedSet:
    graphs = [one for one in groups if not one.eager] or list(groups)

    def base(group: Rows) -> Serving:
        return table.serving(framework, group.version, kind).values

    start = table.serving("*", "*", kind).values
    values, known = fit_constants(graphs, base, start)
    found = FittedSet(framework, kind, table, values, known, {}, {}, (1.0, 1.0))
    found = replace(found, versions=drifts(graphs, found), host_layer_s=_host_layers(groups, found))
    return replace(found, bands=_bands(groups, found))


def drifts(groups: Sequence[Rows], found: FittedSet) -> dict[str, tuple[float, int]]:
    """Factor on kernel times of each version: the median residual of TPOT, shrunk towards none."""
    by_version: dict[str, list[float]] = {}
    for group in groups:
        tpot, _ = group.errors(found.plain(group))
        by_version.setdefault(group.version, []).extend(tpot[np.isfinite(tpot)].tolist())
    return {
        version: (float(np.exp(-np.median(errors) * len(errors) / (len(errors) + _SHRINK))), len(errors))
        for version, errors in by_version.items()
        if version and errors
    }


def _host_layers(groups: Sequence[Rows], found: FittedSet) -> dict[str, tuple[float, int]]:
    """Host time per layer of versions without graphs: where the median residual of TPOT is none."""
    layers = {}
    for version in sorted({group.version for group in groups if group.eager}):
        mine = [group for group in groups if group.eager and group.version == version]

        def bias(host: float, rows: Sequence[Rows] = tuple(mine)) -> float:
            parts = [one.errors(replace(found.plain(one), host_layer_s=host))[0] for one in rows]
            return float(np.nanmedian(np.concatenate(parts)))

        low, high = 0.0, 2e-3
        for _ in range(30):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if bias(middle) < 0.0 else (low, middle)
        layers[version] = (high, sum(len(one.measured) for one in mine))
    return layers


def _bands(groups: Sequence[Rows], found: FittedSet) -> tuple[float, float]:
    """Factors that nine of ten fitted rows keep; TTFT away from saturation only."""
    tpot, ttft = (np.concatenate(part) for part in zip(*(g.errors(found.of(g)) for g in groups), strict=True))
    calm = np.concatenate([np.asarray(g.predict(found.of(g)).prefill_share) < 0.8 for g in groups])
    step = float(np.exp(np.nanquantile(np.abs(tpot), _BAND)))
    first = float(np.exp(np.nanquantile(np.abs(ttft[calm]), _BAND)))
    return min(step, _WIDEST_BAND[found.kind]), first


def structural_table(records: Iterable[Sequence[str]]) -> FrameworkTable:
    """The framework table without its fitted rows.

    Args:
        records: rows of the table as texts.
    """
    return FrameworkTable([row for row in records if row[-1] != SOURCE])
