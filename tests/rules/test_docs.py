"""Generated pages and the README's answer are what the code gives today; links between pages lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "docs/build.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"stale: {done.stdout}{done.stderr}run: python docs/build.py"


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_scenarios_in_the_readme_exist() -> None:
    for name in re.findall(r"scenarios/[\w.-]+\.toml", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name
