"""`suanli explain RUN NAME`: where a number comes from, down to catalogue rows with their sources."""

from __future__ import annotations

import click

from suanli.cli.options import json_option, open_run, print_json


@click.command()
@click.argument("run")
@click.argument("name", required=False)
@click.option("--runs", "parent", default="runs", show_default=True, help="Folder that holds run folders.")
@click.option("--depth", default=12, show_default=True, type=click.IntRange(min=0), help="How deep to go.")
@json_option
def command(run: str, name: str | None, parent: str, depth: int, as_json: bool) -> None:
    """Print how NAME of RUN was made; without NAME, list what can be explained.

    RUN is a run folder, its result.json, or the start of a folder's name or path; of several the newest is taken.

    \b
    suanli explain runs/deepseek-v3 economics.cost_per_mtok_output
    """
    from suanli.result.run import Result
    from suanli.result.tree import shown, shown_band, walk

    result = Result.read(open_run(run, parent))
    if name is None:
        if as_json:
            print_json({"schema": "suanli/explain/1", "names": list(result.values)})
            return
        for value in result.metrics().values():
            click.echo(f"{value.name:<46} {shown(value)}")
        return
    result[name]  # an unknown name is refused with the close ones before anything is printed
    steps = list(walk(result.values, name, depth))
    if as_json:
        entries = [{"depth": step.depth, **step.value.as_entry()} for step in steps]
        print_json({"schema": "suanli/explain/1", "name": name, "steps": entries})
        return
    for step in steps:
        value, indent = step.value, "  " * step.depth
        band = shown_band(value)
        line = f"{indent}{value.name} = {shown(value)}" + (f"  [{band}]" if band else "")
        if step.repeated:
            click.echo(f"{line}  (see above)")
            continue
        click.echo(line)
        if value.basis == "catalogue":
            click.echo(f"{indent}  └ grade {value.grade} | {value.origin}")
        elif value.basis == "given":
            click.echo(f"{indent}  └ given: {value.origin}")
        elif value.formula:
            click.echo(f"{indent}  └ {value.formula}")
