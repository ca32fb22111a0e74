"""What the operator functions need to know of a chip, and how well kernels use it.

A coefficient set belongs to (operator, chip, number format, framework, kernel). Sets are read from rows of the
calibration table; where a chip has none of its own, the family's stand in, and where the family has none either, the
generic prior does. The band says how wrong each of the three was on chips that were left out of the fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from suanli.errors import InfeasibleError, InputError, NoDataError
from suanli.hardware.formats import NumberFormat, number_format
from suanli.hardware.laws import processor_count

ANY = "*"
BASIS = {"chip": "calibrated", "family": "family", "generic": "datasheet"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OperatorChip:
    """A chip as operators see it. Every number may be an array of samples.

    Attributes:
        peak_flop_per_s: {number format: dense peak} [FLOP/s].
        memory_bandwidth_bytes_per_s: device memory bandwidth [byte/s].
        sm_count: processors that take a tile each; None where unknown (an equivalent is used) [1].
        l2_bytes: last-level cache [byte].
        link_bytes_per_s: scale-up bandwidth (host link where there is none), one direction; None: unknown [byte/s].
        network_bytes_per_s: scale-out bandwidth, one direction; None: unknown [byte/s].
    """

    peak_flop_per_s: Mapping[str, ArrayLike]
    memory_bandwidth_bytes_per_s: ArrayLike
    sm_count: ArrayLike | None = None
    l2_bytes: ArrayLike = 0.0
    link_bytes_per_s: ArrayLike | None = None
    network_bytes_per_s: ArrayLike | None = None

    def peak(self, dtype: str | NumberFormat) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the dense peak that products in a number format run at [FLOP/s].

        Raises:
            InfeasibleError: the chip has no such peak.
        """
        form = number_format(dtype) if isinstance(dtype, str) else dtype
        for name in form.peaks:
            if name in self.peak_flop_per_s:
                return np.asarray(self.peak_flop_per_s[name], dtype=float)
        have = ", ".join(sorted(self.peak_flop_per_s)) or "none"
        raise InfeasibleError(f"the chip cannot compute in {form.name}; its peaks are: {have}")

    @property
    def processors(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Processors for wave quantisation [1]."""
        base = self.peak_flop_per_s.get("bf16", self.peak_flop_per_s.get("fp16", 0.0))
        return processor_count(self.sm_count, base)


@dataclass(frozen=True, slots=True)
class CoefficientRow:
    """One row of the calibration table: one coefficient of one set, with how well the set did on judged rows.

    `chip` or `family` is "*" where the set is a prior; `framework` or `kernel` is "*" where it covers all of them.
    """

    operator: str
    chip: str
    family: str
    dtype: str
    framework: str
    kernel: str
    coefficient: str
    value: float
    standard_error: float | None = None
    rows_fit: int = 0
    rows_judged: int = 0
    median_error: float | None = None
    p90_error: float | None = None
    fitted_on: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class CoefficientSet:
    """The coefficients of one operator on one chip.

    Attributes:
        values: {coefficient: value}, SI.
        basis: "calibrated" (own chip), "family" or "datasheet" (generic prior).
        band: factor by which a single kernel's time is off in one of ten cases, at least 1 [1].
        median_error: median relative error of judged rows of this basis [1].
        dtype: the number format they were fitted for (may stand in for the one asked).
        framework: the framework they were fitted for, "*" for several.
        kernel: the kernel they were fitted for, "*" for several.
        fitted_on: what they were fitted on, in words.
    """

    values: Mapping[str, float]
    basis: str
    band: float
    median_error: float
    dtype: str
    framework: str
    kernel: str
    fitted_on: str

    def into(self, kind: type[T]) -> T:
        """Return them as a coefficients dataclass; a coefficient that was not fitted keeps its default."""
        names = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
        return kind(**{name: value for name, value in self.values.items() if name in names})


Names = tuple[str, str]
Place = tuple[str, str, str, str]


class CoefficientTable:
    """Calibration rows by operator, place (chip, family) and number format; order within a place is preference."""

    def __init__(self, rows: Iterable[CoefficientRow | Sequence[str]]) -> None:
        """Index rows (see `CoefficientRow`; texts are read when looked up).

        Of several kernels of a framework, the one whose rows come first is its main one.
        """
        self._places: dict[Place, dict[Names, list[CoefficientRow | Sequence[str]]]] = {}
        for row in rows:
            if isinstance(row, CoefficientRow):
                key = (row.operator, row.chip, row.family, row.dtype, row.framework, row.kernel)
            else:
                key = tuple(row[:6])  # type: ignore[assignment]
            self._places.setdefault(key[:4], {}).setdefault(key[4:], []).append(row)
        self._cache: dict[tuple[str, ...], CoefficientSet] = {}

    def operators(self) -> list[str]:
        """Return the operators that have coefficients."""
        return sorted({place[0] for place in self._places})

    def keys(self, operator: str) -> list[tuple[str, str, str, str, str]]:
        """Return (chip, family, dtype, framework, kernel) of every set of an operator."""
        return [
            (*place[1:], *names)
            for place, groups in self._places.items()
            if place[0] == operator
            for names in groups
        ]

    def coefficients(
        self,
        operator: str,
        chip: str,
        family: str,
        dtype: str = ANY,
        framework: str = ANY,
        kernel: str = ANY,
    ) -> CoefficientSet:
        """Find the closest set: own chip, else its family, else the generic prior.

        At each of the three levels the number format asked for comes first, then those that may stand in for it;
        within a format the framework and kernel asked for, then the framework's main kernel, then that kernel under
        any framework, then all pooled, then the most measured.

        Args:
            operator: "gemm", "attention_decode", ...
            chip: catalogue id of the chip.
            family: its architecture family ("ampere", "ada", "hopper", "blackwell"; others take the generic prior).
            dtype: number format of the operator.
            framework: "vllm", "sglang", "trtllm" or "*".
            kernel: kernel name or "*" for the framework's main one.

        Raises:
            NoDataError: the table has nothing for the operator.
        """
        key = (operator, chip, family, dtype, framework, kernel)
        if key not in self._cache:
            self._cache[key] = self._find(*key)
        return self._cache[key]

    def _formats(self, operator: str) -> list[str]:
        """Formats of an operator, "*" first, then BF16, then as they come."""
        found = {place[3] for place in self._places if place[0] == operator}
        return sorted(found, key=lambda form: (form != ANY, form != "bf16", form))

    def _find(
        self, operator: str, chip: str, family: str, dtype: str, framework: str, kernel: str
    ) -> CoefficientSet:
        for level, place in (("chip", (chip, family)), ("family", (ANY, family)), ("generic", (ANY, ANY))):
            for form in _stand_ins(dtype) if dtype != ANY else self._formats(operator):
                groups = self._places.get((operator, *place, form))
                if not groups:
                    continue
                names = _closest(groups, framework, kernel)
                return _set(groups[names], BASIS[level])
        raise NoDataError(
            f"The calibration table has no {operator} coefficients. Write one: suanli calibrate --data DIR"
        )


def _set(rows: Sequence[CoefficientRow | Sequence[str]], basis: str) -> CoefficientSet:
    read = [row if isinstance(row, CoefficientRow) else _row(row) for row in rows]
    first = read[0]
    return CoefficientSet(
        values={row.coefficient: row.value for row in read},
        basis=basis,
        band=1.0 + (first.p90_error or 0.0),
        median_error=first.median_error or 0.0,
        dtype=first.dtype,
        framework=first.framework,
        kernel=first.kernel,
        fitted_on=first.fitted_on,
    )


def _row(texts: Sequence[str]) -> CoefficientRow:
    """Read a row from texts in the order of CoefficientRow's fields."""
    try:
        operator, chip, family, dtype, framework, kernel, coefficient = texts[:7]
        value, error, fitted, judged, median, p90, fitted_on, source = texts[7:]
        return CoefficientRow(
            operator,
            chip,
            family,
            dtype,
            framework,
            kernel,
            coefficient,
            float(value),
            _optional(error),
            int(fitted),
            int(judged),
            _optional(median),
            _optional(p90),
            fitted_on,
            source,
        )
    except ValueError as problem:
        raise InputError(f"calibration row {'/'.join(texts[:7])}: {problem}") from None


def _optional(text: str) -> float | None:
    return float(text) if text else None


def _closest(groups: Mapping[Names, object], framework: str, kernel: str) -> Names:
    """The names of the closest set of a place."""
    for wanted in ((framework, kernel), (framework, ANY)):
        if wanted in groups:
            return wanted
    if framework != ANY:
        for names in groups:
            if names[0] == framework:
                return names
    if kernel != ANY:
        for names in ((ANY, kernel), *groups):
            if names[1] == kernel and names in groups:
                return names
    return (ANY, ANY) if (ANY, ANY) in groups else next(iter(groups))


def _stand_ins(dtype: str) -> tuple[str, ...]:
    form = number_format(dtype)
    return (form.name, *form.like, ANY)
