"""Does it help? Published runs of a group refine it, the other runs of that group judge, before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from suanli.errors import SuanliError
from suanli.serving import Coefficients, estimates
from suanli.serving.estimate import estimate
from suanli.serving.refinement import RefinementTable
from suanli.study.deployment.solve import Deployments
from suanli.study.refine.fit import Group, refine
from suanli.study.refine.observed import Run, observe
from suanli.study.validate.measured import Measurement
from suanli.study.validate.predict import request_of

# Runs that refine, and how often each number of them is drawn anew in each group.
COUNTS = (1, 3, 10)
DRAWS = 8
# Runs that must be left to judge.
_JUDGES = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """One drawing of one group, judged on the runs that were not drawn.

    Attributes:
        group: chip, framework and kind of model.
        runs: that refined [1].
        same: of each judged value, whether its deployment (model, formats, layout) was among them.
        before: predicted/measured of each judged value, not refined: a row of TPOT, a row of TTFT; NaN where none.
        after: the same, refined.
        width: (logarithm of the half-width of the band before, after), each with a row of TPOT and a row of TTFT.
    """

    group: Group
    runs: int
    same: np.ndarray
    before: np.ndarray
    after: np.ndarray
    width: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Statistics of one metric over all drawings of a number of runs.

    Attributes:
        runs: that refined [1].
        values: judged [1].
        median: of the error's size, before and after [1].
        p90: the 90th percentile [1].
        coverage: share inside the printed band [1].
        width: geometric mean half-width of the band, as a factor [1].
    """

    runs: int
    values: int
    median: tuple[float, float]
    p90: tuple[float, float]
    coverage: tuple[float, float]
    width: tuple[float, float]


def runs_of(measurements: Sequence[Measurement], deployments: Deployments) -> list[Run]:
    """Return closed-loop measurements without drafts or doubts that the model can answer, as runs."""
    found = []
    for one in measurements:
        if one.protocol != "closed_loop" or one.mtp:
            continue
        try:
            point = deployments.point(request_of(one))
        except SuanliError:
            continue
        tpot, ttft = (
            np.nan if one.doubts(name) else one.values.get(name, np.nan) for name in ("tpot_s", "ttft_s")
        )
        if estimate(point, deployments.tables).status == "ok" and not np.isnan([tpot, ttft]).all():
            found.append(Run(point, tpot, ttft))
    return found


def trials(
    runs: Sequence[Run],
    kernels: Sequence[Sequence[str]],
    frameworks: Sequence[Sequence[str]],
    counts: Sequence[int] = COUNTS,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> list[Trial]:
    """Refine every group on some of its runs, drawn at random, and judge on the others.

    Args:
        runs: the runs.
        kernels: calibration rows of operators.
        frameworks: rows of frameworks: the package's, or without those that were fitted.
        counts: how many runs refine.
        draws: drawings of each count and group.
        seed: of the drawings.
        progress: called with the number of groups done.
    """
    tables = Coefficients(kernels, frameworks)
    groups: dict[Group, list[int]] = {}
    for machine in refine(runs, tables):
        groups[machine.group] = list(machine.places)
    random = np.random.default_rng(seed)
    found: list[Trial] = []
    for done, (group, places) in enumerate(groups.items()):
        for count in counts:
            if len(places) < count + _JUDGES:
                continue
            for _ in range(draws):
                drawn = set(random.choice(places, count, replace=False).tolist())
                chosen, others = (
                    [runs[at] for at in places if (at in drawn) is want] for want in (True, False)
                )
                found.append(_trial(group, chosen, others, tables))
        if progress is not None:
            progress(done + 1)
    return found


def _trial(group: Group, chosen: Sequence[Run], others: Sequence[Run], tables: Coefficients) -> Trial:
    refined = Coefficients(tables.operators, tables.frameworks)
    (machine,) = refine(chosen, tables)
    refined.refinements = RefinementTable(machine.refinements())
    measured = {scope[1] for scope in machine.found.scopes}
    parts = [_judged(others, one) for one in (tables, refined)]
    same = np.array([_deployment(run, tables) in measured for run in others])
    (before, width), (after, narrow) = parts
    return Trial(group, len(chosen), same, before, after, (width, narrow))


def _deployment(run: Run, tables: Coefficients) -> str:
    return observe([run], tables)[0].deployment


def _judged(runs: Sequence[Run], tables: Coefficients) -> tuple[np.ndarray, np.ndarray]:
    answers = estimates([run.point for run in runs], tables)
    measured = np.array([[run.tpot_s for run in runs], [run.ttft_s for run in runs]])
    bands = [[one.tpot_s for one in answers], [one.ttft_s for one in answers]]
    value, high = (
        np.array([[getattr(band, name) if band else np.nan for band in row] for row in bands])
        for name in ("value", "high")
    )
    return value / measured, np.log(high / value)


def outcome(found: Sequence[Trial], runs: int, metric: int, same: bool | None = None) -> Outcome | None:
    """Return the statistics of one metric for one number of runs; None where nothing was judged.

    Args:
        found: the trials.
        runs: how many runs refined.
        metric: 0 for TPOT, 1 for TTFT.
        same: only values of deployments that were (True) or were not (False) among those runs.
    """
    mine = [one for one in found if one.runs == runs]
    if not mine:
        return None
    keep = [
        np.isfinite(one.before[metric])
        & (np.full(one.same.shape, True) if same is None else one.same == same)
        for one in mine
    ]
    ratios = [
        np.concatenate([getattr(one, when)[metric][here] for one, here in zip(mine, keep, strict=True)])
        for when in ("before", "after")
    ]
    widths = [
        np.concatenate([one.width[at][metric][here] for one, here in zip(mine, keep, strict=True)])
        for at in (0, 1)
    ]
    if not ratios[0].size:
        return None
    sizes = [np.abs(ratio - 1.0) for ratio in ratios]

    def pair(values: Sequence[float]) -> tuple[float, float]:
        return float(values[0]), float(values[1])

    return Outcome(
        runs,
        int(ratios[0].size),
        pair([float(np.median(size)) for size in sizes]),
        pair([float(np.quantile(size, 0.9)) for size in sizes]),
        pair([float(np.mean(np.abs(np.log(r)) <= w)) for r, w in zip(ratios, widths, strict=True)]),
        pair([float(np.exp(np.mean(w))) for w in widths]),
    )
