"""Run the benchmarks and print CPU seconds beside their budgets."""

from __future__ import annotations

import importlib
import pkgutil
import statistics
import sys

import benchmarks

REPEATS = 3


def main() -> None:
    wanted = set(sys.argv[1:])
    print(f"{'benchmark':<28}{'CPU s':>12}{'budget':>12}   what")
    for module in sorted(info.name for info in pkgutil.iter_modules(benchmarks.__path__)):
        for spec in (
            getattr(importlib.import_module(f"benchmarks.{module}"), "SPECS", ())
            if module != "__main__"
            else ()
        ):
            if wanted and spec.name not in wanted:
                continue
            seconds = statistics.median(spec.run() for _ in range(REPEATS))
            mark = "" if seconds <= spec.budget_s else "  OVER"
            print(f"{spec.name:<28}{seconds:>12.4g}{spec.budget_s:>12.4g}   {spec.what}{mark}", flush=True)


if __name__ == "__main__":
    main()
