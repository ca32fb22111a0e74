"""Coverage: every system, product and technique that the reports describe, what suanli does with it, what shows it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache

from suanli.evidence.claims import DATA

STATES = {
    "works": "computed, with what shows it",
    "partly": "on record or part of it computed; the note says what is missing",
    "planned": "belongs to the chain, not there yet",
    "out of scope": "with the reason",
}


@dataclass(frozen=True, slots=True)
class System:
    """One system: its layer, its state, the command, scenario or test that shows it, and its claims as patterns."""

    system: str
    layer: str
    state: str
    shows: str
    note: str
    claims: str


@lru_cache(maxsize=1)
def systems() -> tuple[System, ...]:
    """Every system of the reports, merged where two reports describe one thing."""
    with (DATA / "systems.csv").open(encoding="utf-8", newline="") as file:
        return tuple(System(**row) for row in csv.DictReader(file))


def systems_page() -> str:
    """Return docs/systems.md."""
    rows = systems()
    counts = {state: sum(row.state == state for row in rows) for state in STATES}
    lines = [
        "# Systems that the reports describe",
        "",
        "Generated from `evidence/data/systems.csv`; edit that. "
        f"{len(rows)} systems, products and techniques, merged where two reports describe one thing:",
        "",
        *(f"- {counts[state]} {state}: {what}" for state, what in STATES.items()),
        "",
        'A test runs or opens what the column "shown by" names. Claim ids are those of `suanli audit`.',
    ]
    for layer in dict.fromkeys(row.layer for row in rows):
        lines += [
            "",
            f"## {layer}",
            "",
            "| system | state | shown by | what | claims |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.system} | {row.state} | {f'`{row.shows}`' if row.shows else ''} | {row.note} | `{row.claims}` |"
            for row in rows
            if row.layer == layer
        ]
    return "\n".join(lines) + "\n"
