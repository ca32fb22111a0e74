"""`suanli run SCENARIO`: the whole chain, the answer on the screen, everything else in the run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from suanli.cli.options import (
    catalog_option,
    console,
    json_option,
    merged_notes,
    open_catalog,
    print_json,
    print_whole,
    set_option,
    table,
)

if TYPE_CHECKING:
    from rich.table import Table

    from suanli.result.run import Result

# The answer, in the order a reader asks: how fast, how many, what it draws, what it costs, what it returns.
_ANSWER = (
    ("Model", ("llm.parameters_total", "llm.parameters_active", "llm.kv_bytes_per_token")),
    (
        "Serving",
        (
            "serving.prefill_tokens_per_s_per_chip",
            "serving.decode_tokens_per_s_per_chip",
            "serving.kv_space_per_chip",
            "serving.batch_per_chip",
            "serving.tpot",
            "serving.ttft",
        ),
    ),
    ("Fleet", ("fleet.prefill_nodes", "fleet.decode_nodes", "fleet.nodes", "fleet.chips", "fleet.racks")),
    ("Network", ("network.switches", "network.transceivers", "network.power", "network.capex")),
    (
        "Power",
        ("power.it", "power.chain_efficiency", "cooling.pue", "power.facility", "site.energy_per_year"),
    ),
    (
        "Money",
        (
            "economics.capex",
            "economics.cost_per_day",
            "economics.cost_per_mtok_output",
            "economics.revenue_per_day",
            "economics.margin_on_cost",
            "economics.irr",
            "economics.payback",
        ),
    ),
)


@click.command()
@click.argument("scenario", metavar="SCENARIO")
@click.option("-o", "--output", "parent", default="runs", show_default=True, help="Folder for run folders.")
@click.option("--no-folder", is_flag=True, help="Print the answer only; write nothing.")
@set_option
@catalog_option
@json_option
def command(
    scenario: str,
    parent: str,
    no_folder: bool,
    overrides: tuple[str, ...],
    overlays: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a scenario through the whole chain and write its run folder.

    \b
    suanli run scenarios/deepseek-day.toml
    suanli run scenarios/deepseek-day.toml --set serving.chip=nvidia-h200-sxm --json
    """
    from suanli import chain
    from suanli.scenario import load

    catalog = open_catalog(overlays)
    result = chain.run(load(scenario, overrides, catalog), catalog)
    folder = None
    if not no_folder:
        from suanli.report import page
        from suanli.runs import write_run

        folder = write_run(result, parent, {"report.html": page(result)})
    if as_json:
        print_json(result.document())
        for warning in result.warnings:
            click.echo(f"warning: {warning}", err=True)
        return
    _print(result)
    if folder is not None:
        click.echo(f"\nRun folder: {folder}  (report.html, result.json, ledger.csv, scenario.toml)")
        click.echo(f"Why: suanli explain {folder} economics.cost_per_mtok_output")


# Rates of a chip that does one phase only: in a replica that does both, neither is what the replica delivers.
_ONE_PHASE = ("serving.prefill_tokens_per_s_per_chip", "serving.decode_tokens_per_s_per_chip")


def _print(result: Result) -> None:
    out = console()
    print_whole(out, _answer(result))
    source = (result.scenario.get("published") or {}).get("source")
    if source:
        out.print(f"Published: {source}", style="dim")
    grades = [value.grade for value in result.values.values() if value.basis == "catalogue"]
    estimates = grades.count("D")
    out.print(f"{len(grades)} catalogue rows used, {estimates} of them our estimates (grade D).", style="dim")
    missing = {value.reason for value in result.metrics().values() if value.value is None}
    notes = [*_phases(result), *merged_notes(result.warnings)]
    for note in [*notes, *(f"Unavailable: {reason}." for reason in sorted(missing))]:
        out.print(f"Note: {note}", style="dim")


def _answer(result: Result) -> Table:
    from suanli.result.metrics import metrics
    from suanli.result.tree import shown, shown_band, shown_off, shown_published

    published = (result.scenario.get("published") or {}).get("figures", {})
    columns = [("", "left"), ("suanli", "right"), ("90 % band", "right")]
    columns += [("published", "right"), ("off", "right")] if published else []
    answer = table(result.name, *columns)
    for column in answer.columns:
        column.no_wrap = True
    for section, names in _ANSWER:
        answer.add_row(section, *[""] * (len(columns) - 1), style="bold")
        for name in names:
            value = result.values.get(name)
            if value is None:
                continue
            text = "unavailable" if value.value is None else shown(value)
            alone = ", alone" if name in _ONE_PHASE and _shares_chips(result) else ""
            row = [f"  {metrics()[name].label}{alone}", text, shown_band(value)]
            if published and name in published and value.value is not None:
                theirs = float(published[name])
                row += [shown_published(value, theirs), shown_off(value.value, theirs)]
            answer.add_row(*row)
    return answer


def _shares_chips(result: Result) -> bool:
    return bool((result.scenario.get("serving") or {}).get("mode") == "aggregated")


def _phases(result: Result) -> list[str]:
    """Say, where prefill and decode share chips, what a chip delivers while it does both."""
    from suanli.units import digits

    batch, tpot = (result.values.get(f"serving.{name}") for name in ("batch_per_chip", "tpot"))
    if not _shares_chips(result) or not (batch and tpot and batch.value and tpot.value):
        return []
    both = digits(batch.value / tpot.value)
    return [
        "Prefill and decode rate are of a chip that does that phase alone. A replica does both: "
        f"it puts out batch / TPOT = {both} tok/s/chip while it takes in the prompts."
    ]
