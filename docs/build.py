"""Write the generated pages: nomenclature, systems, the README's answer and picture; a test fails on a stale one.

python docs/build.py          write
python docs/build.py --check  exit 1 where a file on disk differs
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import suanli
from suanli.catalog import schema
from suanli.evidence.systems import systems_page
from suanli.report import alone, cost_figure, power_figure
from suanli.result.metrics import metrics

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"


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


def readme() -> str:
    """The README with the demo's answer as the command prints it."""
    text = README.read_text(encoding="utf-8")
    command = [sys.executable, "-m", "suanli.cli.main", "run", "scenarios/deepseek-day.toml", "--no-folder"]
    answer = subprocess.run(command, cwd=README.parent, capture_output=True, text=True, check=True).stdout
    block = "\n".join(line.rstrip() for line in answer.strip().splitlines())
    before, rest = text.split("<!-- answer -->\n", 1)
    after = rest.split("<!-- /answer -->", 1)[1]
    return f"{before}<!-- answer -->\n```\n{block}\n```\n<!-- /answer -->{after}"


def pages() -> dict[Path, str]:
    """Every generated file with its text."""
    day = suanli.run(suanli.load(DOCS.parent / "scenarios" / "deepseek-day.toml"))
    return {
        README: readme(),
        DOCS / "systems.md": systems_page(),
        DOCS / "nomenclature.md": nomenclature(),
        DOCS / "figures" / "deepseek-day-cost.svg": alone(cost_figure(day)),
        DOCS / "figures" / "deepseek-day-power.svg": alone(power_figure(day)),
    }


def main() -> int:
    """Write or check the pages."""
    stale = [
        path
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(pages()[path], encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(DOCS.parent)}\n")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
