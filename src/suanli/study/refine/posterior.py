"""Most likely corrections of a machine, its versions and deployments, with what stays uncertain, from a few runs.

Every run sees the sum of three corrections (logarithms): the machine's, its version's and its deployment's. All have
normal priors, so the answer is linear algebra around a point that is moved until it stays (Gauss-Newton)::

    y = r + J x      S = J C J' + R      x = C J' S^-1 y      P = C - C J' S^-1 J C

with r the logarithms of measured over predicted at x, J how predictions change with corrections, C the prior covariance
(runs of one version or deployment share its part) and R the scatter between conditions and the error of measurement.
Leaving a run out follows from S^-1 alone: its residual is (S^-1)_bb^-1 (S^-1 y)_b.

Reference: A. Tarantola, "Inverse Problem Theory", SIAM 2005, section 3.4; C. E. Rasmussen and C. K. I. Williams,
"Gaussian Processes for Machine Learning", MIT Press 2006, section 5.4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.serving.refinement import CORRECTIONS, corrected
from suanli.study.refine.observed import Observed
from suanli.study.refine.priors import TPOT_FREEDOM, TTFT_FREEDOM, Prior

Array = NDArray[np.float64]
Scope = tuple[str, str]
ANY = "*"
_PASSES = 25
_STAYS = 1e-3
# Step of the finite differences of a logarithm, and the farthest that a correction may go in one pass.
_STEP = 0.02
_FARTHEST = 0.7
# The farthest that a correction goes at all: a factor of 4.5. Beyond, something else is stated than was run.
_LARGEST = 1.5
# Rows of ordinary scatter that a machine's own scatter is averaged with.
_ORDINARY = 10.0


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of a machine after its runs.

    Attributes:
        prior: what was known before.
        scopes: (version, deployment) of each observation.
        jacobian: observations by corrections.
        inverse: S^-1.
        target: y.
        metric: 0 for TPOT, 1 for TTFT, of each observation.
        place: the run of each observation.
        before: logarithm of measured over predicted of each observation, not corrected.
        scatter: of TPOT and TTFT between conditions, at least the prior's [1].
    """

    prior: Prior
    scopes: tuple[Scope, ...]
    jacobian: Array
    inverse: Array
    target: Array
    metric: NDArray[np.intp]
    place: NDArray[np.intp]
    before: Array
    scatter: tuple[float, float]

    def at(self, scope: Scope) -> tuple[Array, Array]:
        """Return the corrections (logarithms) of a version and deployment, and their covariance.

        Args:
            scope: version and deployment; "*" for one that was not measured.
        """
        cross = self.jacobian * _shared(self.prior, [scope], self.scopes)[0]
        mean = cross.T @ self.inverse @ self.target
        own = np.diag(self.prior.machine**2 + self.prior.version**2 + self.prior.deployment**2)
        return mean, own - cross.T @ self.inverse @ cross

    def left_out(self) -> Array:
        """Logarithm of measured over predicted of each observation, its own run left out of the fit."""
        found = np.full(self.target.size, np.nan)
        weighted = self.inverse @ self.target
        for run in np.unique(self.place):
            mine = np.flatnonzero(self.place == run)
            found[mine] = np.linalg.solve(self.inverse[np.ix_(mine, mine)], weighted[mine])
        return found


def posterior(observed: Sequence[Observed], prior: Prior) -> Posterior:
    """Fit the corrections of one machine: chip, framework and kind of model.

    Args:
        observed: its runs.
        prior: what is known before.
    """
    scopes = tuple(
        (group.named[1], group.deployment) for group in observed for _ in range(2 * len(group.runs))
    )
    metric = np.concatenate([np.repeat([0, 1], len(group.runs)) for group in observed])
    place = np.concatenate([np.tile(group.places, 2) for group in observed])
    noise = np.concatenate([_noise(group) for group in observed])
    seen = np.concatenate(
        [np.isfinite(group.errors(group.ready.serving.values)).ravel() for group in observed]
    )
    kept = [scope for scope, here in zip(scopes, seen, strict=True) if here]
    metric, place, noise = metric[seen], place[seen], noise[seen]
    scale = np.where(metric == 0, prior.tpot_scatter, prior.ttft_scatter)
    shared = _shared(prior, kept, kept)
    corrections: dict[Scope, Array] = {}
    before = residual = np.zeros(metric.size)
    for _ in range(_PASSES):
        residual, slope = _linear(observed, corrections, seen)
        if not corrections:
            before = residual
        spread = np.hypot(scale * _heavy(residual / scale, metric), noise)
        here = np.array([corrections.get(scope, np.zeros(len(CORRECTIONS))) for scope in kept])
        target = residual + np.einsum("oi,oi->o", slope, here)
        total = np.einsum("ai,bi,abi->ab", slope, slope, shared) + np.diag(spread**2)
        inverse = np.linalg.inv(total)
        weights = inverse @ target
        moved = {
            scope: np.einsum("bi,bi,b->i", _shared(prior, [scope], kept)[0], slope, weights)
            for scope in dict.fromkeys(kept)
        }
        change = max(float(np.max(np.abs(new - corrections.get(s, 0.0)))) for s, new in moved.items())
        corrections = {
            s: np.clip(
                corrections.get(s, 0.0) + np.clip(new - corrections.get(s, 0.0), -_FARTHEST, _FARTHEST),
                -_LARGEST,
                _LARGEST,
            )
            for s, new in moved.items()
        }
        if change < _STAYS:
            break
    found = Posterior(
        prior,
        tuple(kept),
        slope,
        inverse,
        target,
        metric,
        place,
        before,
        (prior.tpot_scatter, prior.ttft_scatter),
    )
    return _own_scatter(found)


def _noise(group: Observed) -> Array:
    return np.array([[run.tpot_error for run in group.runs], [run.ttft_error for run in group.runs]]).ravel()


def _heavy(standard: Array, metric: NDArray[np.intp]) -> Array:
    """Factor on the scatter of outliers, whose residuals follow Student's t."""
    freedom = np.where(metric == 1, TTFT_FREEDOM, TPOT_FREEDOM)
    return np.asarray(np.sqrt((freedom + standard**2) / (freedom + 1.0)))


def _linear(
    observed: Sequence[Observed], corrections: dict[Scope, Array], seen: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Residuals at the present corrections, and the change of predictions with each."""
    residuals, slopes = [], []
    for group in observed:
        here = corrections.get((group.named[1], group.deployment), np.zeros(len(CORRECTIONS)))
        base = _errors(group, here).ravel()
        moved = [
            (base - _errors(group, here + _STEP * one).ravel()) / _STEP for one in np.eye(len(CORRECTIONS))
        ]
        residuals.append(base)
        slopes.append(np.stack(moved, axis=-1))
    return np.concatenate(residuals)[seen], np.concatenate(slopes)[seen]


def _errors(group: Observed, logarithms: Array) -> Array:
    factors = dict(zip(CORRECTIONS, np.exp(logarithms).tolist(), strict=True))
    return group.errors(corrected(group.ready.serving.values, factors))


def _shared(prior: Prior, first: Sequence[Scope], second: Sequence[Scope]) -> Array:
    """Prior covariance of each correction between scopes: first by second by corrections."""
    version = np.array([[a[0] == b[0] != ANY for b in second] for a in first])[..., None]
    deployment = np.array([[a[1] == b[1] != ANY for b in second] for a in first])[..., None]
    return np.asarray(prior.machine**2 + version * prior.version**2 + deployment * prior.deployment**2)


def _own_scatter(found: Posterior) -> Posterior:
    """Widen the scatter where the machine's own runs, each left out, scatter more than others' did."""
    variance = np.zeros(found.target.size)
    for run in np.unique(found.place):
        mine = np.flatnonzero(found.place == run)
        variance[mine] = np.diag(np.linalg.inv(found.inverse[np.ix_(mine, mine)]))
    standard = found.left_out() ** 2 / variance
    ratios = [
        max(
            (_ORDINARY + float(standard[found.metric == m].sum()))
            / (_ORDINARY + float((found.metric == m).sum())),
            1.0,
        )
        for m in (0, 1)
    ]
    tpot, ttft = (size * ratio**0.5 for size, ratio in zip(found.scatter, ratios, strict=True))
    return Posterior(
        found.prior,
        found.scopes,
        found.jacobian,
        found.inverse,
        found.target,
        found.metric,
        found.place,
        found.before,
        (tpot, ttft),
    )
