"""How far predictions are from measurements: error, bias, coverage of the band, rank correlation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from suanli.study.validate.measured import Measurement


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric of one measurement with its prediction.

    Attributes:
        measurement: the configuration as measured.
        metric: name of the metric.
        measured: its value [SI].
        predicted: ours [SI]; None where there is no answer.
        low, high: our 90 % band [SI].
        basis: "calibrated", "family", "datasheet".
        reason: why there is no answer.
    """

    measurement: Measurement
    metric: str
    measured: float
    predicted: float | None
    low: float | None = None
    high: float | None = None
    basis: str = ""
    reason: str = ""

    @property
    def error(self) -> float:
        """predicted / measured - 1; NaN where there is no answer [1]."""
        return math.nan if self.predicted is None else self.predicted / self.measured - 1.0

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the band."""
        return self.low is not None and self.high is not None and self.low <= self.measured <= self.high

    @property
    def clean(self) -> bool:
        """Whether no sanity check doubts the measurement."""
        return not self.measurement.doubts(self.metric)


@dataclass(frozen=True, slots=True)
class Score:
    """Statistics of pairs; errors are |predicted/measured - 1|. None where nothing was answered.

    Attributes:
        rows: pairs [1]. answered: those with a prediction [1].
        median, mean, p90: of the error [1].
        bias: median of predicted/measured - 1 [1].
        coverage: share of answered pairs whose measurement lies in the 90 % band [1].
        width: geometric mean of high over low, to the power 1/2: the band is x/width [1].
        rank: median Spearman correlation inside groups that differ in layout and concurrency only [1].
        rank_groups: groups of at least four [1].
    """

    rows: int
    answered: int
    median: float | None = None
    mean: float | None = None
    p90: float | None = None
    bias: float | None = None
    coverage: float | None = None
    width: float | None = None
    rank: float | None = None
    rank_groups: int = 0


def score(pairs: Sequence[Pair]) -> Score:
    """Return the statistics of pairs of one metric."""
    answered = [pair for pair in pairs if pair.predicted is not None]
    if not answered:
        return Score(len(pairs), 0)
    errors = np.array([pair.error for pair in answered])
    banded = [pair for pair in answered if pair.low and pair.high]
    widths = [math.sqrt(pair.high / pair.low) for pair in banded if pair.high and pair.low]
    ranks = [value for group in _groups(answered) if (value := spearman(*group)) is not None]
    return Score(
        rows=len(pairs),
        answered=len(answered),
        median=float(np.median(np.abs(errors))),
        mean=float(np.mean(np.abs(errors))),
        p90=float(np.percentile(np.abs(errors), 90.0)),
        bias=float(np.median(errors)),
        coverage=sum(pair.inside for pair in banded) / len(banded) if banded else None,
        width=float(np.exp(np.mean(np.log(widths)))) if widths else None,
        rank=float(np.median(ranks)) if ranks else None,
        rank_groups=len(ranks),
    )


def _groups(pairs: Iterable[Pair]) -> list[tuple[list[float], list[float]]]:
    """Predicted and measured values of pairs that differ in layout and concurrency only; groups of four and more."""
    groups: dict[tuple[object, ...], list[Pair]] = {}
    for pair in pairs:
        one = pair.measurement
        key = (
            one.model,
            one.chip,
            one.weights_dtype,
            one.framework.split()[0],
            one.isl,
            one.osl,
            one.mtp,
            one.phase,
        )
        groups.setdefault(key, []).append(pair)
    return [
        ([pair.predicted or 0.0 for pair in group], [pair.measured for pair in group])
        for group in groups.values()
        if len(group) >= 4
    ]


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties given their mean rank; None where one side is constant.

    Reference:
        C. Spearman, "The proof and measurement of association between two things", Am. J. Psychol. 15(1), 1904.
    """
    ranks = [_ranks(np.asarray(values, dtype=float)) for values in (first, second)]
    deviations = [rank - rank.mean() for rank in ranks]
    norm = math.sqrt(float((deviations[0] ** 2).sum() * (deviations[1] ** 2).sum()))
    return float((deviations[0] * deviations[1]).sum()) / norm if norm > 0.0 else None


def _ranks(values: np.ndarray) -> np.ndarray:
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2.0)[at]


def by(pairs: Iterable[Pair], key: Callable[[Pair], str]) -> dict[str, list[Pair]]:
    """Return pairs by a key, in the order of first appearance."""
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(key(pair), []).append(pair)
    return found
