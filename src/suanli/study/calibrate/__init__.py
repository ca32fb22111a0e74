"""Calibrate operators on measured kernels: read tables, fit coefficients, judge them, write table and report.

The data lies outside the repository (see `suanli calibrate --data DIR`); what ships is what was learned from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from suanli.errors import UnknownIdError
from suanli.hardware.coefficients import CoefficientRow
from suanli.study.calibrate.fit import Model
from suanli.study.calibrate.report import report_page
from suanli.study.calibrate.rows import coefficient_rows, write_rows
from suanli.study.calibrate.samples import Samples
from suanli.study.calibrate.sets import OperatorCalibration, Result
from suanli.study.calibrate.tables import kernel_folder

__all__ = ["OPERATORS", "Calibration", "calibrate", "report_page", "write_rows"]

OPERATORS = (
    "gemm",
    "attention_decode",
    "attention_prefill",
    "mla_decode",
    "mla_prefill",
    "moe",
    "exchange",
    "elementwise",
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Everything that a calibration found."""

    results: tuple[Result, ...]

    @property
    def rows(self) -> list[CoefficientRow]:
        """The rows of the calibration table."""
        return coefficient_rows(self.results)

    def write(self, table: Path, report: Path) -> None:
        """Write the calibration table and the report page."""
        write_rows(self.rows, table)
        report.write_text(report_page(self.results), encoding="utf-8")


def calibrate(
    data: Path | str, operators: Sequence[str] = OPERATORS, progress: Callable[[str], None] | None = None
) -> Calibration:
    """Fit and judge operators on the kernel tables below a data folder.

    Half of the shapes, chosen by a hash, are fitted; the other half judges. Deterministic: same data, same table.

    Args:
        data: data folder (with kernels/aic/<system>/...), or the kernels folder itself.
        operators: which of `OPERATORS` to fit.
        progress: called with the name of each operator when it starts.

    Returns:
        Sets and the errors behind them.

    Raises:
        NoDataError: no kernel tables there.
        UnknownIdError: no such operator.
    """
    folder = kernel_folder(Path(data))
    results: list[Result] = []
    for name in operators:
        if name not in OPERATORS:
            raise UnknownIdError("operator", name, OPERATORS)
        if progress is not None:
            progress(name)
        results += [
            OperatorCalibration(model, groups, pooled).result()
            for model, groups, pooled in _jobs(name, folder)
        ]
    return Calibration(tuple(results))


def _jobs(name: str, folder: Path) -> Iterator[tuple[Model, list[Samples], bool]]:
    """What to fit for an operator: model, groups, and whether frameworks are pooled as well."""
    from suanli.study.calibrate import attention, elementwise, exchange, gemm, mla, moe

    simple: dict[str, tuple[Model, Callable[[Path], Iterator[Samples]]]] = {
        "gemm": (gemm.MODEL, gemm.samples),
        "attention_decode": (attention.DECODE, attention.decode_samples),
        "attention_prefill": (attention.PREFILL, attention.prefill_samples),
        "mla_decode": (mla.DECODE, mla.decode_samples),
        "mla_prefill": (mla.PREFILL, mla.prefill_samples),
        "moe": (moe.MODEL, moe.samples),
    }
    if name in simple:
        model, reader = simple[name]
        groups = list(reader(folder))
        if groups:
            yield model, groups, True
    elif name == "elementwise":
        groups = list(elementwise.samples(folder.parent))
        if groups:
            yield elementwise.MODEL, groups, True
    else:
        by_law: dict[tuple[str, bool], list[Samples]] = {}
        for group in exchange.samples(folder):
            by_law.setdefault((group.operator, "processors" in group.shape), []).append(group)
        for (operator, processors), members in by_law.items():
            yield exchange.model(operator, processors), members, False
