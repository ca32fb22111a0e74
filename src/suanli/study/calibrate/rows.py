"""Fitted sets as rows of the calibration table, and the table as a file."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from suanli.catalog.calibration import CALIBRATION_COLUMNS
from suanli.hardware.attention import AttentionDecodeCoefficients, AttentionPrefillCoefficients
from suanli.hardware.coefficients import CoefficientRow
from suanli.hardware.elementwise import ElementwiseCoefficients
from suanli.hardware.formats import number_format
from suanli.hardware.gemm import GemmCoefficients, QuantiseCoefficients
from suanli.hardware.mla import MlaDecodeCoefficients, MlaPrefillCoefficients
from suanli.hardware.moe import MoeCoefficients
from suanli.network.calibrated import ExchangeCoefficients
from suanli.study.calibrate.sets import CoefficientFit, Result

KINDS: Mapping[str, type] = {
    "gemm": GemmCoefficients,
    "quantise": QuantiseCoefficients,
    "attention_decode": AttentionDecodeCoefficients,
    "attention_prefill": AttentionPrefillCoefficients,
    "mla_decode": MlaDecodeCoefficients,
    "mla_prefill": MlaPrefillCoefficients,
    "moe": MoeCoefficients,
    "elementwise": ElementwiseCoefficients,
    "all_reduce": ExchangeCoefficients,
    "all_gather": ExchangeCoefficients,
    "reduce_scatter": ExchangeCoefficients,
    "all_to_all": ExchangeCoefficients,
    "expert_dispatch": ExchangeCoefficients,
    "expert_combine": ExchangeCoefficients,
    "expert_prepare": ExchangeCoefficients,
}


def coefficient_rows(results: Iterable[Result]) -> list[CoefficientRow]:
    """Return the table's rows; a coefficient that was given and equals its default is left out."""
    return [row for result in results for found in result.sets for row in _rows(found)]


def _rows(found: CoefficientFit) -> Iterator[CoefficientRow]:
    for name, value in found.fit.values.items():
        operator, coefficient = name.split(".", 1)
        if operator == "quantise" and not number_format(found.dtype).quantised:
            continue
        error = found.fit.errors.get(name)
        if error is None and value == _default(operator, coefficient):
            continue
        yield CoefficientRow(
            operator=operator,
            chip=found.chip,
            family=found.family,
            dtype=found.dtype,
            framework=found.framework,
            kernel=found.kernel,
            coefficient=coefficient,
            value=value,
            standard_error=error,
            rows_fit=found.fit.rows,
            rows_judged=found.errors.rows,
            median_error=found.errors.median,
            p90_error=found.errors.p90,
            fitted_on=found.fitted_on,
            source=found.source,
        )


def _default(operator: str, coefficient: str) -> float:
    return float(next(field.default for field in fields(KINDS[operator]) if field.name == coefficient))  # type: ignore[arg-type]


def write_rows(rows: Iterable[CoefficientRow], path: Path) -> None:
    """Write the calibration table: five digits, errors in parts of one, empty where not known."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CALIBRATION_COLUMNS)
        for row in rows:
            writer.writerow([_text(name, getattr(row, name)) for name in CALIBRATION_COLUMNS])


def _text(name: str, value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.5g}" if name == "value" else f"{value:.3g}"
    return str(value)
