"""What a stranger sees: serving constants fitted without a chip or a model and judged on it, and none fitted at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from suanli.catalog import Catalog
from suanli.catalog.calibration import calibration_records, framework_records
from suanli.serving import Coefficients
from suanli.serving.framework import ANY, FrameworkRow, FrameworkTable
from suanli.study.deployment.solve import Deployments
from suanli.study.validate.measured import Measurement
from suanli.study.validate.predict import pairs
from suanli.study.validate.score import Pair

if TYPE_CHECKING:
    from suanli.study.calibrate.serving_rows import Rows

LEFT_OUT = ("none fitted", "chip", "model")


def left_out(
    measurements: Sequence[Measurement],
    what: str,
    catalog: Catalog,
    progress: Callable[[str], None] | None = None,
) -> list[Pair]:
    """Predict closed-loop rows with constants that did not see their chip, their model, or anything.

    For "chip" the chip's own kernel sets are left out as well, so that its family stands in. Judged are the rows of the
    judged half, as elsewhere.

    Args:
        measurements: what was measured.
        what: one of LEFT_OUT.
        catalog: the catalogue.
        progress: called with the name of each chip or model.
    """
    rows = [one for one in measurements if one.protocol == "closed_loop" and one.family in ("INFX", "AICGAP")]
    judged = [one for one in rows if one.half == "judge"]
    if what == "none fitted":
        return pairs(judged, Deployments(catalog, _tables(())).answers)
    groups = _groups(rows, catalog)
    found: list[Pair] = []
    for name in sorted({_name(one, what) for one in judged}):
        if progress is not None:
            progress(name)
        constants = _fit(groups, what, name)
        tables = _tables(constants, without_chip=name if what == "chip" else None)
        mine = [one for one in judged if _name(one, what) == name]
        found += pairs(mine, Deployments(catalog, tables).answers)
    return found


def _name(one: Measurement, what: str) -> str:
    """The chip or model; DeepSeek-R1 and V3 are one shape, and so one model."""
    if what == "chip":
        return one.chip
    return "deepseek-v3" if one.model.startswith("deepseek") else one.model


def _groups(rows: Sequence[Measurement], catalog: Catalog) -> list[Rows]:
    from suanli.study.calibrate.serving_rows import halves, rows_of

    tables = _tables(())
    return halves(rows_of(rows, Deployments(catalog, tables), tables), "fit")


def _fit(groups: Sequence[Rows], what: str, name: str) -> list[FrameworkRow]:
    from suanli.study.calibrate.serving import fitted, structural_table
    from suanli.study.calibrate.serving_rows import chosen
    from suanli.study.calibrate.serving_table import framework_rows

    others = chosen(groups, lambda one: _name(one, what) != name)
    return framework_rows(fitted(others, structural_table(framework_records())), others, ())


def _tables(constants: Sequence[FrameworkRow], without_chip: str | None = None) -> Coefficients:
    from suanli.study.calibrate.serving import SOURCE

    kernels = [row for row in calibration_records() if row[1] != without_chip]
    # Bands of what was left out stay: they are residuals of the half that was fitted, not of rows judged here.
    kept = [row for row in framework_records() if row[-1] != SOURCE or (row[0] == ANY and "_band" in row[3])]
    return Coefficients(kernels, FrameworkTable([*kept, *constants]))
