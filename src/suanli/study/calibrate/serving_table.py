"""Fitted serving constants as rows of the framework table, with the errors of judged rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from suanli.catalog.calibration import FRAMEWORK_COLUMNS
from suanli.serving.framework import FrameworkRow
from suanli.study.calibrate.serving import CONSTANTS, SOURCE, FittedSet
from suanli.study.calibrate.serving_rows import Rows


def framework_rows(
    sets: Mapping[tuple[str, str], FittedSet], fit: Sequence[Rows], judge: Sequence[Rows]
) -> list[FrameworkRow]:
    """The fitted rows of the framework table, with the errors of judged rows.

    Args:
        sets: fitted sets.
        fit: rows that were fitted.
        judge: rows that judge.
    """
    rows = []
    for (framework, kind), found in sets.items():
        mine = [one for one in fit if one.framework == framework and one.ready.table.kind == kind]
        others = [one for one in judge if one.framework == framework and one.ready.table.kind == kind]
        fitted_on = ", ".join(sorted({m.model for g in mine for m in g.measured}))
        count = sum(len(g.measured) for g in mine)
        scores = _scores(others, found)
        for one in CONSTANTS:
            judged, median, p90 = scores["ttft" if one.name.startswith("ttft") else "tpot"]
            rows.append(
                FrameworkRow(
                    framework,
                    "*",
                    kind,
                    one.name,
                    found.values[one.name],
                    found.errors[one.name],
                    count,
                    judged,
                    median,
                    p90,
                    fitted_on,
                    SOURCE,
                )
            )
        for name, value in zip(("tpot_band", "ttft_band"), found.bands, strict=True):
            rows.append(
                FrameworkRow(framework, "*", kind, name, value, None, count, 0, None, None, fitted_on, SOURCE)
            )
        for version, (factor, number) in sorted(found.versions.items()):
            rows.append(_version_row(found, version, "kernel_factor_drift", factor, number))
        for version, (layer, number) in sorted(found.host_layer_s.items()):
            rows.append(_version_row(found, version, "host_layer_s", layer, number))
    return rows


def _version_row(found: FittedSet, version: str, name: str, value: float, rows: int) -> FrameworkRow:
    return FrameworkRow(
        *(found.framework, version, found.kind, name, value, None, rows, 0, None, None),
        *(f"{found.framework} {version}", SOURCE),
    )


def _scores(groups: Sequence[Rows], found: FittedSet) -> dict[str, tuple[int, float | None, float | None]]:
    """Rows, median and 90th percentile of relative errors of TPOT and TTFT."""
    scores: dict[str, tuple[int, float | None, float | None]] = {}
    for name, column in (("tpot", 0), ("ttft", 1)):
        parts = [group.errors(found.of(group))[column] for group in groups]
        size = np.abs(np.expm1(np.concatenate(parts))) if parts else np.array([])
        size = size[np.isfinite(size)]
        few = size.size == 0
        scores[name] = (
            (0, None, None) if few else (size.size, float(np.median(size)), float(np.quantile(size, 0.9)))
        )
    return scores


def write_rows(rows: Iterable[FrameworkRow], path: Path) -> None:
    """Replace the fitted rows of a framework table; rows that were not fitted stay.

    Args:
        rows: fitted rows.
        path: the table.
    """
    with path.open(encoding="utf-8", newline="") as file:
        kept = [row for row in csv.DictReader(file) if row["source"] != SOURCE]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FRAMEWORK_COLUMNS)
        writer.writerows([row[name] for name in FRAMEWORK_COLUMNS] for row in kept)
        for row in rows:
            numbers = (row.standard_error, row.rows_fit, row.rows_judged, row.median_error, row.p90_error)
            shown = ["" if value is None else f"{value:.4g}" for value in numbers]
            writer.writerow(
                [
                    row.framework,
                    row.version,
                    row.kind,
                    row.constant,
                    f"{row.value:.5g}",
                    *shown,
                    row.fitted_on,
                    row.source,
                ]
            )
