"""The audit as one self-contained page, with filters by report, subject, relation and verdict."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from suanli.evidence import Across, Audit, Finding, reports

_STYLE = """
:root{--ink:#1c2330;--soft:#5b6675;--line:#d9dee6;--paper:#fff;--tint:#f4f6f9;--bad:#b3372f;--fair:#9a6b13;--good:#1d7a5f}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa5b4;--line:#323a46;--paper:#14181f;--tint:#1c222b;
--bad:#f08a80;--fair:#dba45c;--good:#4fc7a5}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1100px;padding:32px 24px 64px;background:var(--paper);
color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI","Noto Sans","Noto Sans CJK SC",sans-serif}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:32px 0 8px}.soft{color:var(--soft)}
form{display:flex;flex-wrap:wrap;gap:12px;margin:16px 0;padding:12px;background:var(--tint)}
label{font-size:13px;color:var(--soft);display:flex;flex-direction:column;gap:2px}
select,input{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);
padding:4px 6px;min-width:150px}
table{border-collapse:collapse;width:100%;font-size:14px}th,td{padding:5px 8px;border-bottom:1px solid var(--line);
text-align:left;vertical-align:top;overflow-wrap:anywhere}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft)}code{font-size:12.5px}.inconsistent{color:var(--bad);font-weight:600}
.rounding{color:var(--fair)}.consistent{color:var(--good)}tr[hidden]{display:none}
table.checks{table-layout:fixed;min-width:860px}
.scroll{overflow-x:auto}
col.claim{width:21%}col.relation{width:28%}col.figure{width:10%}col.verdict{width:12.5%}
@media print{form{display:none}body{max-width:none;padding:0}}
"""
_SCRIPT = """
const form=document.querySelector('form'),rows=[...document.querySelectorAll('tbody#checks tr')],
count=document.querySelector('#count');
function apply(){const f=Object.fromEntries(new FormData(form)),q=f.text.trim().toLowerCase();let n=0;
for(const r of rows){const d=r.dataset,ok=(!f.report||d.report===f.report)&&(!f.subject||d.subject===f.subject)&&
(!f.relation||d.relation===f.relation)&&(!f.verdict||d.verdict===f.verdict)&&(!q||r.textContent.toLowerCase().includes(q));
r.hidden=!ok;n+=ok;}count.textContent=n+' of '+rows.length+' checks';}
form.addEventListener('input',apply);apply();
"""


def audit_page(found: Audit, places: Sequence[Across], title: str) -> str:
    """Return the page as HTML text; it loads nothing from anywhere.

    Args:
        found: the findings.
        places: quantities that stand in several places.
        title: what was audited.
    """
    counts = found.counts
    summary = ", ".join(f'<span class="{name}">{counts[name]} {name}</span>' for name in counts)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>Audit of {escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Audit of {escape(title)}</h1>",
        f'<p>{len(found.findings)} checks: {summary}. <span class="soft">A figure is inconsistent where half a unit of '
        "the last printed place of everything that goes into it does not explain the gap.</span></p>",
        _form(found.findings),
        '<p class="soft" id="count"></p>',
        '<div class="scroll"><table class="checks"><colgroup><col class="claim"><col class="relation">'
        '<col class="figure"><col class="figure"><col class="verdict"><col></colgroup>',
        "<thead><tr><th>claim</th><th>relation</th><th class=n>printed</th><th class=n>computed</th>"
        '<th>verdict</th><th>likely cause</th></tr></thead><tbody id="checks">',
        *(_row(finding) for finding in _ordered(found.findings)),
        "</tbody></table></div>",
        *_places(places),
        f"<script>{_SCRIPT}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _ordered(findings: Iterable[Finding]) -> list[Finding]:
    order = ("inconsistent", "unjudged", "rounding", "consistent")
    return sorted(findings, key=lambda finding: order.index(finding.verdict))


def _form(findings: Sequence[Finding]) -> str:
    names = {name: f"{name} {row['publisher']}" for name, row in reports().items()}
    fields = {
        "report": sorted({_report(finding) for finding in findings}),
        "subject": sorted({finding.subject for finding in findings}),
        "relation": sorted({finding.relation.relation for finding in findings}),
        "verdict": ["inconsistent", "unjudged", "rounding", "consistent"],
    }
    boxes = []
    for name, values in fields.items():
        options = "".join(f'<option value="{escape(v)}">{escape(names.get(v, v))}</option>' for v in values)
        boxes.append(
            f'<label>{name}<select name="{name}"><option value="">all</option>{options}</select></label>'
        )
    return f'<form onsubmit="return false">{"".join(boxes)}<label>text<input name="text" type="search"></label></form>'


def _report(finding: Finding) -> str:
    return finding.relation.claim.partition("-")[0]


def _row(finding: Finding) -> str:
    check = finding.relation
    data = {"report": _report(finding), "subject": finding.subject, "relation": check.relation}
    data["verdict"] = finding.verdict
    attributes = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    cause = escape(finding.cause) or f'<span class="soft">{escape(check.why)}</span>'
    return (
        f"<tr {attributes}><td><code>{escape(check.id)}</code><br>"
        f"<span class=soft>{escape(finding.subject)}</span></td>"
        f"<td>{escape(check.relation)}<br><code class=soft>{escape(check.expression)}</code></td>"
        f"<td class=n>{_shown(finding.printed)}</td><td class=n>{_shown(finding.computed)}</td>"
        f'<td class="{finding.verdict}">{finding.verdict}</td><td>{cause}</td></tr>'
    )


def _places(places: Sequence[Across]) -> Iterable[str]:
    if not places:
        return
    apart = sum(place.verdict == "inconsistent" for place in places)
    yield f"<h2>The same quantity in several places</h2><p>{len(places)} quantities, {apart} disagree.</p>"
    yield "<table><tr><th>quantity</th><th>values, claims, dates</th><th>verdict</th></tr>"
    for place in sorted(places, key=lambda place: place.verdict != "inconsistent"):
        rows = "<br>".join(
            f"{escape(shown)} <code class=soft>{escape(name)}, {escape(date)}</code>"
            for name, shown, date in zip(place.claims, place.shown, place.dates, strict=True)
        )
        verdict = f'<td class="{place.verdict}">{place.verdict}<br><span class=soft>{escape(place.cause)}</span></td>'
        yield f"<tr><td>{escape(place.quantity)}</td><td>{rows}</td>{verdict}</tr>"
    yield "</table>"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "<br>".join(_shown(item) for item in value)
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:,.0f}" if 1e5 <= abs(value) < 1e15 else f"{value:.5g}"
    return escape(value if isinstance(value, str) else json.dumps(value))
