"""`suanli validate`: predictions against published measurements, and whether predictions changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import catalog_option, console, json_option, open_catalog, print_json
from suanli.cli.validation_tables import print_changes, print_figures, print_lines, print_targets

if TYPE_CHECKING:
    from suanli.study.deployment.solve import Deployments
    from suanli.study.validate.board import Comparison
    from suanli.study.validate.measured import Measurement
    from suanli.study.validate.scenarios import Figure
    from suanli.study.validate.score import Pair, Score
    from suanli.study.validate.targets import Verdict

GRID_FILE = "tests/golden/predictions.csv"


@click.command()
@click.option(
    "--data", metavar="DIR", help="Folder with measured/measured_inference.csv. Default: $SUANLI_DATA."
)
@click.option("--shipped", is_flag=True, help="Only the small cited tables that come with the source.")
@click.option(
    "--family",
    "families",
    multiple=True,
    metavar="F",
    help="Only this family (INFX, NEURON ...). May be repeated.",
)
@click.option(
    "--board", metavar="FILE", help="Write the page (Markdown) with its plots, e.g. docs/validation.md."
)
@click.option(
    "--leave-out", is_flag=True, help="Fit again without each chip and model, judge on it (minutes)."
)
@click.option(
    "--grid", is_flag=True, help="Did predictions change? Compare a fixed grid with the file on record."
)
@click.option("--update", is_flag=True, help="With --grid: write the file on record anew.")
@click.option(
    "--record", metavar="FILE", default=GRID_FILE, show_default=True, help="With --grid: the file on record."
)
@click.option("--claims", is_flag=True, help="Claims of reports against our model, instead of measurements.")
@click.option(
    "--refine", is_flag=True, help="Do own runs help? Refine on some published runs, judge on the others."
)
@click.option("--strict", is_flag=True, help="Exit with 1 where a target is missed.")
@catalog_option
@json_option
def command(
    data: str | None,
    shipped: bool,
    families: tuple[str, ...],
    board: str | None,
    leave_out: bool,
    grid: bool,
    update: bool,
    record: str,
    claims: bool,
    refine: bool,
    strict: bool,
    overlays: tuple[str, ...],
    as_json: bool,
) -> int:
    """Compare predictions with published measurements, family by family.

    \b
    suanli validate                      every table at hand
    suanli validate --shipped            the small cited tables only
    suanli validate --data ../shared/data --board docs/validation.md
    suanli validate --grid               did predictions change?
    """
    if claims:
        from suanli.cli.claims import show_claims

        return show_claims(as_json=as_json)
    if refine:
        from suanli.cli.refine_trial import show_trials

        return show_trials(data, open_catalog(overlays), as_json)
    from suanli.study.deployment.solve import Deployments
    from suanli.study.validate.board import Comparison

    deployments = Deployments(open_catalog(overlays))
    if grid or update:
        return _grid(deployments, record, update, as_json)
    measurements, inputs, skipped = _measurements(deployments, data, shipped, families)
    # The targets are of the large measured table: the small cited ones do not judge them.
    targets = strict or _has_table(data, shipped)
    found = _predict(deployments, measurements)
    figures = _figures(deployments) if not families else []
    blind = _left_out(deployments, measurements) if leave_out else {}
    return _report(Comparison(found, inputs, figures, blind), skipped, board, strict, as_json, targets)


def _has_table(data: str | None, shipped: bool) -> bool:
    from suanli.study.validate import data_folder

    return not shipped and data_folder(data) is not None


def _figures(deployments: Deployments) -> list[Figure]:
    """Return the published figures of whole services, where the source tree is at hand."""
    from suanli.study.validate.scenarios import published_figures, scenario_folder

    folder = scenario_folder()
    return [] if folder is None else published_figures(folder, deployments.catalog)


def _measurements(
    deployments: Deployments, data: str | None, shipped: bool, families: Sequence[str]
) -> tuple[list[Measurement], str, int]:
    """Return what to compare with, where it comes from in words, and the rows of the table that were left out."""
    from suanli.errors import UnknownIdError
    from suanli.study.validate import FAMILIES, data_folder, read
    from suanli.study.validate.shipped import read_shipped, read_strangers

    wanted = tuple(family.upper() for family in families)
    for family in wanted:
        if family not in FAMILIES:
            raise UnknownIdError("family", family, FAMILIES, see="suanli validate")
    folder = None if shipped else data_folder(data)
    if folder is not None:
        found, left_out = read(folder, deployments.catalog, wanted)
        strangers = read_strangers(deployments.catalog)
        found += [one for one in strangers if not wanted or one.family in wanted]
        tables = (
            "the measured table of the data folder (see its README) and, of other teams, tests/validation"
        )
        return found, tables, len(left_out)
    found = [one for one in read_shipped(catalog=deployments.catalog) if not wanted or one.family in wanted]
    return found, "the cited tables of tests/validation", 0


def _predict(deployments: Deployments, measurements: Sequence[Measurement]) -> list[Pair]:
    from suanli.cli.progress import Progress
    from suanli.study.validate.predict import pairs

    progress = Progress("predicting", len(measurements))
    try:
        return pairs(measurements, deployments.answers, progress.tick, deployments.wall_w)
    finally:
        progress.close()


def _left_out(deployments: Deployments, measurements: Sequence[Measurement]) -> dict[str, list[Pair]]:
    from suanli.study.validate.leave_out import LEFT_OUT, left_out

    return {
        what: left_out(
            measurements,
            what,
            deployments.catalog,
            lambda name: click.echo(f"fitting without {name} ...", err=True),
        )
        for what in LEFT_OUT
    }


def _report(
    compared: Comparison, skipped: int, board: str | None, strict: bool, as_json: bool, targets: bool
) -> int:
    from suanli.errors import InputError
    from suanli.study.validate.board import lines, write_board

    judged = compared.verdicts
    if board is not None:
        try:
            files = write_board(compared, Path(board))
        except OSError as error:
            raise InputError(f"--board {board}: cannot be written ({error.strerror})") from None
        click.echo(f"wrote {files[0]} and {len(files) - 1} plots", err=True)
    if as_json:
        print_json(_document(compared, judged, skipped))
    else:
        print_lines(lines(compared.pairs))
        print_figures(compared.published)
        if targets:
            print_targets(judged)
        left = f" {skipped} rows are not a deployment's speed and were left out." if skipped else ""
        console().print(f"Compared with {compared.inputs}.{left}", style="dim")
        console().print(_about_targets(targets, strict), style="dim")
    return 1 if strict and any(one.met is False for one in judged) else 0


def _about_targets(shown: bool, strict: bool) -> str:
    if strict:
        return "--strict: the exit code is 1 where a target is missed."
    if shown:
        return "A missed target does not fail the command; with --strict the exit code is 1."
    return (
        "The targets are of the large measured table, not of these small ones: --data DIR judges them, --strict "
        "judges them on what is at hand and exits with 1 where one is missed."
    )


def _document(compared: Comparison, judged: Sequence[Verdict], skipped: int) -> dict[str, Any]:
    from suanli.study.validate.board import lines

    return {
        "schema": "suanli/validation/1",
        "compared_with": compared.inputs,
        "rows_left_out": skipped,
        "lines": [
            {
                "family": line.family,
                "half": line.half,
                "metric": line.metric,
                "all": _scores(line.all),
                "clean": _scores(line.clean),
            }
            for line in lines(compared.pairs)
        ],
        "services": [{name: getattr(one, name) for name in one.__slots__} for one in compared.published],
        "targets": [
            {
                "text": one.target.text,
                "limit": one.target.limit,
                "reached": one.reached,
                "rows": one.rows,
                "met": one.met,
            }
            for one in judged
        ],
    }


def _scores(found: Score) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__slots__}


def _record_file(record: str, update: bool) -> Path:
    """The predictions on record; ours are in the source folder, wherever the command is started.

    Raises:
        NoDataError: there are none.
    """
    from suanli.errors import NoDataError
    from suanli.study.validate.scenarios import scenario_folder

    path, scenarios = Path(record), scenario_folder()
    if record == GRID_FILE and scenarios is not None:
        return scenarios.parent / GRID_FILE
    if update or path.is_file():
        return path
    if record == GRID_FILE:
        raise NoDataError(
            f"{record}: the record comes with the source, which is not here: give --record FILE, or write one of "
            "your own with --grid --update --record FILE"
        )
    raise NoDataError(
        f"{record}: no predictions on record. Write them: suanli validate --grid --update --record {record}"
    )


def _grid(deployments: Deployments, record: str, update: bool, as_json: bool) -> int:
    from suanli.cli.progress import Progress
    from suanli.errors import InputError
    from suanli.study.validate import grid

    path = _record_file(record, update)
    progress = Progress("answering the grid", sum(1 for _ in grid.questions()))
    rows = grid.answers(deployments.answer, progress.tick)
    progress.close()
    if update:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(grid.table(rows), encoding="utf-8")
        except OSError as error:
            raise InputError(f"--record {record}: cannot be written ({error.strerror})") from None
        click.echo(f"wrote {len(rows)} predictions to {path}", err=True)
        return 0
    found = grid.changes(path.read_text(encoding="utf-8"), rows)
    if as_json:
        entries = [{name: getattr(one, name) for name in one.__slots__} for one in found]
        print_json({"schema": "suanli/prediction-changes/1", "questions": len(rows), "changes": entries})
    else:
        print_changes(found, len(rows))
    return 1 if found else 0
