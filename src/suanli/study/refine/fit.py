"""From runs to refinements: every machine (chip, framework, kind of model) is fitted on all its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from suanli.serving import Coefficients
from suanli.serving.framework import ServingSet
from suanli.serving.refinement import Refinement
from suanli.study.refine.observed import Observed, Run, observe
from suanli.study.refine.posterior import ANY, Posterior, Scope, posterior
from suanli.study.refine.priors import TTFT_TAIL, prior

Group = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Machine:
    """One fitted machine.

    Attributes:
        group: chip, framework and kind of model.
        observed: its runs.
        found: what they say.
    """

    group: Group
    observed: tuple[Observed, ...]
    found: Posterior

    @property
    def places(self) -> tuple[int, ...]:
        """Its runs' places in the list that was given."""
        return tuple(sorted(at for group in self.observed for at in group.places))

    def refinement(self, scope: Scope, fitted_on: str = "") -> Refinement:
        """Return the corrections of one version and deployment.

        Args:
            scope: version and deployment, "*" for others than those measured.
            fitted_on: the runs in words.
        """
        mean, covariance = self.found.at(scope)
        tpot, ttft = self.found.scatter
        chip, framework, kind = self.group
        version, deployment = scope
        return Refinement(
            chip,
            framework,
            version,
            kind,
            deployment,
            tuple(np.exp(mean).tolist()),
            tuple(tuple(row) for row in covariance.tolist()),
            tpot,
            ttft * TTFT_TAIL,
            len(self.places),
            fitted_on,
        )

    def refinements(self, fitted_on: str = "") -> list[Refinement]:
        """Return the corrections of each measured version and deployment, then of others of either, then of any."""
        measured = list(dict.fromkeys(self.found.scopes))
        rest = [(version, ANY) for version, _ in measured] + [(ANY, deployment) for _, deployment in measured]
        return [self.refinement(scope, fitted_on) for scope in dict.fromkeys([*measured, *rest, (ANY, ANY)])]

    def errors(self, metric: int) -> tuple[float | None, float | None]:
        """Median size of the relative error before, and after with each run left out; None with fewer than two runs.

        Args:
            metric: 0 for TPOT, 1 for TTFT.
        """
        mine = self.found.metric == metric
        if not mine.any():
            return None, None
        before = float(np.median(np.abs(np.expm1(-self.found.before[mine]))))
        if len(self.places) < 2:
            return before, None
        return before, float(np.median(np.abs(np.expm1(-self.found.left_out()[mine]))))


def refine(runs: Sequence[Run], tables: Coefficients) -> list[Machine]:
    """Fit every machine that has runs.

    Args:
        runs: runs whose points have an answer.
        tables: calibration rows, not refined.
    """
    groups: dict[Group, list[Observed]] = {}
    for one in observe(runs, tables):
        groups.setdefault(one.group, []).append(one)
    return [
        Machine(group, tuple(members), posterior(members, prior(_widest(members), _basis(members))))
        for group, members in groups.items()
    ]


def _widest(members: Sequence[Observed]) -> ServingSet:
    """The constants of the engine whose band is widest: the one that least was known of."""
    return max((one.ready.serving for one in members), key=lambda serving: serving.values.tpot_band)


def _basis(members: Sequence[Observed]) -> str:
    """The weakest basis among a machine's engines."""
    ranks: Mapping[str, int] = {"calibrated": 0, "family": 1, "datasheet": 2}
    return max((one.ready.table.basis for one in members), key=lambda basis: ranks[basis])
