"""Hash table of (block, cache) and the lists in order of use behind the prefix caches."""

from __future__ import annotations

from suanli.serving.sim import columns as c
from suanli.serving.sim.state import State

_MULTIPLIER = 1640531527  # 2**32 over the golden ratio squared: Knuth's multiplicative hash without overflow


def slot_of(s: State, key: int) -> int:
    """The slot where a key would be if no other key had taken it."""
    mixed = (key & 0x7FFFFFFF) * _MULTIPLIER + (key >> 31) * 40503
    return int(((mixed >> 15) ^ mixed) & (s.cn.shape[0] - 1))


def key_of(s: State, block: int, cache: int) -> int:
    """One number for a block in a cache; 0 means an empty slot."""
    return int(block * s.gi[c.CACHES] + cache + 1)


def find(s: State, block: int, cache: int) -> int:
    """Node of a block in a cache, or -1."""
    key = key_of(s, block, cache)
    mask = s.cn.shape[0] - 1
    i = slot_of(s, key)
    while s.cn[i, c.H_KEY] != 0:
        if s.cn[i, c.H_KEY] == key:
            return int(s.cn[i, c.H_NODE])
        i = (i + 1) & mask
    return -1


def store(s: State, block: int, cache: int, size: int) -> int:
    """Make a node for a block in a cache; it is on no list yet."""
    node = s.gi[c.FREE_NODE]
    s.gi[c.FREE_NODE] = s.cn[node, c.N_NEXT]
    s.cn[node, c.N_BLOCK] = block
    s.cn[node, c.N_CACHE] = cache
    s.cn[node, c.N_REFS] = 0
    s.cn[node, c.N_USES] = 0
    s.cn[node, c.N_SIZE] = size
    key = key_of(s, block, cache)
    mask = s.cn.shape[0] - 1
    i = slot_of(s, key)
    while s.cn[i, c.H_KEY] != 0:
        i = (i + 1) & mask
    s.cn[i, c.H_KEY] = key
    s.cn[i, c.H_NODE] = node
    return int(node)


def drop(s: State, node: int) -> None:
    """Forget a node that is on no list; slots behind it move up, so that searches stay short."""
    key = key_of(s, s.cn[node, c.N_BLOCK], s.cn[node, c.N_CACHE])
    mask = s.cn.shape[0] - 1
    i = slot_of(s, key)
    while s.cn[i, c.H_KEY] != key:
        i = (i + 1) & mask
    j = i
    while True:
        j = (j + 1) & mask
        if s.cn[j, c.H_KEY] == 0:
            break
        home = slot_of(s, s.cn[j, c.H_KEY])
        if ((j - home) & mask) >= ((j - i) & mask):
            s.cn[i, c.H_KEY] = s.cn[j, c.H_KEY]
            s.cn[i, c.H_NODE] = s.cn[j, c.H_NODE]
            i = j
    s.cn[i, c.H_KEY] = 0
    s.cn[node, c.N_NEXT] = s.gi[c.FREE_NODE]
    s.gi[c.FREE_NODE] = node


def list_of(s: State, node: int) -> int:
    """The list of a node: one a cache and class of use."""
    kinds = s.gi[c.FREQUENCIES]
    return int(s.cn[node, c.N_CACHE] * kinds + min(s.cn[node, c.N_USES], kinds - 1))


def link(s: State, node: int) -> None:
    """Put a node at the recent end of its list."""
    k = list_of(s, node)
    tail = s.cn[k, c.L_NEWEST]
    s.cn[node, c.N_PREV] = tail
    s.cn[node, c.N_NEXT] = -1
    if tail < 0:
        s.cn[k, c.L_OLDEST] = node
    else:
        s.cn[tail, c.N_NEXT] = node
    s.cn[k, c.L_NEWEST] = node


def unlink(s: State, node: int) -> None:
    """Take a node off its list."""
    k = list_of(s, node)
    before, after = s.cn[node, c.N_PREV], s.cn[node, c.N_NEXT]
    if before < 0:
        s.cn[k, c.L_OLDEST] = after
    else:
        s.cn[before, c.N_NEXT] = after
    if after < 0:
        s.cn[k, c.L_NEWEST] = before
    else:
        s.cn[after, c.N_PREV] = before


def oldest(s: State, cache: int) -> int:
    """The node of a cache that goes first: least often used, then least recently; -1 where it is empty."""
    kinds = s.gi[c.FREQUENCIES]
    for k in range(kinds):
        node = s.cn[cache * kinds + k, c.L_OLDEST]
        if node >= 0:
            return int(node)
    return -1
