"""Calibrated coefficients at hand: the sets that an engine's kernels use on a chip, and how sure each is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from suanli.errors import NoDataError
from suanli.hardware.coefficients import ANY, CoefficientRow, CoefficientSet, CoefficientTable
from suanli.serving.accelerator import Accelerator
from suanli.serving.framework import FrameworkRow, FrameworkTable

T = TypeVar("T")
BASES = ("calibrated", "family", "datasheet")


class Coefficients:
    """Calibration rows of operators and of serving frameworks, indexed once; keeps the engines built from them.

    Attributes:
        operators: calibration rows of operators.
        frameworks: serving constants per framework.
        tables: step tables by what they depend on.
    """

    def __init__(
        self,
        operators: CoefficientTable | Iterable[CoefficientRow | Sequence[str]],
        frameworks: FrameworkTable | Iterable[FrameworkRow | Sequence[str]],
    ) -> None:
        """Index the rows; both may be given as texts in the order of the files' columns."""
        self.operators = operators if isinstance(operators, CoefficientTable) else CoefficientTable(operators)
        self.frameworks = frameworks if isinstance(frameworks, FrameworkTable) else FrameworkTable(frameworks)
        self.tables: dict[Any, Any] = {}
        self._kernels: dict[tuple[str, str, str, str, str], list[str]] = {}
        for operator in self.operators.operators():
            for chip, family, form, framework, kernel in self.operators.keys(operator):
                self._kernels.setdefault((operator, chip, family, form, framework), []).append(kernel)

    def kernels(self, operator: str, chip: Accelerator, form: str, framework: str) -> list[str]:
        """Return the kernels of a framework that were measured on the chip, else on its family, else anywhere."""
        for place in ((chip.id, chip.family), (ANY, chip.family), (ANY, ANY)):
            found = self._kernels.get((operator, *place, form, framework))
            if found:
                return found
        return []


@dataclass(slots=True)
class Kernels:
    """Coefficient sets for one chip and framework; remembers the weakest basis and the errors of those it handed out.

    Attributes:
        coefficients: the rows.
        chip: the accelerator.
        framework: "vllm", "sglang", "trtllm" or "*".
        used: {operator: sets that were looked up}.
    """

    coefficients: Coefficients
    chip: Accelerator
    framework: str
    used: dict[str, list[CoefficientSet]] = field(default_factory=dict)

    def get(
        self, operator: str, kind: type[T], form: str = ANY, kernel: str = ANY, framework: str | None = None
    ) -> T:
        """Return the closest set of an operator as its dataclass.

        Args:
            operator: "gemm", "attention_decode", ...
            kind: dataclass of its coefficients.
            form: number format.
            kernel: kernel name, "*" for the framework's main one.
            framework: instead of the engine's own.
        """
        chip = self.chip
        wanted = self.framework if framework is None else framework
        found = self.coefficients.operators.coefficients(operator, chip.id, chip.family, form, wanted, kernel)
        self.used.setdefault(operator, []).append(found)
        return found.into(kind)

    def has(self, operator: str, kernel: str, framework: str) -> bool:
        """Whether that very kernel was measured on the chip or its family, or, for chips of no family, anywhere."""
        try:
            found = self.coefficients.operators.coefficients(
                operator, self.chip.id, self.chip.family, ANY, framework, kernel
            )
        except NoDataError:
            return False
        return found.framework == framework and found.kernel == kernel

    def anywhere(self, operator: str, kind: type[T], form: str, kernel: str) -> T | None:
        """Return a kernel's set on the chip or its family, else that of the chips it was measured on; None: nowhere.

        Args:
            operator: "moe", ...
            kind: dataclass of its coefficients.
            form: number format.
            kernel: kernel name.
        """
        chip, table = self.chip, self.coefficients.operators
        for place in ((chip.id, chip.family), (ANY, chip.family), (ANY, ANY)):
            for framework in (self.framework, "trtllm", "sglang", "vllm", ANY):
                try:
                    found = table.coefficients(operator, *place, form, framework, kernel)
                except NoDataError:
                    return None
                if found.kernel == kernel and found.dtype == form:
                    self.used.setdefault(operator, []).append(found)
                    return found.into(kind)
        return None

    def names(self, operator: str, form: str) -> list[str]:
        """Return the kernels that the framework has for a format; none where it was not measured."""
        return self.coefficients.kernels(operator, self.chip, form, self.framework)

    @property
    def basis(self) -> str:
        """The weakest basis among the operators that decide a step."""
        ranks = [
            min(BASES.index(found.basis) for found in sets)
            for operator, sets in self.used.items()
            if operator in ("gemm", "attention_decode", "mla_decode", "moe")
        ]
        return BASES[max(ranks, default=2)]
