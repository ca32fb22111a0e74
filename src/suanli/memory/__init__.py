"""Memory: where weights and KV live, what fits."""

from suanli.memory.fit import MemoryFit, memory_fit

__all__ = ["MemoryFit", "memory_fit"]
