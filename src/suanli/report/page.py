"""One self-contained HTML page of a run: the answer beside published figures, two figures, every source."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from suanli import units
from suanli.report.figures import Bar, bars, waterfall
from suanli.result.metrics import metrics
from suanli.result.run import Result
from suanli.result.tree import shown, shown_band, shown_off
from suanli.result.value import Value

_STYLE = """
:root{--ink:#1c2330;--soft:#5b6675;--line:#d9dee6;--paper:#fff;--part:#3b6ea5;--sum:#1d9a7b;--other:#b0762c;--tint:#f4f6f9}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa5b4;--line:#323a46;--paper:#14181f;--part:#6ea4dd;
--sum:#4fc7a5;
--other:#dba45c;--tint:#1c222b}}
*{box-sizing:border-box}body{margin:0 auto;max-width:860px;padding:32px 24px 64px;background:var(--paper);
color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI","Noto Sans","Noto Sans CJK SC",sans-serif}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:36px 0 8px}p{margin:4px 0}.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:14px}th,td{padding:5px 8px;border-bottom:1px solid var(--line);
text-align:left;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;overflow-wrap:normal}
th{font-weight:600;color:var(--soft)}.warn{background:var(--tint);padding:8px 12px;border-left:3px solid var(--part)}
svg.figure{width:100%;height:auto;margin:8px 0}svg text{fill:var(--ink);font-size:13px}svg .title{font-weight:600}
svg .label{fill:var(--soft)}svg .part{fill:var(--part)}svg .sum{fill:var(--sum)}svg .other{fill:var(--other)}
td{overflow-wrap:anywhere}
details{margin:6px 0}summary{cursor:pointer}code{font-size:12.5px}@media print{body{max-width:none;padding:0}}
"""


def page(result: Result) -> str:
    """Return the page of a run as HTML text; it loads nothing from anywhere.

    Args:
        result: the run.
    """
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(result.name)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(result.name)}</h1>",
        f'<p class="soft">{escape(str(result.scenario.get("description", "")))}</p>',
        f'<p class="soft">suanli {escape(result.version)}, inputs {result.hash[:16]}. Bands hold 90 % of the draws.</p>',
        *_published(result),
        "<h2>Where the money goes</h2>",
        cost_figure(result),
        "<h2>Where the power goes</h2>",
        power_figure(result),
        *_warnings(result),
        "<h2>Every metric</h2>",
        _metrics_table(result),
        "<h2>Catalogue rows used</h2>",
        _rows_table(result),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _published(result: Result) -> Iterable[str]:
    published = result.scenario.get("published")
    if not published:
        return
    yield "<h2>Beside what was published</h2><table><tr><th>metric</th><th class=n>suanli</th><th class=n>90 % band</th>"
    yield "<th class=n>published</th><th class=n>difference</th></tr>"
    for name, figure in published["figures"].items():
        value = result.values.get(name)
        if value is None or value.value is None:
            continue
        theirs = shown(Value(name, float(figure), value.unit))
        yield (
            f"<tr><td>{_label(name)}</td><td class=n>{escape(shown(value))}</td>"
            f"<td class=n>{escape(shown_band(value))}</td><td class=n>{escape(theirs)}</td>"
            f"<td class=n>{shown_off(value.value, float(figure))}</td></tr>"
        )
    yield f'</table><p class="soft">Source: {escape(published["source"])}</p>'


def _parts(result: Result, prefix: str) -> list[Value]:
    return [v for v in result.values.values() if v.name.startswith(prefix) and v.value]


def cost_figure(result: Result) -> str:
    """Draw the cost of a million output tokens by part, owned, beside the rent where one is given."""
    rows = sorted(_parts(result, "economics.mtok_output_parts."), key=lambda v: -(v.value or 0.0))
    sums = [("owned, in all", "economics.owned_cost_per_mtok_output", "sum")]
    if "economics.rented_cost_per_day" in result.values:
        sums.append(("rented", "economics.cost_per_mtok_output", "other"))
    steps = [_money(_plain(v.name), v, "part") for v in rows]
    steps += [_money(label, result.values[name], kind) for label, name, kind in sums if name in result.values]
    return bars("Cost of a million output tokens [USD], by part where the fleet is owned", steps)


def _money(label: str, value: Value, kind: str) -> Bar:
    size = value.value or 0.0
    return Bar(
        label, size, "unavailable" if value.value is None else f"{units.digits(size, 3)} USD", kind=kind
    )


def power_figure(result: Result) -> str:
    """Draw the power from chip to grid as a waterfall."""
    rows = _parts(result, "power.parts.")
    total = result.values.get("power.facility")
    if not rows or total is None or total.value is None:
        return "<p>unavailable</p>"
    steps = [(_plain(v.name), v.value or 0.0, units.show(v.value, "W")) for v in rows]
    return waterfall(
        "Power from chip to grid, mean of the year",
        steps,
        ("from the grid", total.value, units.show(total.value, "W")),
    )


def _warnings(result: Result) -> Iterable[str]:
    if result.warnings:
        yield "<h2>To know</h2>"
        yield from (f'<p class="warn">{escape(warning)}</p>' for warning in result.warnings)


def _metrics_table(result: Result) -> str:
    lines = ["<table><tr><th>metric</th><th class=n>value</th><th class=n>90 % band</th><th>how</th></tr>"]
    for value in result.metrics().values():
        how = escape(value.formula or value.reason or value.basis)
        inputs = f"<br><code>{escape(', '.join(value.inputs))}</code>" if value.inputs else ""
        lines.append(
            f"<tr><td>{_label(value.name)}<br><code>{escape(value.name)}</code></td>"
            f"<td class=n>{escape(shown(value))}</td><td class=n>{escape(shown_band(value))}</td>"
            f"<td><details><summary>{escape(value.basis)}</summary>{how}{inputs}</details></td></tr>"
        )
    return "\n".join([*lines, "</table>"])


def _rows_table(result: Result) -> str:
    lines = [
        "<table><tr><th>used as</th><th class=n>value</th><th>grade</th><th>row, source, locator, date</th></tr>"
    ]
    for value in result.values.values():
        if value.basis == "catalogue":
            band = shown_band(value)
            text = shown(value) + (f" ({band})" if band else "")
            lines.append(
                f"<tr><td><code>{escape(value.name)}</code></td><td class=n>{escape(text)}</td>"
                f"<td>{escape(value.grade)}</td><td>{escape(value.origin)}</td></tr>"
            )
    return "\n".join([*lines, "</table>"])


def _plain(name: str) -> str:
    metric = metrics().get(name)
    return metric.label if metric else name.rsplit(".", 1)[-1].replace("_", " ")


def _label(name: str) -> str:
    return escape(_plain(name))
