"""Options and printing that the verbs share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from suanli.catalog import Catalog

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

catalog_option: Decorator = click.option(
    "--catalog",
    "overlays",
    multiple=True,
    metavar="DIR",
    help="Folder with rows of your own (same CSV form); they win over ours. May be repeated.",
)
json_option: Decorator = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print only JSON to standard output; the rest goes to standard error.",
)
set_option: Decorator = click.option(
    "--set", "overrides", multiple=True, metavar="A.B=VALUE", help="Override one field. May be repeated."
)


def open_catalog(overlays: Sequence[str]) -> Catalog:
    """Open the catalogue with the given overlay folders in front."""
    from suanli.catalog import Catalog

    return Catalog(overlays)


def print_json(document: Any) -> None:
    """Print a JSON document, sorted as it was built, NaN refused."""
    click.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


def console(*, err: bool = False) -> Console:
    """Return a console as wide as the terminal, 80 columns where there is none."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 80, highlight=False, soft_wrap=False)


def table(title: str, *columns: tuple[str, str]) -> Table:
    """Return an empty table; columns are (header, "left" or "right")."""
    from rich import box
    from rich.table import Table

    made = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
        title_style="bold",
    )
    for header, justify in columns:
        made.add_column(header, justify="right" if justify == "right" else "left", overflow="fold")
    return made


def needed_width(out: Console, made: Table) -> int:
    """Return the columns that a table takes where nothing in it is folded or cut."""
    from rich.measure import Measurement

    return Measurement.get(out, out.options.update(width=10_000, max_width=10_000), made).maximum


def print_whole(out: Console, made: Table) -> None:
    """Print a table as wide as it needs to be, past the console's edge where it must: no digit is cut off."""
    narrow = out.width
    out.width = max(narrow, needed_width(out, made))
    try:
        out.print(made, crop=False)
    finally:
        out.width = narrow


def merged_notes(notes: Sequence[str]) -> list[str]:
    """Join notes that differ in what follows their last ": " only; the order is that of the first of each."""
    found: dict[str, list[str]] = {}
    for note in notes:
        head, colon, tail = note.rstrip(".").rpartition(": ")
        found.setdefault(head if colon else note, []).append(tail if colon else "")
    merged = []
    for head, tails in found.items():
        said = [tail for tail in dict.fromkeys(tails) if tail]
        merged.append(f"{head}: {', '.join(said)}." if said else head)
    return merged


def open_run(run: str, parent: str) -> Path:
    """Find the result.json of a run and say on standard error which one it is where several match.

    Raises:
        InputError: nothing there.
    """
    from suanli.runs import find_run
    from suanli.runs.folder import matching_runs

    path = find_run(run, parent)
    matches = matching_runs(run, parent)
    if len(matches) > 1:
        click.echo(f"{len(matches)} runs match {run}; taking the newest: {path.parent}", err=True)
    return path
