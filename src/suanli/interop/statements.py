"""Read another company's forecast statements from CSV, so that `suanli audit` can check them.

    line,2024A,2025E,2026E
    revenue,100,130,170
    营业成本,60,70,92

The first column names the line (ours, common English or Chinese), the others are years. "#" starts a comment line; an
amount may have thousands separators, brackets or a minus for a loss, "-" or nothing where there is none.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suanli.errors import InputError, ScenarioError, close_matches
from suanli.evidence.audit import Audit, audit
from suanli.evidence.claims import Claim
from suanli.evidence.statements import (
    LINES,
    statement_claim,
    statement_registry,
    statement_relations,
)

_ALIASES = {
    "revenue": "营业收入 营业总收入 sales turnover total_revenue operating_revenue",
    "cogs": "营业成本 cost_of_sales cost_of_revenue cost_of_goods_sold",
    "gross_profit": "毛利 毛利润",
    "operating_profit": "营业利润 operating_income",
    "non_operating_net": "营业外收支 non_operating",
    "pretax_profit": "利润总额 profit_before_tax pre_tax_profit income_before_tax",
    "income_tax": "所得税 所得税费用 tax",
    "net_profit": "净利润 net_income",
    "minority_profit": "少数股东损益 minority_interest_profit",
    "parent_net_profit": "归母净利润 归属于母公司净利润 归属母公司净利润 net_profit_to_parent",
    "ebit": "息税前利润",
    "ebitda": "息税折旧摊销前利润",
    "d_and_a": "折旧摊销 折旧与摊销 depreciation_and_amortisation depreciation",
    "current_assets": "流动资产 流动资产合计",
    "non_current_assets": "非流动资产 非流动资产合计",
    "total_assets": "资产合计 资产总计 总资产",
    "current_liab": "流动负债 流动负债合计 current_liabilities",
    "non_current_liab": "非流动负债 非流动负债合计 non_current_liabilities",
    "total_liab": "负债合计 总负债 total_liabilities",
    "total_equity": "股东权益 所有者权益 股东权益合计 equity",
    "cfo": "经营活动现金流 经营性现金流 operating_cash_flow",
    "cfi": "投资活动现金流 投资性现金流 investing_cash_flow",
    "cff": "筹资活动现金流 融资活动现金流 financing_cash_flow",
    "net_cash_change": "现金净流量 现金净增加额 现金净变动 change_in_cash",
    "cash": "货币资金 现金 cash_and_equivalents",
    "dividends": "分红 dividends_paid",
    "shares": "总股本 股本 shares_outstanding",
    "eps": "每股收益 earnings_per_share",
    "price": "股价 share_price",
    "pe": "市盈率 p/e price_earnings",
    "revenue_growth_pct": "营收增速 收入增长率 营业收入增长率 revenue_growth",
    "profit_growth_pct": "净利润增速 归母净利润增速 profit_growth",
    "gross_margin_pct": "毛利率 gross_margin",
    "net_margin_pct": "净利率 净利润率 net_margin",
}
_NAMES = {alias: line for line, aliases in _ALIASES.items() for alias in (line, *aliases.split())}
_NUMBER = re.compile(r"^\(?-?[\d,]+(?:\.\d+)?\)?%?$")
_EMPTY = ("", "-", "--", "n/a", "na", "无")


@dataclass(frozen=True, slots=True)
class Statements:
    """A company's statements as read: its table as a claim, and the lines that no identity uses."""

    claim: Claim
    other_lines: tuple[str, ...]

    def audit(self) -> Audit:
        """Check every identity that the lines allow."""
        return audit(statement_relations(self.claim), statement_registry(self.claim))


def read_statements(path: Path, name: str = "", unit: str = "百万元 (1e6 CNY)") -> Statements:
    """Read a forecast table.

    Args:
        path: the CSV file.
        name: id of the company; the file's name by default.
        unit: unit of the amounts.

    Returns:
        The table; `.audit()` checks it.

    Raises:
        InputError: no such file or not a table.
        ScenarioError: every line that cannot be read, ragged years included.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path.name}: not UTF-8 text") from None
    rows = [(number, row) for number, row in _rows(text) if row and not row[0].lstrip().startswith("#")]
    if len(rows) < 2 or len(rows[0][1]) < 2:
        raise InputError(f"{path.name}: expected a heading line,YEAR,YEAR,... and at least one line")
    years = [cell.strip() for cell in rows[0][1][1:]]
    problems: list[str] = []
    lines: dict[str, list[float | int | None]] = {}
    for number, row in rows[1:]:
        line = _line(row[0])
        cells = _cells(row[1:], len(years), f"{path.name}:{number} {row[0].strip()}", problems)
        if line in lines:
            problems.append(f'{path.name}:{number} the line "{line}" stands there twice')
        lines[line] = cells
    if problems:
        raise ScenarioError(problems)
    company = name or re.sub(r"[^a-z0-9-]+", "-", path.stem.lower()).strip("-") or "company"
    found = Statements(
        statement_claim(company, years, lines, unit), tuple(n for n in lines if n not in LINES)
    )
    if not statement_relations(found.claim):
        raise InputError(f"{path.name}: {_hint(lines)}")
    return found


def write_claims(statements: Statements, path: Path) -> None:
    """Write the statements as a claims file for `suanli audit FILE.toml`."""
    claim = statements.claim
    lines = [
        "[[claim]]",
        *_fields({"id": claim.id, "subject": claim.subject, "unit": claim.unit}),
        "[claim.table]",
    ]
    lines += [
        f"{_key(row)} = {json.dumps(_toml(cells), ensure_ascii=False)}" for row, cells in claim.rows.items()
    ]
    for check in statement_relations(claim):
        names = ("claim", "relation", "expression", "printed", "kind", "why")
        lines += ["", "[[check]]", *_fields({name: getattr(check, name) for name in names})]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _fields(fields: Mapping[str, str]) -> list[str]:
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]


def _key(row: str) -> str:
    return row if re.fullmatch(r"[A-Za-z0-9_-]+", row) else json.dumps(row, ensure_ascii=False)


def _toml(cells: Sequence[object]) -> list[object]:
    return ["" if cell is None else cell for cell in cells]


def _rows(text: str) -> Iterable[tuple[int, list[str]]]:
    reader = csv.reader(text.splitlines())
    for row in reader:
        yield reader.line_num, row


def _line(text: str) -> str:
    plain = re.sub(r"[\s\-]+", "_", re.sub(r"[(（].*?[)）]", "", text).strip().lower()).strip("_")
    return _NAMES.get(plain, plain)


def _cells(row: Sequence[str], count: int, place: str, problems: list[str]) -> list[float | int | None]:
    if len(row) != count:
        problems.append(f"{place}: {len(row)} amounts for {count} years")
    return [_amount(cell, place, problems) for cell in row]


def _amount(text: str, place: str, problems: list[str]) -> float | int | None:
    cell = text.strip()
    if cell.lower() in _EMPTY:
        return None
    if not _NUMBER.match(cell):
        problems.append(f'{place}: "{cell}" is no amount')
        return None
    digits = cell.rstrip("%").strip("()").replace(",", "")
    value = float(digits) if "." in digits else int(digits)
    return -value if cell.startswith("(") else value


def _hint(lines: Iterable[str]) -> str:
    near = {line: close_matches(line, LINES, 1) for line in lines}
    meant = "; ".join(f"{line} -> {found[0]}" for line, found in near.items() if found)
    question = f"Did you mean {meant}? " if meant else ""
    return f"no identity can be checked with these lines. {question}Lines: {', '.join(LINES)}"
