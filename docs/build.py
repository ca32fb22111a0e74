"""Write the generated pages: nomenclature and the README's picture. A test fails where they are out of date.

    python docs/build.py          write
    python docs/build.py --check  exit 1 where a file on disk differs
"""

from __future__ import annotations

import sys
from pathlib import Path

import suanli
from suanli.catalog import schema
from suanli.report import alone, cost_figure, power_figure
from suanli.result.metrics import metrics

DOCS = Path(__file__).parent


def nomenclature() -> str:
    """One name for one quantity: every metric, then every parameter of the catalogue."""
    lines = [
        "# Nomenclature",
        "",
        "Generated from `result/metrics.csv` and `catalog/data/schema.csv` by `python docs/build.py`; edit those.",
        "",
        "A metric's unit is what the number counts once the `per_...` in its name is read. A formula that starts with",
        '"=" is arithmetic over the names and is recomputed by a test on every shipped scenario.',
        "",
        "## Metrics",
        "",
        "| name | unit | what | how |",
        "|---|---|---|---|",
    ]
    for metric in metrics().values():
        how = metric.formula.replace("|", "/") + (f" ({metric.reference})" if metric.reference else "")
        lines.append(f"| `{metric.name}` | {metric.unit} | {metric.label} {metric.per} | {how} |")
    for table, parameters in schema().items():
        lines += ["", f"## Catalogue table `{table}`", "", "| parameter | unit | what |", "|---|---|---|"]
        lines += [f"| `{p.parameter}` | {p.unit or 'text'} | {p.description} |" for p in parameters.values()]
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Every generated file with its text."""
    day = suanli.run(suanli.load(DOCS.parent / "scenarios" / "deepseek-day.toml"))
    return {
        DOCS / "nomenclature.md": nomenclature(),
        DOCS / "figures" / "deepseek-day-cost.svg": alone(cost_figure(day)),
        DOCS / "figures" / "deepseek-day-power.svg": alone(power_figure(day)),
    }


def main() -> int:
    """Write or check the pages."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(pages()[path], encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(DOCS.parent)}\n")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
