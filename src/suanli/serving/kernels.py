"""Calibrated coefficients at hand: the sets that an engine's kernels use on a chip, and how sure each is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from suanli.errors import NoDataError
from suanli.hardware.coefficients import ANY, CoefficientRow, CoefficientSet, CoefficientTable
from suanli.serving.accelerator import Accelerator
from suanli.serving.framework import FrameworkRow, FrameworkTable, ServingSet, model_kind, split_framework
from suanli.serving.point import Point
from suanli.serving.refinement import Refinement, RefinementTable

T = TypeVar("T")
BASES = ("calibrated", "family", "datasheet")


class Coefficients:
    """Calibration rows of operators and of serving frameworks, indexed once; keeps the engines built from them.

    Attributes:
        operators: calibration rows of operators.
        frameworks: serving constants per framework.
        refinements: what a user's own runs say of those constants on his chips.
        tables: step tables by what they depend on.
    """

    def __init__(
        self,
        operators: CoefficientTable | Iterable[CoefficientRow | Sequence[str]],
        frameworks: FrameworkTable | Iterable[FrameworkRow | Sequence[str]],
        refinements: Iterable[Refinement | Sequence[str]] = (),
        scaled: Iterable[Sequence[str]] = (),
    ) -> None:
        """Index the rows; all may be given as texts in the order of the files' columns.

        `scaled` names the sets among the operators' that a user's few kernels scaled: (operator, chip, family, dtype,
        framework, kernel) each.
        """
        self.operators = operators if isinstance(operators, CoefficientTable) else CoefficientTable(operators)
        self.frameworks = frameworks if isinstance(frameworks, FrameworkTable) else FrameworkTable(frameworks)
        self.refinements = RefinementTable(refinements)
        self.tables: dict[Any, Any] = {}
        self._scaled = {tuple(key) for key in scaled}
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

    def refined(self, found: ServingSet, point: Point, framework: str, deployment: str) -> ServingSet:
        """Return serving constants as a user's own runs correct them; unchanged where there are none for the chip.

        Args:
            found: the constants.
            point: the question.
            framework: its framework.
            deployment: see `refinement.deployment_label`.
        """
        version = split_framework(point.framework)[1]
        kind = model_kind(point.model)
        one = self.refinements.find(point.chip.id, framework, kind, version, deployment)
        return found if one is None else replace(found, values=one.applied(found.values), refinement=one)

    def unrefined(self) -> Coefficients:
        """The same rows without refinements, and with no engine built yet."""
        return Coefficients(self.operators, self.frameworks, scaled=self._scaled)

    def basis(self, operator: str, chip: Accelerator, found: CoefficientSet) -> str:
        """Return the basis of a set; one that was scaled to a user's few kernels counts as its family's."""
        key = (operator, chip.id, chip.family, found.dtype, found.framework, found.kernel)
        scaled = found.basis == "calibrated" and key in self._scaled
        return "family" if scaled else found.basis


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

    def found(self, operator: str, form: str) -> CoefficientSet:
        """Return the closest set of an operator without using it."""
        chip = self.chip
        return self.coefficients.operators.coefficients(operator, chip.id, chip.family, form, self.framework)

    def measured(self, operator: str, form: str) -> list[tuple[str, str]]:
        """Return (framework, kernel) of all sets for the chip, else for its family, in a format."""
        places = ((self.chip.id, self.chip.family), (ANY, self.chip.family))
        known = self.coefficients.operators.keys(operator)
        for place in places:
            here = [key[3:] for key in known if key[:3] == (*place, form)]
            if here:
                return here
        return []

    @property
    def basis(self) -> str:
        """The weakest basis among the operators that decide a step."""
        ranks = [
            min(BASES.index(self.coefficients.basis(operator, self.chip, found)) for found in sets)
            for operator, sets in self.used.items()
            if operator in ("gemm", "attention_decode", "mla_decode", "moe")
        ]
        return BASES[max(ranks, default=2)]
