"""From measured groups to coefficient sets: own chip, family prior, generic prior, each with the error it earned.

A group is one (chip, format, framework, kernel). Its own set is fitted on one half of its shapes and judged on the
other. A family prior is fitted on all chips of the family and judged chip by chip, each time without that chip. The
generic prior is fitted on all families and judged family by family, each time without that family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from suanli.study.calibrate.fit import (
    ROWS_PER_FIT,
    ROWS_PER_POOL,
    Errors,
    Fit,
    Model,
    fit,
    relative_errors,
    summary,
)
from suanli.study.calibrate.samples import Samples, pool

Array = NDArray[np.float64]
ANY = "*"
Key = tuple[str, str, str, str]
_JUDGED_ROWS = 20000


@dataclass(frozen=True, slots=True)
class CoefficientFit:
    """One set for the table: its key, its coefficients, and the errors of the rows that judge it."""

    operator: str
    chip: str
    family: str
    dtype: str
    framework: str
    kernel: str
    fit: Fit
    errors: Errors
    judged_by: str
    fitted_on: str
    source: str


@dataclass(slots=True)
class Judgement:
    """Errors of all judged rows of an operator, by how the coefficients were found.

    Attributes:
        own: from the group itself.
        left_out_chip: from other chips of the family, same framework and kernel.
        left_out_family: from all other families, frameworks and kernels pooled.
        left_out_family_same_kernel: from all other families that have the kernel of that name.
    """

    own: dict[Key, Array] = field(default_factory=dict)
    left_out_chip: dict[Key, Array] = field(default_factory=dict)
    left_out_family: dict[Key, Array] = field(default_factory=dict)
    left_out_family_same_kernel: dict[Key, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """All sets of one operator with the errors behind them."""

    operator: str
    sets: tuple[CoefficientFit, ...]
    judgement: Judgement


def _key(group: Samples) -> Key:
    return group.chip, group.dtype, group.framework, group.kernel


class OperatorCalibration:
    """Fits one operator on all its groups. Fits are kept, so that leaving a chip out costs nothing twice."""

    def __init__(self, model: Model, groups: Iterable[Samples], pooled: bool = True) -> None:
        """Take groups; `pooled` also makes sets over all frameworks and kernels of a place."""
        self.model = model
        self.pooled = pooled
        self.halves = {_key(group): group.halves() for group in groups}
        self._fits: dict[frozenset[Key], Fit] = {}

    def result(self) -> Result:
        """Fit and judge every set."""
        judgement = Judgement()
        sets: list[CoefficientFit] = []
        keys = sorted(self.halves)
        for dtype in sorted({key[1] for key in keys}):
            of_dtype = [key for key in keys if key[1] == dtype]
            sets += [*self._own(of_dtype, judgement), *self._families(of_dtype, judgement)]
            sets += self._generic(of_dtype, judgement)
        return Result(self.model.operator, tuple(_widened(sets, judgement)), judgement)

    # -- levels ---------------------------------------------------------------------------------------------------
    def _own(self, keys: Sequence[Key], judgement: Judgement) -> list[CoefficientFit]:
        sets = []
        for chip, mine in _grouped(keys, 0):
            for names, members in self._choices(mine):
                errors = [self._judge(self._fit(members), key) for key in members]
                if names != (ANY, ANY) or len(members) == 1:
                    judgement.own[members[0]] = errors[0]
                sets.append(
                    self._set(chip, self._family(mine[0]), names, members, np.concatenate(errors), "own")
                )
        return sets

    def _families(self, keys: Sequence[Key], judgement: Judgement) -> list[CoefficientFit]:
        sets = []
        for family in sorted({self._family(key) for key in keys}):
            mine = [key for key in keys if self._family(key) == family]
            for names, members in self._choices(mine):
                errors = []
                for key in members:
                    others = [other for other in members if other[0] != key[0]]
                    if others:
                        found = self._judge(self._fit(others), key)
                        errors.append(found)
                        if names != (ANY, ANY):
                            judgement.left_out_chip[key] = found
                judged_by = "left-out chip" if errors else "own"
                if not errors:
                    errors = [self._judge(self._fit(members), key) for key in members]
                sets.append(self._set(ANY, family, names, members, np.concatenate(errors), judged_by))
        return sets

    def _generic(self, keys: Sequence[Key], judgement: Judgement) -> list[CoefficientFit]:
        if not self.pooled:
            return [
                self._prior(names, members, judgement.left_out_family)
                for names, members in self._choices(keys)
            ]
        sets = [self._prior((ANY, ANY), keys, judgement.left_out_family)]
        for kernel in sorted({key[3] for key in keys} - {ANY}):
            members = [key for key in keys if key[3] == kernel]
            sets.append(self._prior((ANY, kernel), members, judgement.left_out_family_same_kernel))
        return sets

    def _prior(self, names: tuple[str, str], keys: Sequence[Key], judged: dict[Key, Array]) -> CoefficientFit:
        errors = []
        for family in sorted({self._family(key) for key in keys}):
            others = [key for key in keys if self._family(key) != family]
            for key in (key for key in keys if self._family(key) == family and others):
                judged[key] = self._judge(self._fit(others), key)
                errors.append(judged[key])
        judged_by = "left-out family" if errors else "own"
        if not errors:
            errors = [self._judge(self._fit(keys), key) for key in keys]
        return self._set(ANY, ANY, names, keys, np.concatenate(errors), judged_by)

    # -- pieces ---------------------------------------------------------------------------------------------------
    def _choices(self, keys: Sequence[Key]) -> list[tuple[tuple[str, str], list[Key]]]:
        """Every (framework, kernel) of some groups with its members, the most measured first, then all pooled."""
        found: dict[tuple[str, str], list[Key]] = {}
        for key in sorted(keys, key=lambda key: (-self._weight(key), key)):
            found.setdefault((key[2], key[3]), []).append(key)
        if self.pooled and len(found) > 1:
            found[(ANY, ANY)] = list(keys)
        return list(found.items())

    def _weight(self, key: Key) -> float:
        return self.halves[key][0].weight

    def _family(self, key: Key) -> str:
        return self.halves[key][0].family

    def _fit(self, keys: Sequence[Key]) -> Fit:
        name = frozenset(keys)
        if name not in self._fits:
            parts = [self.halves[key][0] for key in sorted(name)]
            rows = ROWS_PER_FIT if len(parts) == 1 else ROWS_PER_POOL
            model = self.model
            if model.pooled and len({key[2:] for key in name}) > 1:
                model = replace(model, parameters=model.pooled)
            self._fits[name] = fit(model, self._referenced(pool(parts, rows)), rows)
        return self._fits[name]

    def _referenced(self, samples: Samples) -> Samples:
        """Within a family, note the peak of one processor: chips cut down or sped up scale their losses by it."""
        if self.model.rate is None or samples.family == ANY:
            return samples
        rate = float(np.median(self.model.rate(samples)))
        return replace(
            samples, fixed=dict(samples.fixed) | {f"{self.model.operator}.reference_flop_per_s": rate}
        )

    def _judge(self, found: Fit, key: Key) -> Array:
        return relative_errors(self.model, self.halves[key][1].thinned(_JUDGED_ROWS, seed=1), found.values)

    def _set(
        self,
        chip: str,
        family: str,
        names: tuple[str, str],
        members: Sequence[Key],
        errors: Array,
        judged_by: str,
    ) -> CoefficientFit:
        chips = ", ".join(dict.fromkeys(key[0].removeprefix("nvidia-") for key in members))
        frameworks = ", ".join(dict.fromkeys(key[2] for key in members))
        return CoefficientFit(
            operator=self.model.operator,
            chip=chip,
            family=family,
            dtype=members[0][1],
            framework=names[0],
            kernel=names[1],
            fit=self._fit(members),
            errors=summary(errors),
            judged_by=judged_by,
            fitted_on=f"{chips} ({frameworks})",
            source=self.halves[members[0]][0].source.split(" ")[0],
        )


def _widened(sets: Iterable[CoefficientFit], judgement: Judgement) -> Iterator[CoefficientFit]:
    """Give priors that could not be judged on a left-out chip the errors of the priors that could, where larger.

    A family with one chip, or a format of one family, says nothing about how well it carries over.
    """
    levels = {ANY: judgement.left_out_family, "family": judgement.left_out_chip}
    typical = {name: summary(np.concatenate(list(d.values()))) for name, d in levels.items() if d}
    for found in sets:
        level = ANY if found.family == ANY else "family"
        if found.chip != ANY or found.judged_by != "own" or level not in typical:
            yield found
            continue
        errors = found.errors._replace(
            median=max(found.errors.median, typical[level].median),
            p90=max(found.errors.p90, typical[level].p90),
        )
        yield replace(found, errors=errors, judged_by="priors of the other formats")


def _grouped(keys: Sequence[Key], index: int) -> list[tuple[str, list[Key]]]:
    return [(name, list(rows)) for name, rows in groupby(sorted(keys), key=lambda key: key[index])]
