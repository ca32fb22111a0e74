"""A claims file of the user's own, in TOML: claims, and the relations that must hold between them.

    [[claim]]
    id = "acme-2025"
    quantity = "shipments"
    value = "350"          # text keeps the printed digits; a number is read as it stands
    unit = "万副"

    [[claim]]
    id = "acme-income"
    table = { years = ["2024", "2025"], revenue = [100, 130], cost = [60, 70], gross = [40, 60] }

    [[check]]
    claim = "acme-cagr"
    relation = "cagr_percent"
    of = ["acme-2030", "acme-2025", 5]

    [[check]]
    claim = "acme-income"
    relation = "income statement"
    expression = "{acme-income:revenue} - {acme-income:cost}"
    printed = "{acme-income:gross}"

Ids of the registry may be used too, so that a new report is checked against the old ones. A value may be a reference
itself ("{acme-2025}"); a circle is named.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suanli.errors import ScenarioError, close_matches
from suanli.evidence.claims import Claim, Registry, claim_of, registry
from suanli.evidence.expression import FUNCTIONS
from suanli.evidence.relation import KINDS, Relation

_CLAIM = (
    "id",
    "locator",
    "kind",
    "subject",
    "quantity",
    "value",
    "low",
    "high",
    "unit",
    "period",
    "credited",
    "note",
)
_CHECK = ("claim", "relation", "of", "expression", "printed", "kind", "bound", "why")
_BOUNDS = ("", "at least", "at most", "within")
_LIST = {"sum": "+", "difference": "-", "product": "*", "ratio": "/"}


def read_claims(path: Path) -> tuple[Registry, tuple[Relation, ...]]:
    """Read a claims file; its claims stand beside the registry's.

    Raises:
        ScenarioError: every problem of the file at once, with its place.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScenarioError([f"{path}: no such file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError([f"{path.name}: not valid TOML: {error}"]) from None
    problems: list[str] = []
    known = set(document) - {"claim", "check", "report"}
    problems += [
        f'{path.name}: no such section "{name}"; write [[claim]] or [[check]]' for name in sorted(known)
    ]
    claims = [
        _claim(entry, f"{path.name} claim {i}", problems)
        for i, entry in _entries(document, "claim", problems)
    ]
    ours = registry()
    names = [claim.id for claim in claims if claim]
    for name in sorted({n for n in names if names.count(n) > 1}):
        problems.append(f'{path.name}: claim "{name}" stands there twice')
    checks = [
        _check(entry, f"{path.name} check {i}", problems)
        for i, entry in _entries(document, "check", problems)
    ]
    if not problems and not checks:
        problems.append(f"{path.name}: no [[check]]; nothing to audit")
    if problems:
        raise ScenarioError(problems)
    both = {**ours.claims, **{claim.id: claim for claim in claims if claim}}
    numbered = tuple(
        Relation(f"{check.claim}#{index}", *_rest(check)) for index, check in enumerate(checks, 1) if check
    )
    return Registry(both.values(), ours.figures.values()), numbered


def _rest(check: Relation) -> tuple[str, ...]:
    return (
        check.claim,
        check.relation,
        check.expression,
        check.printed,
        check.kind,
        check.bound,
        "report",
        check.why,
    )


def _entries(
    document: Mapping[str, Any], name: str, problems: list[str]
) -> list[tuple[int, Mapping[str, Any]]]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        problems.append(f"{name}: write [[{name}]], one block for each")
        return []
    return list(enumerate(found, 1))


def _unknown(entry: Mapping[str, Any], fields: tuple[str, ...], place: str, problems: list[str]) -> None:
    for key in entry:
        if key not in fields:
            near = close_matches(key, fields, 1)
            problems.append(
                f'{place}: no such field "{key}"' + (f'; did you mean "{near[0]}"?' if near else "")
            )


def _claim(entry: Mapping[str, Any], place: str, problems: list[str]) -> Claim | None:
    _unknown(entry, (*_CLAIM, "table"), place, problems)
    name = entry.get("id")
    if not isinstance(name, str) or not name.strip() or any(sign in name for sign in ":{}[]"):
        problems.append(f"{place}: id must be a text without : {{ }} [ ]")
        return None
    table = entry.get("table", {})
    if not isinstance(table, dict) or not all(isinstance(row, list) for row in table.values()):
        problems.append(f"{place} ({name}): table must hold rows, each a list")
        return None
    values = [str(entry.get(key, "")) for key in _CLAIM]
    table = {row: [None if cell == "" else cell for cell in cells] for row, cells in table.items()}
    return claim_of(values, table)


def _check(entry: Mapping[str, Any], place: str, problems: list[str]) -> Relation | None:
    _unknown(entry, _CHECK, place, problems)
    claim, relation = entry.get("claim"), entry.get("relation", "formula")
    if not isinstance(claim, str):
        problems.append(f"{place}: which claim? Give claim = id")
        return None
    expression = entry.get("expression") or _from_list(relation, entry.get("of"), place, problems)
    bound = entry.get("bound", "")
    if bound not in _BOUNDS:
        problems.append(f"{place}: bound must be one of {', '.join(_BOUNDS[1:])}")
    if not expression:
        return None
    printed = entry.get("printed", f"{{{claim}}}")
    printed = str(printed).lower() if isinstance(printed, bool) else str(printed)
    kind = entry.get("kind", "printed")
    return Relation(
        "",
        claim,
        str(relation),
        str(expression),
        printed,
        str(kind),
        str(bound),
        why=str(entry.get("why", "")),
    )


def _from_list(relation: Any, of: Any, place: str, problems: list[str]) -> str:
    if not isinstance(of, list) or not of:
        problems.append(f'{place}: give "of", a list of claim ids, or an "expression"')
        return ""
    parts = [f"{{{item}}}" if isinstance(item, str) else repr(item) for item in of]
    if relation in _LIST:
        return f" {_LIST[relation]} ".join(parts)
    if relation in ("same", "shares"):
        return " + ".join(parts) if relation == "shares" else parts[0]
    if relation in FUNCTIONS:
        return f"{relation}({', '.join(parts)})"
    known = [*_LIST, "same", "shares", *FUNCTIONS]
    near = close_matches(str(relation), [*known, *KINDS], 1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    problems.append(f'{place}: "{relation}" is no relation that takes a list{hint} Known: {", ".join(known)}')
    return ""
