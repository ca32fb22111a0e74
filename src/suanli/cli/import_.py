"""`suanli import hf config.json`: read files of other tools into an overlay folder."""

from __future__ import annotations

from pathlib import Path

import click

from suanli.cli.options import json_option, print_json


@click.group()
def command() -> None:
    """Read files of other tools into an overlay folder, for use with --catalog."""


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
            "parameters_active": report.parameters.active,
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
