"""`suanli validate`: predictions against published measurements, and whether predictions changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import catalog_option, console, json_option, open_catalog, print_json, table

if TYPE_CHECKING:
    from suanli.study.deployment.solve import Deployments
    from suanli.study.validate.measured import Measurement
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
    "--grid", is_flag=True, help="Did predictions change? Compare a fixed grid with the file on record."
)
@click.option("--update", is_flag=True, help="With --grid: write the file on record anew.")
@click.option(
    "--record", metavar="FILE", default=GRID_FILE, show_default=True, help="With --grid: the file on record."
)
@click.option("--strict", is_flag=True, help="Exit with 1 where a target is missed.")
@catalog_option
@json_option
def command(
    data: str | None,
    shipped: bool,
    families: tuple[str, ...],
    board: str | None,
    grid: bool,
    update: bool,
    record: str,
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
    from suanli.study.deployment.solve import Deployments

    deployments = Deployments(open_catalog(overlays))
    if grid or update:
        return _grid(deployments, record, update, as_json)
    measurements, inputs, skipped = _measurements(deployments, data, shipped, families)
    found = _predict(deployments, measurements)
    return _report(found, inputs, skipped, board, strict, as_json)


def _measurements(
    deployments: Deployments, data: str | None, shipped: bool, families: Sequence[str]
) -> tuple[list[Measurement], str, int]:
    """Return what to compare with, where it comes from in words, and the rows of the table that were left out."""
    from suanli.errors import UnknownIdError
    from suanli.study.validate import FAMILIES, data_folder, read
    from suanli.study.validate.shipped import read_shipped

    wanted = tuple(family.upper() for family in families)
    for family in wanted:
        if family not in FAMILIES:
            raise UnknownIdError("family", family, FAMILIES, see="suanli validate")
    folder = None if shipped else data_folder(data)
    if folder is not None:
        found, left_out = read(folder, deployments.catalog, wanted)
        return found, "the measured table of the data folder (see its README)", len(left_out)
    found = [one for one in read_shipped(catalog=deployments.catalog) if not wanted or one.family in wanted]
    return found, "the cited tables of tests/validation", 0


def _predict(deployments: Deployments, measurements: Sequence[Measurement]) -> list[Pair]:
    from suanli.cli.progress import Progress
    from suanli.study.validate.predict import pairs

    progress = Progress("predicting", len(measurements))
    try:
        return pairs(measurements, deployments.answer, progress.tick, deployments.wall_w)
    finally:
        progress.close()


def _report(
    found: list[Pair], inputs: str, skipped: int, board: str | None, strict: bool, as_json: bool
) -> int:
    from suanli.errors import InputError
    from suanli.study.validate.board import lines, write_board
    from suanli.study.validate.targets import verdicts

    judged = verdicts(found)
    if board is not None:
        try:
            files = write_board(found, Path(board), inputs)
        except OSError as error:
            raise InputError(f"--board {board}: cannot be written ({error.strerror})") from None
        click.echo(f"wrote {files[0]} and {len(files) - 1} plots", err=True)
    if as_json:
        print_json(_document(found, judged, inputs, skipped))
    else:
        _print_lines(lines(found))
        _print_targets(judged)
        note = f"Compared with {inputs}." + (
            f" {skipped} rows are not a deployment's speed and were left out." if skipped else ""
        )
        console().print(note, style="dim")
    missed = [one for one in judged if one.met is False]
    return 1 if strict and missed else 0


_SHORT = {"output_tokens_per_s": "out/s", "input_tokens_per_s": "in/s", "e2e_s": "e2e", "power_w": "power"}


def _print_lines(found: Sequence[Any]) -> None:
    from suanli.study.validate.board import METRIC_NAMES, percent

    names = ("n", "med", "p90", "bias", "clean", "cover", "band", "rank")
    shown = table(
        "Predicted against published: error in %",
        ("family", "left"),
        ("", "left"),
        *((n, "right") for n in names),
    )
    for column in shown.columns:
        column.no_wrap = True
    for line in found:
        whole, clean = line.all, line.clean
        shown.add_row(
            line.family if line.half == "all" else f"{line.family} {line.half}",
            _SHORT.get(line.metric, METRIC_NAMES[line.metric][0]),
            str(whole.rows) if whole.rows == whole.answered else f"{whole.answered}/{whole.rows}",
            percent(whole.median),
            percent(whole.p90),
            percent(whole.bias, sign=True),
            percent(clean.median),
            percent(whole.coverage),
            "-" if whole.width is None else f"{whole.width:.2f}",
            "-" if whole.rank is None else f"{whole.rank:.2f}",
        )
    out = console()
    out.print(shown)
    out.print("n: answered/rows; clean: median without rows that a sanity check doubts;", style="dim")
    out.print(
        "cover: share inside our 90 % band, band: its half-width; rank: Spearman in groups.", style="dim"
    )


def _print_targets(found: Sequence[Verdict]) -> None:
    shown = table("Targets", ("target", "left"), ("limit", "right"), ("reached", "right"), ("", "left"))
    for one in found:
        if one.reached is None:
            continue
        width = one.target.statistic == "width"
        limit, reached = (
            f"x{v:.2f}" if width else f"{100 * v:.1f} %" for v in (one.target.limit, one.reached)
        )
        shown.add_row(one.target.text, limit, reached, "met" if one.met else "MISSED")
    console().print(shown)


def _document(found: list[Pair], judged: Sequence[Verdict], inputs: str, skipped: int) -> dict[str, Any]:
    from suanli.study.validate.board import lines

    return {
        "schema": "suanli/validation/1",
        "compared_with": inputs,
        "rows_left_out": skipped,
        "lines": [
            {
                "family": line.family,
                "half": line.half,
                "metric": line.metric,
                "all": _scores(line.all),
                "clean": _scores(line.clean),
            }
            for line in lines(found)
        ],
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


def _grid(deployments: Deployments, record: str, update: bool, as_json: bool) -> int:
    from suanli.cli.progress import Progress
    from suanli.errors import InputError, NoDataError
    from suanli.study.validate import grid

    path = Path(record)
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
    if not path.is_file():
        raise NoDataError(f"{record}: no predictions on record. Write them: suanli validate --grid --update")
    found = grid.changes(path.read_text(encoding="utf-8"), rows)
    if as_json:
        entries = [{name: getattr(one, name) for name in one.__slots__} for one in found]
        print_json({"schema": "suanli/prediction-changes/1", "questions": len(rows), "changes": entries})
    else:
        _print_changes(found, len(rows))
    return 1 if found else 0


def _print_changes(found: Sequence[Any], questions: int) -> None:
    if not found:
        click.echo(f"No change: {questions} predictions agree with the record to six digits.")
        return
    shown = table(
        f"{len({one.question for one in found})} of {questions} predictions changed",
        ("question", "left"),
        ("field", "left"),
        ("was", "right"),
        ("now", "right"),
        ("", "right"),
    )
    for one in found[:40]:
        shown.add_row(one.question, one.field, one.was, one.now, _ratio(one.was, one.now))
    console().print(shown)
    if len(found) > 40:
        click.echo(f"... and {len(found) - 40} more: --json lists them all")


def _ratio(was: str, now: str) -> str:
    try:
        return f"{100 * (float(now) / float(was) - 1):+.1f} %"
    except (ValueError, ZeroDivisionError):
        return ""
