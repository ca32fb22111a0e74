"""`suanli import hf config.json` and others: read files of other tools into an overlay folder."""

from __future__ import annotations

from pathlib import Path

import click

from suanli.cli.import_measured import aiperf, kernels, vllm_bench
from suanli.cli.options import json_option, print_json


@click.group()
def command() -> None:
    """Read files of other tools into an overlay folder, for use with --catalog."""


command.add_command(vllm_bench)
command.add_command(aiperf)
command.add_command(kernels)


@command.command("statements")
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write a claims file for `suanli audit`."
)
@click.option("--unit", default="百万元 (1e6 CNY)", show_default=True, help="Unit of the amounts.")
@json_option
def statements(table: Path, output: Path | None, unit: str, as_json: bool) -> int:
    """Read a company's forecast table (CSV: a line a row, a year a column) and check its identities.

    \b
    suanli import statements forecast.csv -o forecast.toml
    suanli audit forecast.toml
    """
    from suanli.interop.statements import read_statements, write_claims

    found = read_statements(table, unit=unit)
    checked = found.audit()
    if output is not None:
        write_claims(found, output)
    counts = checked.counts
    if as_json:
        print_json({"schema": "suanli/import/1", "id": found.claim.id, "counts": counts})
    else:
        click.echo(f"{table.name}: " + ", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
        if found.other_lines:
            click.echo(f"Lines that no identity uses: {', '.join(found.other_lines)}", err=True)
    return 1 if counts.get("inconsistent") else 0


@command.command("hf")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "overlay",
    default="my-catalog",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Overlay folder; the model goes to its models/.",
)
@click.option("--id", "model_id", help="Id of the model; by default made from the file.")
@json_option
def hf(config: Path, overlay: Path, model_id: str | None, as_json: bool) -> None:
    """Add a model from a Hugging Face config.json (and hf_quant_config.json beside it).

    \b
    suanli import hf downloads/Qwen3-8B/config.json --id my-qwen
    suanli catalog models my-qwen --catalog my-catalog
    """
    from suanli.interop.hf import import_hf

    report = import_hf(config, overlay, model_id=model_id)
    if as_json:
        document = {
            "id": report.id,
            "path": str(report.path),
            "parameters_total": report.parameters.total,
            "parameters_active": report.parameters.active_without_input_embedding,
            "kv_bytes_per_token": report.kv_bytes_per_token,
            "unknown_fields": list(report.unknown_fields),
        }
        print_json({"schema": "suanli/import/1", **document})
        return
    count = report.parameters
    click.echo(
        f"{report.path}: {report.id}, {count.total / 1e9:,.2f} bn parameters, {count.active / 1e9:,.2f} bn active, "
        f"{report.kv_bytes_per_token / 1e3:,.1f} kB KV a token, weights {report.weights}"
    )
    if report.unknown_fields:
        click.echo(f"Fields that were not read: {', '.join(report.unknown_fields)}", err=True)
