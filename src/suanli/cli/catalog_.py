"""`suanli catalog [TABLE] [ID]`: what is in the catalogue, with sources and alternatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import catalog_option, console, json_option, open_catalog, print_json, table

if TYPE_CHECKING:
    from suanli.catalog import Catalog, Fact

# The few parameters that tell entries of a table apart in a list, each with its header and the unit of the column;
# the card shows all of them.
_COLUMNS = {
    "chips": (
        ("memory_capacity", "memory\nGB", "GB"),
        ("memory_bandwidth", "memory\nTB/s", "TB/s"),
        ("peak_bf16", "BF16\nTFLOP/s", "TFLOP/s"),
        ("peak_fp8", "FP8\nTFLOP/s", "TFLOP/s"),
        ("tdp", "TDP\nW", "W"),
    ),
    "systems": (
        ("accelerator", "chip", ""),
        ("chips", "chips", "1"),
        ("power_max", "power\nkW", "kW"),
        ("price", "price\nk USD", "kUSD"),
    ),
    "links": (
        ("reach", "reach\nm", "m"),
        ("power_per_end", "power of an end\nW", "W"),
        ("price", "price\nUSD", "USD"),
    ),
    "switches": (
        ("capacity", "capacity\nTb/s", "Tb/s"),
        ("power_typical", "typical power\nW", "W"),
        ("price", "price\nUSD", "USD"),
    ),
    "converters": (
        ("rating", "rating\nkW", "kW"),
        ("efficiency_at_050", "efficiency at\nhalf load, %", "%"),
        ("price", "price\nUSD/kW", "USD/kW"),
    ),
    "sites": (
        ("electricity_price", "electricity\nUSD/kWh", "USD/kWh"),
        ("grid_carbon", "carbon\nkg/kWh", "kg/kWh"),
        ("tdb_mean_year", "mean of year\nC", "C"),
    ),
}
# Tables whose entries have little in common: a list of their facts says more than columns.
_FACTS = ("assumptions", "prices")


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
    suanli catalog frameworks vllm       which versions were fitted, on how many measurements
    """
    catalog = open_catalog(overlays)
    if table_name is None:
        _tables(catalog, as_json)
    elif table_name == "frameworks":
        from suanli.cli.catalog_frameworks import show_framework, show_frameworks

        show_frameworks(catalog, as_json) if name is None else show_framework(catalog, name, as_json)
    elif table_name == "models":
        _models(catalog, as_json) if name is None else _model(catalog, name, as_json)
    elif name is None:
        _entries(catalog, table_name, as_json)
    else:
        _card(catalog, table_name, name, as_json)


def _tables(catalog: Catalog, as_json: bool) -> None:
    from suanli.catalog import TABLES

    counts = {key: (len(catalog.ids(key)), sum(map(len, catalog.table(key).values()))) for key in TABLES}
    from suanli.cli.catalog_frameworks import constants

    frameworks = constants(catalog)
    counts["frameworks"] = (len({row[0] for row in frameworks}), len(frameworks))
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
    if table_name in _FACTS:
        return _facts(table_name, rows)
    columns = _COLUMNS.get(table_name) or _common(rows)
    shown = table(
        f"{table_name}: {len(rows)} entries", ("id", "left"), *((header, "right") for _, header, _ in columns)
    )
    for key in rows:
        facts = [(catalog.get(table_name, key, name), unit) for name, _, unit in columns]
        shown.add_row(key, *(_cell(fact, unit) if fact else "" for fact, unit in facts))
    console().print(shown)


def _facts(table_name: str, rows: dict[str, list[Fact]]) -> None:
    """Print one row a fact that is in use, below the id that it belongs to."""
    dated = any(":" in fact.parameter for facts in rows.values() for fact in facts)
    columns = [("id and parameter", "left"), *([("date", "left")] if dated else [])]
    shown = table(f"{table_name}: {len(rows)} entries", *columns, ("value", "right"), ("g", "left"))
    for key, facts in rows.items():
        shown.add_row(key, *[""] * (len(columns) + 1), style="bold")
        adopted = {fact.parameter: fact for fact in reversed(facts) if fact.status == "adopted"}
        if not adopted:
            shown.add_row("  none adopted: the card shows why", *[""] * (len(columns) + 1), style="dim")
        for fact in reversed(adopted.values()):
            name, _, date = fact.parameter.partition(":")
            cells = (f"  {name}", date) if dated else (f"  {fact.parameter}",)
            shown.add_row(*cells, fact.shown(), fact.grade)
    console().print(shown)


def _cell(fact: Fact, unit: str) -> str:
    """Print a fact in the unit of its column, or with its own where it has another."""
    from suanli import units
    from suanli.errors import UnitError

    try:
        if not unit:
            return f"{fact.value} {fact.unit}".removesuffix(" 1").strip()
        return units.digits(units.convert(fact.number, fact.unit or "1", unit), 5)
    except (ValueError, UnitError):
        return f"{fact.value} {fact.unit}".strip()


def _common(rows: dict[str, list[Fact]]) -> list[tuple[str, str, str]]:
    counts: dict[str, int] = {}
    for facts in rows.values():
        for parameter in {fact.parameter for fact in facts if fact.status == "adopted"}:
            counts[parameter] = counts.get(parameter, 0) + 1
    most = sorted(counts, key=lambda key: -counts[key])[:3]
    return [(key, key.replace("_", " "), "") for key in most]


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
            mark or fact.parameter,
            fact.shown(),
            fact.grade,
            f"{source}{_dated(fact.as_of)}{note}",
            style=style,
        )
    out = console()
    out.print(shown)
    out.print("Sources", style="bold")
    for source in dict.fromkeys(fact.source for fact in facts):
        record = catalog.source(source)
        where = ", ".join(filter(None, (record.get("publisher"), record.get("date"), record.get("where"))))
        out.print(f"  {source}: {record.get('title', 'not on record')}; {where}", style="dim")


def _dated(as_of: str) -> str:
    return f" ({as_of})" if as_of else ""


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
        # As a run counts them: the input embedding is looked up, no token goes through it.
        "parameters_active": count.active_without_input_embedding,
        "parameters_mtp": count.mtp,
        "kv_bytes_per_token_bf16": float(kv_bytes_per_token(model, "bf16")),
    }, ""
