"""`suanli calibrate --data DIR`: fit the operator coefficients again and write the table with its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from suanli.cli.options import console, json_option, print_json, table

if TYPE_CHECKING:
    from suanli.study.calibrate import Calibration


@click.command()
@click.option(
    "--data", "data", metavar="DIR", help="Folder with kernels/aic/<system>/... Default: $SUANLI_DATA."
)
@click.option(
    "-o", "--output", metavar="FILE", help="Coefficient table to write. Default: the package's own."
)
@click.option(
    "--report", metavar="FILE", help="Report page to write (Markdown). Default: docs/calibration.md here."
)
@click.option(
    "--operator", "operators", multiple=True, metavar="NAME", help="Only this operator. May be repeated."
)
@click.option("--dry-run", is_flag=True, help="Fit and print the errors; write nothing.")
@json_option
def command(
    data: str | None,
    output: str | None,
    report: str | None,
    operators: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fit a few coefficients per chip and format from kernel tables; half of the shapes fit, the other half judges.

    \b
    suanli calibrate --data ../shared/data
    suanli calibrate --data ../shared/data --operator gemm --dry-run
    """
    from suanli.errors import InputError, NoDataError
    from suanli.study.calibrate import OPERATORS, calibrate
    from suanli.study.validate import data_folder

    folder = data_folder(data)
    if folder is None:
        raise NoDataError(
            "No data to calibrate on. Give the folder: suanli calibrate --data DIR (or $SUANLI_DATA)"
        )
    if operators and not dry_run and output is None:
        raise InputError("--operator fits a part of the table: give -o FILE for it, or --dry-run")
    found = calibrate(
        folder, operators or OPERATORS, lambda name: click.echo(f"fitting {name} ...", err=True)
    )
    if not dry_run:
        _write(found, output, report)
    if as_json:
        print_json({"schema": "suanli/calibration/1", "operators": _summary(found)})
        return
    shown = table(
        "Judged rows", ("operator", "left"), ("sets", "right"), ("median", "right"), ("p90", "right")
    )
    for entry in _summary(found):
        shown.add_row(
            str(entry["operator"]), str(entry["sets"]), f"{entry['median']:.1%}", f"{entry['p90']:.1%}"
        )
    console().print(shown)


def _summary(found: Calibration) -> list[dict[str, object]]:
    """Median and 90th percentile of the error over the sets of each operator, weighted by judged rows."""
    import numpy as np

    sets: dict[str, dict[tuple[str, ...], tuple[int, float, float]]] = {}
    for row in found.rows:
        if row.median_error is None or row.p90_error is None or not row.rows_judged:
            continue
        key = (row.chip, row.family, row.dtype, row.framework, row.kernel)
        sets.setdefault(row.operator, {})[key] = (row.rows_judged, row.median_error, row.p90_error)
    return [
        {
            "operator": operator,
            "sets": len(entries),
            **{
                name: float(
                    np.average(
                        [entry[at] for entry in entries.values()], weights=[e[0] for e in entries.values()]
                    )
                )
                for name, at in (("median", 1), ("p90", 2))
            },
        }
        for operator, entries in sets.items()
    ]


def _write(found: Calibration, output: str | None, report: str | None) -> None:
    from suanli.catalog.calibration import FILE
    from suanli.errors import InputError

    target = Path(output) if output else FILE
    page = Path(report) if report else Path("docs/calibration.md")
    try:
        if report is None and not page.parent.is_dir():
            page = target.with_suffix(".md")
        found.write(target, page)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written ({error.strerror})") from None
    click.echo(f"wrote {target} and {page}", err=True)
