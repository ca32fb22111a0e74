"""Identities of financial statements: what must hold between the lines of a forecast, as relations over a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from suanli.evidence.claims import Claim, Registry, claim_of
from suanli.evidence.relation import Relation

# (relation, lines that it needs, expression, printed, what it says); "@" is the table, rows are read whole or shifted.
_IDENTITIES: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "income statement",
        "revenue cogs gross_profit",
        "@revenue - @cogs",
        "@gross_profit",
        "revenue less cost of sales",
    ),
    (
        "income statement",
        "operating_profit non_operating_net pretax_profit",
        "@operating_profit + @non_operating_net - @pretax_profit",
        "0",
        "operating profit and the rest make profit before tax",
    ),
    (
        "income statement",
        "pretax_profit income_tax net_profit",
        "@pretax_profit - @income_tax - @net_profit",
        "0",
        "profit before tax less tax is net profit",
    ),
    (
        "income statement",
        "net_profit minority_profit parent_net_profit",
        "@net_profit - @minority_profit - @parent_net_profit",
        "0",
        "net profit less minorities is the parent's",
    ),
    (
        "income statement",
        "ebit d_and_a ebitda",
        "@ebit + @d_and_a - @ebitda",
        "0",
        "EBIT and depreciation make EBITDA",
    ),
    (
        "balance sheet",
        "current_assets non_current_assets total_assets",
        "@current_assets + @non_current_assets - @total_assets",
        "0",
        "assets",
    ),
    (
        "balance sheet",
        "current_liab non_current_liab total_liab",
        "@current_liab + @non_current_liab - @total_liab",
        "0",
        "liabilities",
    ),
    (
        "balance sheet",
        "total_liab total_equity total_assets",
        "@total_liab + @total_equity - @total_assets",
        "0",
        "the balance sheet balances",
    ),
    (
        "cash flow",
        "cfo cfi cff net_cash_change",
        "@cfo + @cfi + @cff - @net_cash_change",
        "0",
        "three flows and their sum",
    ),
    (
        "cash roll",
        "cash net_cash_change",
        "@cash[1:] - @cash[:-1] - @net_cash_change[1:]",
        "0",
        "cash rolls forward",
    ),
    (
        "equity roll",
        "total_equity net_profit dividends",
        "@total_equity[1:] - @total_equity[:-1] - @net_profit[1:] + @dividends[1:]",
        "0",
        "equity rolls forward",
    ),
    (
        "earnings per share",
        "parent_net_profit shares eps",
        "@parent_net_profit / @shares",
        "@eps",
        "profit over shares, both in one scale",
    ),
    ("price earnings", "price eps pe", "price_earnings(@price, @eps)", "@pe", "price over earnings a share"),
    (
        "growth",
        "revenue revenue_growth_pct",
        "growth_percent(@revenue[1:], @revenue[:-1])",
        "@revenue_growth_pct[1:]",
        "growth of revenue",
    ),
    (
        "growth",
        "parent_net_profit profit_growth_pct",
        "change_percent(@parent_net_profit[1:], @parent_net_profit[:-1])",
        "@profit_growth_pct[1:]",
        "growth of profit",
    ),
    (
        "margin",
        "revenue cogs gross_margin_pct",
        "cut_percent(@cogs, @revenue)",
        "@gross_margin_pct",
        "gross margin",
    ),
    (
        "margin",
        "revenue parent_net_profit net_margin_pct",
        "share_percent(@parent_net_profit, @revenue)",
        "@net_margin_pct",
        "net margin",
    ),
)
LINES = tuple(sorted({line for _, needs, _, _, _ in _IDENTITIES for line in needs.split()}))


def statement_claim(name: str, years: Sequence[str], lines: Mapping[str, Sequence[Any]], unit: str) -> Claim:
    """Make the claim that holds a statement as a table.

    Args:
        name: id of the claim.
        years: column headings.
        lines: {line: one value for each year, None where it is empty}.
        unit: unit of the amounts.
    """
    rows: dict[str, list[Any]] = {
        "years": list(years),
        **{line: list(cells) for line, cells in lines.items()},
    }
    fields = [name, "", "financial", f"company/{name}", "forecast statements", "", "", "", unit, "", "", ""]
    return claim_of(fields, rows)


def statement_relations(claim: Claim) -> tuple[Relation, ...]:
    """List the identities that a table's lines allow: those whose lines are all there."""
    found: list[Relation] = []
    for relation, needs, expression, printed, why in _IDENTITIES:
        if all(line in claim.rows for line in needs.split()):
            number = len(found) + 1
            texts = (_placed(claim.id, expression), _placed(claim.id, printed))
            kind = "identity" if printed == "0" else "printed"
            found.append(Relation(f"{claim.id}#{number}", claim.id, relation, *texts, kind, why=why))
    return tuple(found)


def statement_registry(claim: Claim) -> Registry:
    """A registry that holds one statement."""
    return Registry([claim])


def _placed(name: str, text: str) -> str:
    parts = text.split("@")
    placed = [parts[0]]
    for part in parts[1:]:
        end = next((i for i, sign in enumerate(part) if sign in " ,)"), len(part))
        placed.append(f"{{{name}:{part[:end]}}}{part[end:]}")
    return "".join(placed)
