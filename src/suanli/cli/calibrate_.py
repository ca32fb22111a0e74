"""`suanli calibrate --data DIR`: fit the coefficients again and write the tables with their report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import console, json_option, print_json, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from suanli.hardware.coefficients import CoefficientRow
    from suanli.serving.framework import FrameworkRow

STAGES = ("kernels", "frameworks", "power")
_FILES = {"kernels": "calibration.csv", "frameworks": "frameworks.csv", "power": "power_model.csv"}


@click.command()
@click.option("--data", metavar="DIR", help="Folder with kernels/ and measured/. Default: $SUANLI_DATA.")
@click.option(
    "-o", "--output", metavar="DIR", help="Folder to write the tables to. Default: the package's own."
)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="S",
    help="kernels, frameworks or power; all by default. May be repeated.",
)
@click.option(
    "--operator", "operators", multiple=True, metavar="NAME", help="Fit this operator only and write nothing."
)
@click.option("--dry-run", is_flag=True, help="Fit and print the errors; write nothing.")
@json_option
def command(
    data: str | None,
    output: str | None,
    stages: tuple[str, ...],
    operators: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fit operators on kernel tables, serving constants on half of the measured deployments, power on measured watts.

    Half of the rows, chosen by a hash, is fitted; the other half judges. Same data, same tables.

    \b
    suanli calibrate --data ../shared/data
    suanli calibrate --data ../shared/data --stage frameworks -o tables
    suanli calibrate --data ../shared/data --operator gemm
    """
    from suanli.catalog.schema import DATA
    from suanli.errors import InputError, NoDataError, UnknownIdError
    from suanli.study.validate import data_folder

    for stage in stages:
        if stage not in STAGES:
            raise UnknownIdError("stage", stage, STAGES, see="suanli calibrate --help")
    folder = data_folder(data)
    if folder is None:
        raise NoDataError(
            "No data to calibrate on. Give the folder: suanli calibrate --data DIR (or $SUANLI_DATA)"
        )
    target = None if dry_run or operators else Path(output) if output else DATA
    found: list[dict[str, Any]] = []
    try:
        if target is not None:
            target.mkdir(parents=True, exist_ok=True)
        for stage in ("kernels",) if operators else stages or STAGES:
            found += _RUN[stage](folder, target, operators)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written ({error.strerror})") from None
    _report(found, as_json)


def _kernels(folder: Path, target: Path | None, operators: tuple[str, ...]) -> list[dict[str, Any]]:
    from suanli.study.calibrate import OPERATORS, calibrate

    found = calibrate(
        folder, operators or OPERATORS, lambda name: click.echo(f"fitting {name} ...", err=True)
    )
    if target is not None:
        page = Path("docs/calibration.md")
        page = page if page.parent.is_dir() else target / "calibration.md"
        found.write(target / _FILES["kernels"], page)
        click.echo(f"wrote {target / _FILES['kernels']} and {page}", err=True)
    return _summary(found.rows)


def _frameworks(folder: Path, target: Path | None, _: tuple[str, ...]) -> list[dict[str, Any]]:
    """Fit serving constants, on the operators of the target where they were just fitted there."""
    from suanli.catalog.calibration import FILE, FRAMEWORKS, calibration_records, framework_records
    from suanli.serving import Coefficients
    from suanli.study.calibrate.serving import fitted, structural_table
    from suanli.study.calibrate.serving_rows import halves, rows_of
    from suanli.study.calibrate.serving_spread import nameless, spread_rows
    from suanli.study.calibrate.serving_table import framework_rows, write_rows
    from suanli.study.deployment.solve import Deployments
    from suanli.study.validate import read

    click.echo("fitting frameworks ...", err=True)
    own = FILE if target is None else target / _FILES["kernels"]
    base = structural_table(framework_records())
    tables = Coefficients(calibration_records(own if own.is_file() else FILE), base)
    deployments, measured = Deployments(tables=tables), read(folder)[0]
    groups = rows_of(measured, deployments, tables)
    fit, judge = halves(groups, "fit"), halves(groups, "judge")
    sets = fitted(fit, base)
    rows = framework_rows(sets, fit, judge)
    rows += spread_rows(sets, fit, rows_of(nameless(measured), deployments, tables), base)
    if target is not None:
        path = target / _FILES["frameworks"]
        if not path.is_file():
            path.write_bytes(FRAMEWORKS.read_bytes())
        write_rows(rows, path)
        click.echo(f"wrote {path}", err=True)
    return _framework_summary(rows)


def _power(folder: Path, target: Path | None, _: tuple[str, ...]) -> list[dict[str, Any]]:
    from suanli.study.calibrate.power import calibrate_power, write_power

    click.echo("fitting power ...", err=True)
    if target is None:
        return _summary(calibrate_power(folder).rows)
    rows = write_power(folder, target / _FILES["power"]).rows
    click.echo(f"wrote {target / _FILES['power']}", err=True)
    return _summary(rows)


_RUN = {"kernels": _kernels, "frameworks": _frameworks, "power": _power}


def _summary(rows: Iterable[CoefficientRow]) -> list[dict[str, Any]]:
    """Median and 90th percentile of the error over the sets of each operator, weighted by judged rows."""
    sets: dict[str, dict[tuple[str, ...], tuple[int, float, float]]] = {}
    for row in rows:
        if row.median_error is None or row.p90_error is None or not row.rows_judged:
            continue
        key = (row.chip, row.family, row.dtype, row.framework, row.kernel)
        sets.setdefault(row.operator, {})[key] = (row.rows_judged, row.median_error, row.p90_error)
    return [_weighted(operator, list(entries.values())) for operator, entries in sets.items()]


def _framework_summary(rows: Iterable[FrameworkRow]) -> list[dict[str, Any]]:
    """The same for TPOT and TTFT of frameworks."""
    sets: dict[str, dict[tuple[str, str], tuple[int, float, float]]] = {}
    for row in rows:
        if row.median_error is not None and row.p90_error is not None and row.rows_judged:
            name = "TTFT" if row.constant.startswith("ttft") else "TPOT"
            entry = (row.rows_judged, row.median_error, row.p90_error)
            sets.setdefault(f"serving {name}", {})[row.framework, row.kind] = entry
    return [_weighted(name, list(entries.values())) for name, entries in sets.items()]


def _weighted(name: str, entries: list[tuple[int, float, float]]) -> dict[str, Any]:
    total = sum(rows for rows, _, _ in entries)
    return {
        "operator": name,
        "sets": len(entries),
        "rows_judged": total,
        "median": sum(rows * median for rows, median, _ in entries) / total,
        "p90": sum(rows * p90 for rows, _, p90 in entries) / total,
    }


def _report(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"schema": "suanli/calibration/1", "operators": found})
        return
    columns = (
        ("operator", "left"),
        ("sets", "right"),
        ("rows", "right"),
        ("median", "right"),
        ("p90", "right"),
    )
    shown = table("Judged rows, mean over sets", *columns)
    for entry in found:
        errors = (f"{entry[name]:.1%}" for name in ("median", "p90"))
        shown.add_row(entry["operator"], str(entry["sets"]), f"{entry['rows_judged']:,}", *errors)
    console().print(shown)
