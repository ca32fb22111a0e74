"""A command line in a folder of its own: what it printed where, how it ended, what it left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "scenarios"
DAY = str(SCENARIOS / "deepseek-day.toml")
FAST = ("--set", "uncertainty.draws=0")

# A whole scenario of two dozen lines, so that a test's line numbers can be counted by eye.
PLAN = """\
name = "A plan"

[demand]
input_tokens_per_day = 4e9
output_tokens_per_day = 1e9
mean_input_tokens = 2000
peak_to_mean = 1.8

[llm]
id = "llama-3.1-70b"
weights_dtype = "fp8"

[serving]
chip = "nvidia-h100-sxm"
replica = { chips = 4, tp = 4 }
slo = { tpot = "40 ms" }

[cooling]
system = "air"

[site]
id = "ashburn"

[economics]
rent = "2 USD/h"
price = { input_hit = "0.15 USD/Mtok", input_miss = "0.3 USD/Mtok", output = "0.6 USD/Mtok" }

[uncertainty]
draws = 0
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Cli = Callable[..., Done]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
