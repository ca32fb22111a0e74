"""Options and printing that the verbs share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
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
    """Return a console as wide as the terminal, 100 columns where there is none."""
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
