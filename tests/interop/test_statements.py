"""A forecast table from CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from suanli.errors import InputError, ScenarioError
from suanli.evidence import audit, read_claims, registry
from suanli.evidence.statements import statement_claim, statement_relations
from suanli.interop.statements import read_statements, write_claims

TABLE = """# invented figures
line,2024A,2025E,2026E
营业收入,"1,000",1200,1500
Cost of sales,600,700,880
毛利,400,500,620
货币资金,100,130,90
现金净增加额,-,30,(40)
经营活动现金流,80,120,130
投资活动现金流,-50,-70,-150
筹资活动现金流,-20,-20,-20
归母净利润,90,110,150
总股本,100,100,100
EPS,0.90,1.10,1.60
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "Acme Corp.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_lines_in_both_languages(tmp_path: Path) -> None:
    found = read_statements(_write(tmp_path, TABLE))
    rows = found.claim.rows
    assert found.claim.id == "acme-corp"
    assert rows["revenue"] == [1000, 1200, 1500] and rows["net_cash_change"] == [None, 30, -40]
    assert rows["cogs"] == [600, 700, 880] and rows["years"] == ["2024A", "2025E", "2026E"]


def test_identities_are_checked(tmp_path: Path) -> None:
    findings = {f.relation.relation: f for f in read_statements(_write(tmp_path, TABLE)).audit().findings}
    assert findings["income statement"].verdict == "consistent"
    assert findings["cash roll"].verdict == "consistent"  # 130 - 100 and 90 - 130
    assert findings["cash flow"].verdict == "consistent"
    assert findings["earnings per share"].verdict == "inconsistent"  # 150/100 is 1.50, printed 1.60
    assert "2026E" in findings["earnings per share"].cause


def test_written_claims_give_the_same_verdicts(tmp_path: Path) -> None:
    found = read_statements(_write(tmp_path, TABLE))
    write_claims(found, tmp_path / "acme.toml")
    claims, checks = read_claims(tmp_path / "acme.toml")
    again = audit(checks, claims)
    assert [f.verdict for f in again.findings] == [f.verdict for f in found.audit().findings]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("line,2024A\nrevenue,1,2\n", ScenarioError, "2 amounts for 1 years"),
        ("line,2024A\nrevenue,many\n", ScenarioError, '"many" is no amount'),
        ("line,2024A\nrevenue,1\nsales,1\n", ScenarioError, "twice"),
        ("line,2024A\nrevenu,1\ncogs,1\n", InputError, "revenu -> revenue"),
        ("line\n", InputError, "expected a heading"),
        ("", InputError, "expected a heading"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_statements(_write(tmp_path, text))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_statements(tmp_path / "none.csv")


@pytest.mark.parametrize("company", ["smic", "everbright", "shenling", "sulian"])
def test_the_four_companies_of_the_reports(company: str) -> None:
    """The registry's own statements pass through the same identities: all balance, to the last place."""
    lines: dict[str, list[object]] = {}
    for part in ("income", "balance", "cashflow"):
        rows = registry().claim(f"s001-fin-{company}-{part}").rows
        lines |= {name: cells for name, cells in rows.items() if name != "years"}
    years = registry().claim(f"s001-fin-{company}-income").rows["years"]
    claim = statement_claim(company, [str(year) for year in years], lines, "百万元")
    from suanli.evidence import Registry

    found = audit(statement_relations(claim), Registry([claim])).findings
    verdicts = {f.relation.why: f.verdict for f in found}
    assert verdicts["the balance sheet balances"] in ("consistent", "rounding")
    assert verdicts["cash rolls forward"] in ("consistent", "rounding")
    assert len(found) >= 6
