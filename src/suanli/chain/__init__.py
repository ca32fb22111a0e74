"""The chain: wires the layers in order, from tokens to returns, and writes the ledger. It alone knows all layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suanli.chain.wire import run

__all__ = ["run"]


def __getattr__(name: str) -> Any:
    """Import `run`, and with it every layer, where it is first asked for: engines and facts need few of them."""
    if name == "run":
        from suanli.chain.wire import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
