"""Fit the coefficients of one operator by least squares of log time, with a loss that outliers cannot rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanli.study.calibrate.samples import Samples

Array = NDArray[np.float64]
ROWS_PER_FIT = 2500
ROWS_PER_POOL = 5000
# Residuals of log time beyond this are treated as outliers (soft L1).
_OUTLIER = 0.1
_EVALUATIONS = 60


class Parameter(NamedTuple):
    """A coefficient to fit: "operator.coefficient", where to start and its physical bounds."""

    name: str
    start: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Model:
    """An operator's time law and its free coefficients.

    Attributes:
        operator: name of the operator.
        parameters: free coefficients.
        predict: time of rows [s] from {parameter: value}; must accept pooled rows.
        variants: choices of coefficients that are not continuous (which kernel design); the best fitting one wins.
        starts: starting values from the data, several where the law has several regimes; the best fit wins.
        rate: peak of one processor on each row, for chips of the same design with another rate [FLOP/s].
        pooled: bounds to use instead where kernels of several designs are fitted together: coefficients that can stand
            in for one another run to their bounds there.
        logarithmic: search in the logarithm of the coefficients, for laws whose terms span decades.
    """

    operator: str
    parameters: tuple[Parameter, ...]
    predict: Callable[[Samples, Mapping[str, float]], Array]
    variants: tuple[Mapping[str, float], ...] = ({},)
    starts: Callable[[Samples], Sequence[Mapping[str, float]]] | None = None
    rate: Callable[[Samples], Array] | None = None
    pooled: tuple[Parameter, ...] = ()
    logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted coefficients with standard errors (None at a bound or when given) and the rows used."""

    values: Mapping[str, float]
    errors: Mapping[str, float | None]
    rows: int


class Errors(NamedTuple):
    """Relative errors of judged rows: median and 90th percentile of the size, median of the sign, rows."""

    median: float
    p90: float
    bias: float
    rows: int


def fit(model: Model, samples: Samples, rows: int = ROWS_PER_FIT, seed: int = 0) -> Fit:
    """Fit a model to (a thinned copy of) measured rows.

    Minimises sum of rho(log(predicted/measured)) with rho the soft L1 loss; standard errors come from the
    Gauss-Newton Hessian at the solution.

    Args:
        model: law and free coefficients.
        samples: measured rows; their `fixed` coefficients are taken as given.
        rows: rows to use at most.
        seed: of the thinning.
    """
    used = samples.thinned(rows, seed)
    starts = model.starts(used) if model.starts else ({},)
    tries = [_fit_from(model, used, variant, start) for variant in model.variants for start in starts]
    return min(tries, key=lambda pair: pair[0])[1]


class _Scale:
    """Maps coefficients to positions between 0 and 1 within their bounds, on a linear or a logarithmic scale."""

    def __init__(self, free: Sequence[Parameter], logarithmic: bool) -> None:
        self.logarithmic = logarithmic
        self.low = np.array([parameter.low for parameter in free])
        high = np.array([parameter.high for parameter in free])
        self.span = np.log(high / self.low) if logarithmic else high - self.low

    def values(self, position: Array) -> Array:
        if self.logarithmic:
            return np.asarray(self.low * np.exp(position * self.span))
        return np.asarray(self.low + position * self.span)

    def position(self, values: Array) -> Array:
        raw = np.log(np.maximum(values, self.low) / self.low) if self.logarithmic else values - self.low
        return np.asarray(np.clip(raw / self.span, 0.0, 1.0))

    def slope(self, position: Array) -> Array:
        return np.asarray(self.span * self.values(position) if self.logarithmic else self.span)


def _fit_from(
    model: Model, used: Samples, variant: Mapping[str, float], start: Mapping[str, float]
) -> tuple[float, Fit]:
    """Fit from one start with some coefficients chosen; returns the cost and the fit."""
    from scipy.optimize import least_squares

    given = dict(used.fixed) | dict(variant)
    free = [parameter for parameter in model.parameters if parameter.name not in given]
    names = [parameter.name for parameter in free]
    scale = _Scale(free, model.logarithmic)
    first = np.array([start.get(parameter.name, parameter.start) for parameter in free])
    target = np.log(used.time_s)

    def residual(position: Array) -> Array:
        values = given | dict(zip(names, scale.values(position), strict=True))
        return np.asarray(np.log(model.predict(used, values)) - target)

    found = least_squares(
        residual,
        scale.position(first),
        bounds=(0.0, 1.0),
        loss="soft_l1",
        f_scale=_OUTLIER,
        max_nfev=_EVALUATIONS,
    )
    values = given | dict(zip(names, scale.values(found.x).tolist(), strict=True))
    errors: dict[str, float | None] = dict.fromkeys(values)
    spread = _spread(found.x, found.jac, 2.0 * float(found.cost), len(used))
    for name, size, slope in zip(names, spread, scale.slope(found.x), strict=True):
        errors[name] = None if np.isnan(size) else float(size * slope)
    return float(found.cost), Fit(values, errors, len(used))


def _spread(x: Array, jacobian: Array, squares: float, rows: int) -> Array:
    """Standard errors of the positions; NaN at a bound."""
    errors = np.full(x.size, np.nan)
    inside = np.flatnonzero((x > 1e-3) & (x < 1.0 - 1e-3))
    if inside.size and rows > inside.size:
        hessian = jacobian[:, inside].T @ jacobian[:, inside]
        variance = np.diag(np.linalg.pinv(hessian)) * squares / (rows - inside.size)
        errors[inside] = np.sqrt(np.maximum(variance, 0.0))
    return errors


def relative_errors(model: Model, samples: Samples, values: Mapping[str, float]) -> Array:
    """Return predicted/measured - 1 of each row."""
    return np.asarray(model.predict(samples, values) / samples.time_s - 1.0)


def summary(errors: Array) -> Errors:
    """Summarise relative errors; of no rows, all are NaN."""
    if errors.size == 0:
        return Errors(float("nan"), float("nan"), float("nan"), 0)
    size = np.abs(errors)
    return Errors(
        float(np.median(size)), float(np.quantile(size, 0.9)), float(np.median(errors)), errors.size
    )
