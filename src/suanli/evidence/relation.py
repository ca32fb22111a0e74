"""Relations: what must hold between claims. Each is a name, an expression over claim ids and what the report prints."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache

from suanli.evidence.claims import DATA

KINDS = {
    "growth": "a change over its base",
    "cagr": "compound growth a year from its two ends and its years",
    "cut": "what is saved: one less the ratio",
    "ratio": "one amount over another",
    "share": "a part over its whole",
    "shares": "shares of one whole, which add to 100",
    "sum": "parts and their sum",
    "difference": "one amount less another",
    "product": "count times amount: hours x price, chips x rate",
    "per unit": "an amount per unit of another",
    "implied base": "the base that a level and its growth imply",
    "same": "one quantity printed in two places",
    "same text": "one word printed in two places",
    "count": "rows counted",
    "bound": "an amount against its stated limit",
    "order": "which is larger, earlier or equal, as the text says",
    "machine count": "whole machines for a stated compute",
    "memory fit": "model bytes against memory",
    "physical limit": "a rate against its lanes, stacks, ports or formats",
    "export rule": "total processing performance and its thresholds",
    "training compute": "6 x parameters x tokens against what the machine can do",
    "earnings per share": "profit over shares",
    "price earnings": "price over earnings per share",
    "margin": "profit over revenue",
    "income statement": "revenue less costs down to net profit",
    "balance sheet": "assets, liabilities, equity and their parts",
    "equity roll": "equity this year, last year, profit and dividends",
    "cash flow": "operating, investing, financing and the change of cash",
    "cash roll": "cash this year, last year and its change",
    "turnover days": "average stock over the year's flow, in days",
    "statement ratio": "ratios of statement lines",
    "formula": "arithmetic of another kind",
}


@dataclass(frozen=True, slots=True)
class Relation:
    """One check.

    `printed` is an expression too: a claim id in braces, a row, or digits. `kind` says what it is: "printed" by the
    report, an "identity" that must be exact, "logic" (true or false), or "derived" (an anchor of ours: the report does
    not print the result, so the check only says that the arithmetic is carried over right). `bound` is "at least",
    "at most" or "within" where the report names a limit and not a value. `basis` is "external" where a figure from
    outside the report is needed.
    """

    id: str
    claim: str
    relation: str
    expression: str
    printed: str
    kind: str = "printed"
    bound: str = ""
    basis: str = "report"
    why: str = ""


@lru_cache(maxsize=1)
def relations() -> tuple[Relation, ...]:
    """The checks that ship with suanli."""
    with (DATA / "relations.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader, None)
        return tuple(Relation(*row) for row in reader)
