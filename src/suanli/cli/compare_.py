"""`suanli compare A B ...`: inputs that differ, results side by side, and which input moved what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import (
    catalog_option,
    console,
    json_option,
    merged_notes,
    needed_width,
    open_catalog,
    open_run,
    print_json,
    print_whole,
    set_option,
    table,
)

if TYPE_CHECKING:
    from rich.console import Console

    from suanli.catalog import Catalog
    from suanli.result.run import Result


@click.command()
@click.argument("cases", nargs=-1, required=True, metavar="A [B ...]")
@click.option("--runs", "parent", default="runs", show_default=True, help="Folder that holds run folders.")
@set_option
@catalog_option
@json_option
def command(
    cases: tuple[str, ...], parent: str, overrides: tuple[str, ...], overlays: tuple[str, ...], as_json: bool
) -> None:
    """Compare scenarios or run folders. One file with [variants.NAME] tables is compared with itself.

    \b
    suanli compare scenarios/deepseek-day.toml scenarios/r1-on-gb200-nvl72.toml
    suanli compare scenarios/r1-671b-on-domestic.toml
    """
    from suanli import chain
    from suanli.scenario import parse
    from suanli.study.compare import HEADLINES, differences, moves

    catalog = open_catalog(overlays)
    results: dict[str, Result] = {}
    for case in cases:
        for name, result in _results(case, parent, overrides, catalog).items():
            results[name if name not in results else f"{name} ({len(results) + 1})"] = result
    if len(results) < 2:
        raise click.UsageError("compare needs two cases: two files, or one file with [variants.NAME] tables")
    found = differences(results)
    first, second = list(results.values())[:2]
    # A stored run may be of another catalogue: its moves would mix two states.
    fresh = len(results) == 2 and all(case.endswith(".toml") for case in cases)
    moved = moves(first, second, lambda data: chain.run(parse(data), catalog)) if fresh else []
    if as_json:
        print_json(
            {
                "schema": "suanli/compare/1",
                "cases": list(results),
                "inputs": {d.name: list(d.values) for d in found},
                "metrics": {
                    name: [_entry(result, name) for result in results.values()] for name in _names(results)
                },
                "moves": [{"input": m.name, "ratio": m.ratio, "problem": m.problem} for m in moved],
            }
        )
        return
    _print(results, found, moved, HEADLINES)


def _results(case: str, parent: str, overrides: tuple[str, ...], catalog: Catalog) -> dict[str, Result]:
    from suanli import chain
    from suanli.result.run import Result
    from suanli.scenario import load_variants

    if case.endswith(".toml"):
        scenarios = load_variants(case, overrides, catalog)
        alone = len(scenarios) == 1
        return {Path(case).stem if alone else name: chain.run(s, catalog) for name, s in scenarios.items()}
    path = open_run(case, parent)
    return {path.parent.name: Result.read(path)}


def _names(results: dict[str, Result]) -> list[str]:
    return list(dict.fromkeys(name for result in results.values() for name in result.metrics()))


def _entry(result: Result, name: str) -> dict[str, Any] | None:
    value = result.values.get(name)
    return value.as_metric() if value else None


def _short(result: Result, name: str) -> str:
    from suanli.result.tree import shown

    value = result.values.get(name)
    return "" if value is None else "unavailable" if value.value is None else shown(value)


def _print(
    results: dict[str, Result], found: list[Any], moved: list[Any], headlines: tuple[str, ...]
) -> None:
    from suanli.result.metrics import metrics

    out = console()
    names = list(results)
    inputs = [(d.name, [_input(value) for value in d.values]) for d in found]
    _side_by_side(out, "Inputs that differ", "input", names, inputs)
    shows = [(metrics()[name].label, [_short(r, name) for r in results.values()]) for name in headlines]
    _side_by_side(out, "Results", "metric", names, shows)
    if moved:
        columns = (
            "fleet.nodes",
            "power.facility",
            "economics.cost_per_day",
            "economics.cost_per_mtok_output",
        )
        moves_table = table(
            "The first case with one section of the second",
            ("section", "left"),
            *((metrics()[c].label, "right") for c in columns),
        )
        for move in moved:
            cells = [f"{ratio - 1:+.1%}" if (ratio := move.ratio.get(c)) else "" for c in columns]
            moves_table.add_row(move.name, *(cells if not move.problem else [move.problem, "", "", ""]))
        out.print(moves_table)
    for line in _notes(results):
        out.print(line, style="dim")


def _input(value: Any) -> str:
    """An input as a person writes it: "608 bn", not 608000000000.0."""
    from suanli.units import show

    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return show(float(value), "tok").removesuffix(" tok") if abs(value) >= 1e6 else f"{value:g}"


def _side_by_side(
    out: Console, title: str, header: str, names: list[str], rows: list[tuple[str, list[str]]], first: int = 0
) -> None:
    """Print the cases from `first` on beside each other, in as many tables as the width asks for."""
    for last in range(len(names), first, -1):
        made = table(title, (header, "left"), *((name, "right") for name in names[first:last]))
        for label, cells in rows:
            if any(cells[first:last]):
                made.add_row(label, *cells[first:last])
        if needed_width(out, made) <= out.width or last == first + 1:
            print_whole(out, made)
            if last < len(names):
                _side_by_side(out, title, header, names, rows, last)
            return


def _notes(results: dict[str, Result]) -> list[str]:
    """Notes by case; those that every case has, its own chip aside, are said once for all."""
    said: dict[str, list[str]] = {}
    general: dict[str, list[tuple[str, str]]] = {}
    for name, result in results.items():
        chip = str((result.scenario.get("serving") or {}).get("chip", "")) or "\0"
        for note in merged_notes(result.warnings):
            text = note.replace(f"Each {chip}", "Each chip").replace(chip, "the chip")
            general.setdefault(text, []).append((name, note))
    for text, ones in general.items():
        if len(ones) == len(results):
            said[text] = ["all"]
            continue
        for name, note in ones:
            said.setdefault(note, []).append(name)
    return [f"{', '.join(names)}: {note}" for note, names in said.items()]
