"""`suanli catalog [TABLE] [ID]`: what is in the catalogue, with sources and alternatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import catalog_option, console, json_option, open_catalog, print_json, table

if TYPE_CHECKING:
    from suanli.catalog import Catalog, Fact

# The few parameters that tell entries of a table apart in a list; the card shows all of them.
_COLUMNS = {
    "chips": ("memory_capacity", "memory_bandwidth", "peak_bf16", "peak_fp8", "tdp"),
    "systems": ("accelerator", "chips", "power_max", "price"),
    "links": ("reach", "power_per_end", "price"),
    "switches": ("capacity", "power_typical", "price"),
    "converters": ("rating", "efficiency_at_050", "price"),
    "sites": ("electricity_price", "grid_carbon", "tdb_mean_year"),
}


@click.command()
@click.argument("table_name", metavar="[TABLE]", required=False)
@click.argument("name", metavar="[ID]", required=False)
@catalog_option
@json_option
def command(table_name: str | None, name: str | None, overlays: tuple[str, ...], as_json: bool) -> None:
    """Show the tables, the entries of a TABLE, or the card of one ID with its sources.

    \b
    suanli catalog
    suanli catalog chips
    suanli catalog chips h800
    suanli catalog models deepseek-ai/DeepSeek-R1
    """
    catalog = open_catalog(overlays)
    if table_name is None:
        _tables(catalog, as_json)
    elif table_name == "models":
        _models(catalog, as_json) if name is None else _model(catalog, name, as_json)
    elif name is None:
        _entries(catalog, table_name, as_json)
    else:
        _card(catalog, table_name, name, as_json)


def _tables(catalog: Catalog, as_json: bool) -> None:
    from suanli.catalog import TABLES

    counts = {key: (len(catalog.ids(key)), sum(map(len, catalog.table(key).values()))) for key in TABLES}
    counts["models"] = (len(catalog.ids("models")), len(catalog.ids("models")))
    if as_json:
        print_json(
            {
                "schema": "suanli/catalog/1",
                "tables": {k: {"ids": i, "rows": r} for k, (i, r) in counts.items()},
            }
        )
        return
    shown = table("Catalogue", ("table", "left"), ("entries", "right"), ("facts", "right"))
    for key, (ids, rows) in counts.items():
        shown.add_row(key, f"{ids:,}", f"{rows:,}")
    console().print(shown)
    click.echo("suanli catalog TABLE lists entries; suanli catalog TABLE ID shows one with its sources.")


def _entries(catalog: Catalog, table_name: str, as_json: bool) -> None:
    rows = catalog.table(table_name)
    if as_json:
        print_json({"schema": "suanli/catalog/1", "table": table_name, "ids": list(rows)})
        return
    columns = _COLUMNS.get(table_name) or _common(rows)
    shown = table(
        f"{table_name}: {len(rows)} entries", ("id", "left"), *((column, "right") for column in columns)
    )
    for key in rows:
        facts = [catalog.get(table_name, key, column) for column in columns]
        shown.add_row(key, *(f"{fact.value} {fact.unit}".strip() if fact else "" for fact in facts))
    console().print(shown)


def _common(rows: dict[str, list[Fact]]) -> list[str]:
    counts: dict[str, int] = {}
    for facts in rows.values():
        for parameter in {fact.parameter for fact in facts if fact.status == "adopted"}:
            counts[parameter] = counts.get(parameter, 0) + 1
    return [key for key, _ in sorted(counts.items(), key=lambda item: -item[1])][:4]


def _card(catalog: Catalog, table_name: str, name: str, as_json: bool) -> None:
    from suanli.evidence.links import claims_of

    facts = catalog.rows(table_name, name)
    key = facts[0].id
    said: dict[str, list[str]] = {}
    for link in claims_of(catalog, table_name, key):
        line = f"{link.claim.id}: {link.claim.shown}"
        said.setdefault(f"{link.fact.parameter} {link.fact.locator}", []).append(line)
    if as_json:
        entries = [
            {field: getattr(fact, field) for field in fact.__slots__}
            | {"claims": said.get(f"{fact.parameter} {fact.locator}", [])}
            for fact in facts
        ]
        print_json({"schema": "suanli/catalog/1", "table": table_name, "id": key, "facts": entries})
        return
    shown = table(
        f"{table_name} / {key}", ("parameter", "left"), ("value", "right"), ("g", "left"), ("source", "left")
    )
    hidden: set[str] = set()
    for fact in sorted(facts, key=lambda f: (f.parameter, f.status != "adopted", f.status != "alternative")):
        if fact.status == "adopted" and fact.parameter in hidden:
            continue
        hidden |= {fact.parameter} if fact.status == "adopted" else set()
        mark = "" if fact.status == "adopted" else f"  {fact.status}"
        source = f"{fact.source}, {fact.locator}" if fact.locator else fact.source
        note = f"\n{fact.note}" if fact.note and fact.status != "adopted" else ""
        note += "".join(f"\nclaim {line}" for line in said.get(f"{fact.parameter} {fact.locator}", ()))
        style = "" if fact.status == "adopted" else "dim"
        shown.add_row(
            mark or fact.parameter, fact.shown(), fact.grade, f"{source} ({fact.as_of}){note}", style=style
        )
    out = console()
    out.print(shown)
    out.print("Sources", style="bold")
    for source in dict.fromkeys(fact.source for fact in facts):
        record = catalog.source(source)
        where = ", ".join(filter(None, (record.get("publisher"), record.get("date"), record.get("where"))))
        out.print(f"  {source}: {record.get('title', 'not on record')}; {where}", style="dim")


def _models(catalog: Catalog, as_json: bool) -> None:
    ids = catalog.ids("models")
    if as_json:
        print_json({"schema": "suanli/catalog/1", "table": "models", "ids": ids})
        return
    shown = table(
        f"models: {len(ids)} shapes",
        ("id", "left"),
        ("parameters", "right"),
        ("active", "right"),
        ("KV kB/token", "right"),
        ("context", "right"),
    )
    for key in ids:
        config = catalog.model(key)
        computed, _ = _computed(config)
        total, active, kv = (
            f"{computed[field] / size:,.{places}f}{unit}" if field in computed else "unavailable"
            for field, size, places, unit in (
                ("parameters_total", 1e9, 2, " bn"),
                ("parameters_active", 1e9, 2, " bn"),
                ("kv_bytes_per_token_bf16", 1e3, 1, ""),
            )
        )
        context = config.get("_suanli", {}).get("context_length")
        shown.add_row(key, total, active, kv, f"{context:,}" if context else "unavailable")
    console().print(shown)


def _model(catalog: Catalog, name: str, as_json: bool) -> None:
    config: dict[str, Any] = catalog.model(name)
    computed, missing = _computed(config)
    if as_json:
        document = {"schema": "suanli/catalog/1", "table": "models", "config": config, "computed": computed}
        print_json({**document, "reason": missing} if missing else document)
        return
    about = config.get("_suanli", {})
    shown = table(f"models / {about.get('id', name)}", ("field", "left"), ("value", "left"))
    for field, value in computed.items():
        shown.add_row(f"{field} (computed)", f"{value:,.0f}")
    if missing:
        shown.add_row("parameters and KV", f"unavailable: {missing}")
    for field, value in {**about, **{k: v for k, v in config.items() if k != "_suanli"}}.items():
        shown.add_row(field, "; ".join(map(str, value)) if isinstance(value, list) else str(value))
    console().print(shown)


def _computed(config: dict[str, Any]) -> tuple[dict[str, float], str]:
    """What follows from a shape; nothing, and the reason, where the shape is published only in part."""
    from suanli.errors import NoDataError
    from suanli.llm import from_config, kv_bytes_per_token, parameters

    try:
        model = from_config(config)
    except NoDataError as error:
        return {}, str(error)
    count = parameters(model)
    return {
        "parameters_total": count.total,
        "parameters_active": count.active,
        "parameters_mtp": count.mtp,
        "kv_bytes_per_token_bf16": float(kv_bytes_per_token(model, "bf16")),
    }, ""
