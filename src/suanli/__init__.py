"""suanli (算力): an AI service from tokens to watts to returns, every number with formula, source and band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from suanli.catalog import Catalog as Catalog
    from suanli.chain import run as run
    from suanli.result.run import Result as Result
    from suanli.scenario import Scenario as Scenario
    from suanli.scenario import load as load
    from suanli.study.deployment.ask import estimate as estimate

__all__ = ["Catalog", "Result", "Scenario", "estimate", "load", "run"]

_HOMES = {
    "Catalog": "suanli.catalog",
    "Result": "suanli.result.run",
    "Scenario": "suanli.scenario",
    "estimate": "suanli.study.deployment.ask",
    "load": "suanli.scenario",
    "run": "suanli.chain",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that `import suanli` costs nothing."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'suanli' has no attribute {name!r}")
