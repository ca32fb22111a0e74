"""From measured groups to coefficient sets: own chip, family prior, generic prior, each with the error it earned.

A group is one (chip, format, framework, kernel). Its own set is fitted on one half of its shapes and judged on the
other. A family prior is fitted on all chips of the family and judged chip by chip, each time without that chip. The
generic prior is fitted on all families and judged family by family, each time without that family.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from suanli.study.calibrate.fit import ROWS_PER_FIT, ROWS_PER_POOL, Errors, Fit, Model, fit, relative_errors, summary
from suanli.study.calibrate.samples import Samples, pool

Array = NDArray[np.float64]
ANY = "*"
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


@dataclass(slots=True)
class Judgement:
    """Errors of all judged rows of an operator, by how the coefficients were found."""

    own: dict[tuple[str, str, str, str], Array]
    left_out_chip: dict[tuple[str, str, str, str], Array]
    left_out_family: dict[tuple[str, str, str, str], Array]


@dataclass(frozen=True, slots=True)
class Result:
    """All sets of one operator with the errors behind them."""

    operator: str
    sets: tuple[CoefficientFit, ...]
    judgement: Judgement


def _key(group: Samples) -> tuple[str, str, str, str]:
    return group.chip, group.dtype, group.framework, group.kernel


class OperatorCalibration:
    """Fits one operator on all its groups. Fits are kept, so that leaving a chip out costs nothing twice."""

    def __init__(self, model: Model, groups: Iterable[Samples], pooled: bool = True) -> None:
        """Take groups; `pooled` also makes sets over all frameworks and kernels of a place."""
        self.model = model
        self.pooled = pooled
        self.halves = {_key(group): group.halves() for group in groups}
        self._fits: dict[frozenset[tuple[str, str, str, str]], Fit] = {}

    def result(self) -> Result:
        """Fit and judge every set."""
        judgement = Judgement({}, {}, {})
        sets: list[CoefficientFit] = []
        keys = sorted(self.halves)
        for dtype in sorted({key[1] for key in keys}):
            of_dtype = [key for key in keys if key[1] == dtype]
            sets += self._own(of_dtype, judgement)
            sets += self._families(of_dtype, judgement)
            sets += self._generic(of_dtype, judgement)
        return Result(self.model.operator, tuple(sets), judgement)

    # -- levels ---------------------------------------------------------------------------------------------------
    def _own(self, keys: Sequence[tuple[str, str, str, str]], judgement: Judgement) -> list[CoefficientFit]:
        sets = []
        for chip, mine in _grouped(keys, 0):
            for names, members in self._choices(mine):
                errors = [self._judge(self._fit(members), key) for key in members]
                if len(members) == 1:
                    judgement.own[members[0]] = errors[0]
                sets.append(self._set(chip, self._family(mine[0]), names, members, np.concatenate(errors), "own"))
        return sets

    def _families(self, keys: Sequence[tuple[str, str, str, str]], judgement: Judgement) -> list[CoefficientFit]:
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
                        if ANY not in names[:1]:
                            judgement.left_out_chip[key] = found
                judged_by = "left-out chip" if errors else "own"
                if not errors:
                    errors = [self._judge(self._fit(members), key) for key in members]
                sets.append(self._set(ANY, family, names, members, np.concatenate(errors), judged_by))
        return sets

    def _generic(self, keys: Sequence[tuple[str, str, str, str]], judgement: Judgement) -> list[CoefficientFit]:
        if self.pooled:
            return [self._prior((ANY, ANY), keys, judgement)]
        return [self._prior(names, members, judgement) for names, members in self._choices(keys)]

    def _prior(
        self, names: tuple[str, str], keys: Sequence[tuple[str, str, str, str]], judgement: Judgement
    ) -> CoefficientFit:
        errors = []
        for family in sorted({self._family(key) for key in keys}):
            others = [key for key in keys if self._family(key) != family]
            for key in (key for key in keys if self._family(key) == family and others):
                judgement.left_out_family[key] = self._judge(self._fit(others), key)
                errors.append(judgement.left_out_family[key])
        judged_by = "left-out family" if errors else "own"
        if not errors:
            errors = [self._judge(self._fit(keys), key) for key in keys]
        return self._set(ANY, ANY, names, keys, np.concatenate(errors), judged_by)

    # -- pieces ---------------------------------------------------------------------------------------------------
    def _choices(
        self, keys: Sequence[tuple[str, str, str, str]]
    ) -> list[tuple[tuple[str, str], list[tuple[str, str, str, str]]]]:
        """Every (framework, kernel) of some groups with its members; "*" kernel is the framework's most measured."""
        found: dict[tuple[str, str], list[tuple[str, str, str, str]]] = {}
        for key in keys:
            found.setdefault((key[2], key[3]), []).append(key)
        if self.pooled:
            for framework in sorted({names[0] for names in found}):
                kernels = [names for names in found if names[0] == framework]
                main = max(kernels, key=lambda names: (sum(self._rows(key) for key in found[names]), names[1]))
                found.setdefault((framework, ANY), found[main])
            found[(ANY, ANY)] = list(keys)
        return sorted(found.items())

    def _rows(self, key: tuple[str, str, str, str]) -> int:
        return len(self.halves[key][0])

    def _family(self, key: tuple[str, str, str, str]) -> str:
        return self.halves[key][0].family

    def _fit(self, keys: Sequence[tuple[str, str, str, str]]) -> Fit:
        name = frozenset(keys)
        if name not in self._fits:
            parts = [self.halves[key][0] for key in sorted(name)]
            rows = ROWS_PER_FIT if len(parts) == 1 else ROWS_PER_POOL
            self._fits[name] = fit(self.model, pool(parts, rows), rows)
        return self._fits[name]

    def _judge(self, found: Fit, key: tuple[str, str, str, str]) -> Array:
        return relative_errors(self.model, self.halves[key][1].thinned(_JUDGED_ROWS, seed=1), found.values)

    def _set(
        self,
        chip: str,
        family: str,
        names: tuple[str, str],
        members: Sequence[tuple[str, str, str, str]],
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
        )


def _grouped(
    keys: Sequence[tuple[str, str, str, str]], index: int
) -> list[tuple[str, list[tuple[str, str, str, str]]]]:
    return [(name, list(rows)) for name, rows in groupby(sorted(keys), key=lambda key: key[index])]
