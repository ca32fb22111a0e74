"""The audit of every report, and loading the registry."""

from __future__ import annotations

import resource
import subprocess
import sys

from benchmarks.spec import Spec


def _command_cpu_s(*args: str) -> float:
    """CPU seconds of a fresh process; the audit ends with 1 where it finds contradictions, which is no failure."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *args], check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{args} ended with {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


SPECS = [
    Spec("audit", 2.0, "suanli audit, 874 checks", lambda: _command_cpu_s("-m", "suanli.cli.main", "audit")),
    Spec(
        "registry",
        0.3,
        "load the registry of claims in a fresh process",
        lambda: _command_cpu_s("-c", "from suanli.evidence import registry; registry()"),
    ),
]
