"""A benchmark: what it measures, its budget, and how to run it once."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """One benchmark; `run` does the work and returns the CPU seconds [s] (or seconds per item) that count."""

    name: str
    budget_s: float
    what: str
    run: Callable[[], float]


def command_cpu_s(*args: str) -> float:
    """CPU seconds (user + system) of a fresh `suanli` process, interpreter included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "suanli.cli.main", *args], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def function_cpu_s(work: Callable[[], object], repeat: int = 1) -> float:
    """CPU seconds of one call, the mean of `repeat` calls after one that warms up."""
    work()
    start = time.process_time()
    for _ in range(repeat):
        work()
    return (time.process_time() - start) / repeat
