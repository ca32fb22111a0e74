"""The commands that start from nothing."""

from __future__ import annotations

import tempfile

from benchmarks.spec import Spec, command_cpu_s


def _run() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return command_cpu_s("run", "scenarios/deepseek-day.toml", "-o", folder)


SPECS = [
    Spec("help", 0.3, "suanli --help", lambda: command_cpu_s("--help")),
    Spec("run", 1.5, "suanli run scenarios/deepseek-day.toml, nothing cached", _run),
    Spec("catalog", 0.5, "suanli catalog chips", lambda: command_cpu_s("catalog", "chips")),
]
