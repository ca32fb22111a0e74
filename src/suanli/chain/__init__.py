"""The chain: wires the layers in order, from tokens to returns, and writes the ledger. It alone knows all layers."""

from suanli.chain.wire import run

__all__ = ["run"]
