"""The chain: wires the layers in order, from tokens to returns, and writes the ledger. It alone knows all layers."""

from suanli.chain.run import run

__all__ = ["run"]
