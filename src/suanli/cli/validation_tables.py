"""Tables that `suanli validate` prints: the board, whole services, targets, changes of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from suanli.cli.options import console, table

if TYPE_CHECKING:
    from suanli.study.validate.board import Line
    from suanli.study.validate.grid import Change
    from suanli.study.validate.scenarios import Figure
    from suanli.study.validate.targets import Verdict

_SHORT = {"output_tokens_per_s": "out/s", "input_tokens_per_s": "in/s", "e2e_s": "e2e", "power_w": "power"}


def print_lines(found: Sequence[Line]) -> None:
    """Print the board: a line per family, half and metric."""
    from suanli.study.validate.board import METRIC_NAMES, percent

    names = ("n", "med", "p90", "bias", "cover", "band", "rank")
    shown = table(
        "Predicted against published: error in %",
        ("family", "left"),
        ("", "left"),
        *((n, "right") for n in names),
    )
    for column in shown.columns:
        column.no_wrap = True
    for line in found:
        whole = line.all
        shown.add_row(
            line.family if line.half == "all" else f"{line.family} {line.half}",
            _SHORT.get(line.metric, METRIC_NAMES[line.metric][0]),
            str(whole.rows) if whole.rows == whole.answered else f"{whole.answered}/{whole.rows}",
            percent(whole.median),
            percent(whole.p90),
            percent(whole.bias, sign=True),
            percent(whole.coverage),
            "-" if whole.width is None else f"{whole.width:.2f}",
            "-" if whole.rank is None else f"{whole.rank:.2f}",
        )
    out = console()
    out.print(shown)
    out.print("n: answered/rows. cover: share inside our 90 % band, band: its half-width.", style="dim")
    out.print(
        "rank: Spearman inside groups of one model, chip and request. More: --json, --board.", style="dim"
    )


def print_figures(figures: Sequence[Figure]) -> None:
    """Print published figures of whole services beside ours."""
    from suanli.result.metrics import metrics
    from suanli.units import digits

    if not figures:
        return
    columns = (
        ("scenario", "left"),
        ("figure", "left"),
        ("published", "right"),
        ("ours", "right"),
        ("off", "right"),
    )
    shown = table("Whole services", *columns)
    for one in figures:
        known = metrics().get(one.metric)
        ours = "unavailable" if one.ours is None else digits(one.ours)
        off = "" if one.error is None else f"{100 * one.error:+.1f} %"
        label = one.metric if known is None else known.label
        shown.add_row(one.scenario.removesuffix(".toml"), label, digits(one.published), ours, off)
    console().print(shown)


def print_targets(found: Sequence[Verdict]) -> None:
    """Print what was asked and what was reached."""
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


def print_changes(found: Sequence[Change], questions: int) -> None:
    """Print which predictions of the grid changed."""
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
