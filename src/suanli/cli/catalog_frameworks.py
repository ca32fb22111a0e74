"""`suanli catalog frameworks [NAME]`: which serving frameworks, versions and kinds of model were fitted, on what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from suanli.cli.options import console, print_json, table

if TYPE_CHECKING:
    from suanli.catalog import Catalog

Row = tuple[str, ...]
_ANY = "any"


def constants(catalog: Catalog) -> tuple[Row, ...]:
    """Return the rows of the table of frameworks, those of the user's overlays first."""
    from suanli.catalog.calibration import read_tables

    def frameworks(_: Sequence[Row], rows: tuple[Row, ...], **__: Any) -> tuple[Row, ...]:
        return rows

    return read_tables(frameworks, catalog.overlays)


def show_frameworks(catalog: Catalog, as_json: bool) -> None:
    """List, framework by kind of model: versions with constants of their own and the measurements behind."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in constants(catalog):
        groups.setdefault((row[0], row[2]), []).append(row)
    if as_json:
        entries = [{"framework": name, "kind": kind, **_entry(rows)} for (name, kind), rows in groups.items()]
        ids = list(dict.fromkeys(name for name, _ in groups))
        print_json({"schema": "suanli/catalog/1", "table": "frameworks", "ids": ids, "fits": entries})
        return
    shown = table(
        f"frameworks: {len({name for name, _ in groups})} entries",
        ("id", "left"),
        ("kind of model", "left"),
        ("rows\nfit", "right"),
        ("rows\njudged", "right"),
        ("versions fitted or read (rows)", "left"),
    )
    last = ""
    for (name, kind), rows in sorted(groups.items()):
        entry = _entry(rows)
        versions = ", ".join(f"{key} ({n})" if n else key for key, n in entry["versions"].items())
        counts = (str(entry[key] or "") for key in ("rows_fit", "rows_judged"))
        shown.add_row("" if name == last else name, _ANY if kind == "*" else kind, *counts, versions)
        last = name
    out = console()
    out.print(shown)
    out.print(
        "id *: what a framework without rows of its own gets. No rows: constants read in its documentation or "
        "estimated. A version that is not listed gets the framework's constants and a wider band. "
        "suanli catalog frameworks ID shows every constant with its source.",
        style="dim",
    )


def show_framework(catalog: Catalog, name: str, as_json: bool) -> None:
    """Print every constant of a framework with its source.

    Raises:
        UnknownIdError: no such framework.
    """
    from suanli.catalog.calibration import FRAMEWORK_COLUMNS
    from suanli.errors import UnknownIdError

    rows = constants(catalog)
    key = next((row[0] for row in rows if row[0] == name.lower()), None)
    if key is None:
        known = list(dict.fromkeys(row[0] for row in rows))
        raise UnknownIdError("framework", name, known, see="suanli catalog frameworks")
    found = [row for row in rows if row[0] == key]
    if as_json:
        facts = [dict(zip(FRAMEWORK_COLUMNS, row, strict=True)) for row in found]
        print_json({"schema": "suanli/catalog/1", "table": "frameworks", "id": key, "facts": facts})
        return
    shown = table(
        f"frameworks / {key}",
        ("version, kind of model, constant", "left"),
        ("value", "right"),
        ("rows fit", "right"),
        ("source", "left"),
    )
    last = ""
    for _, version, kind, constant, value, _, rows_fit, *_, source in found:
        group = f"{_ANY if version == '*' else version}, {_ANY if kind == '*' else kind}"
        if group != last:
            shown.add_row(group, "", "", "", style="bold")
        shown.add_row(f"  {constant}", value, rows_fit if rows_fit != "0" else "", source)
        last = group
    console().print(shown)


def _entry(rows: Sequence[Row]) -> dict[str, Any]:
    """Measurements behind the constants of one framework and kind, and behind each version that has its own."""
    versions: dict[str, int] = {}
    for row in rows:
        if row[1] != "*":
            versions[row[1]] = max(versions.get(row[1], 0), int(row[6] or 0))
    general = [row for row in rows if row[1] == "*"]
    fit, judged = (max((int(row[column] or 0) for row in general), default=0) for column in (6, 7))
    return {"rows_fit": fit, "rows_judged": judged, "versions": dict(sorted(versions.items()))}
