"""Prefix caches: blocks of prompts in device memory and in lower tiers, least recently or least often used goes first.

Device memory keeps a block while a request refers to it, and idle until its room is needed; then it moves down a tier.
A private tier gives a block up when it moves to device memory (so that tiers add up to one larger cache); a shared tier
keeps it, because other replicas may want it.
"""

from __future__ import annotations

from suanli.serving.sim import columns as c
from suanli.serving.sim.state import State
from suanli.serving.sim.table import drop, find, link, oldest, store, unlink


def cache_of(s: State, p: int, tier: int) -> int:
    """The cache of a tier that replica p uses."""
    first = int(s.tf[tier, c.T_FIRST])
    return first if s.tf[tier, c.T_SHARED] > 0.0 else first + p


def found(s: State, p: int, r: int) -> None:
    """Look how many leading prefix blocks of request r are cached; HITS, HIT_NEED and HIT_SHARED hold the answer."""
    hits, need, shared = 0, 0, 0
    if s.gi[c.TIERS] > 0:
        h0 = s.ri[r, c.HASH]
        for i in range(s.ri[r, c.HASHES]):
            size = block_size(s, p, r, i)
            node = find(s, s.ids[h0 + i], p)
            if node >= 0:
                shared += size
                need += 0 if s.cn[node, c.N_REFS] > 0 else s.cn[node, c.N_SIZE]
            else:
                if lower(s, p, s.ids[h0 + i]) < 0:
                    break
                shared += size
                need += size
            hits += 1
    s.gi[c.HITS] = hits
    s.gi[c.HIT_NEED] = need
    s.gi[c.HIT_SHARED] = shared


def lower(s: State, p: int, block: int) -> int:
    """The first tier below device memory that holds a block, or -1."""
    for tier in range(1, s.gi[c.TIERS]):
        if find(s, block, cache_of(s, p, tier)) >= 0:
            return tier
    return -1


def block_size(s: State, p: int, r: int, i: int) -> int:
    """KV blocks of the i-th prefix block of request r; the last one may be part of a block."""
    tokens = min(s.gi[c.BLOCK_TOKENS], s.ri[r, c.IN] - i * s.gi[c.BLOCK_TOKENS])
    return int((tokens + s.pi[p, c.BLOCK] - 1) // s.pi[p, c.BLOCK])


def take(s: State, p: int, r: int, t: float) -> int:
    """Refer to the blocks that `found` counted, read those of lower tiers; return the tokens that need no computing.

    Takes t [s].
    """
    hits = s.gi[c.HITS]
    s.ri[r, c.REFS] = hits
    s.ri[r, c.SHARED] = s.gi[c.HIT_SHARED]
    if hits == 0:
        return 0
    for i in range(hits):
        block, size = s.ids[s.ri[r, c.HASH] + i], block_size(s, p, r, i)
        tier = 0
        node = find(s, block, p)
        if node < 0:
            tier = lower(s, p, block)
            read(s, p, tier, block, size, t)
            node = store(s, block, p, size)
            s.pf[p, c.USED] += size
        elif s.cn[node, c.N_REFS] == 0:
            unlink(s, node)
            s.pf[p, c.IDLE] -= s.cn[node, c.N_SIZE]
            s.pf[p, c.USED] += s.cn[node, c.N_SIZE]
        s.cn[node, c.N_REFS] += 1
        s.cn[node, c.N_USES] += 1
        tokens = min(s.gi[c.BLOCK_TOKENS], s.ri[r, c.IN] - i * s.gi[c.BLOCK_TOKENS])
        s.tf[tier, c.T_HIT_TOKENS] += tokens
    covered = min(hits * s.gi[c.BLOCK_TOKENS], s.ri[r, c.IN])
    return int(min(covered, s.ri[r, c.REMAINING] - 1))


def read(s: State, p: int, tier: int, block: int, size: int, t: float) -> None:
    """Read a block from a lower tier: its channel serves one block after the other.

    Takes t [s].
    """
    cache = cache_of(s, p, tier)
    node = find(s, block, cache)
    start = max(t, s.tf[s.gi[c.TIERS] + cache, c.C_FREE_AT])
    finish = start + size * s.tf[tier, c.T_READ_S]
    s.tf[s.gi[c.TIERS] + cache, c.C_FREE_AT] = finish
    s.tf[tier, c.T_READ] += size
    s.pf[p, c.LOADED] = max(s.pf[p, c.LOADED], finish + s.tf[tier, c.T_LATENCY])
    unlink(s, node)
    if s.tf[tier, c.T_SHARED] > 0.0:
        s.cn[node, c.N_USES] += 1
        link(s, node)
    else:
        s.tf[s.gi[c.TIERS] + cache, c.C_HELD] -= s.cn[node, c.N_SIZE]
        drop(s, node)


def keep(s: State, p: int, r: int) -> None:
    """Once its prompt is computed, let other requests use the prefix blocks of request r."""
    if s.gi[c.TIERS] == 0:
        return
    for i in range(s.ri[r, c.REFS], s.ri[r, c.HASHES]):
        block, size = s.ids[s.ri[r, c.HASH] + i], block_size(s, p, r, i)
        node = find(s, block, p)
        if node < 0:
            node = store(s, block, p, size)
        elif s.cn[node, c.N_REFS] == 0:
            unlink(s, node)
            s.pf[p, c.IDLE] -= s.cn[node, c.N_SIZE]
            s.pf[p, c.USED] += s.cn[node, c.N_SIZE] - size
        else:
            s.pf[p, c.USED] -= size
        s.cn[node, c.N_REFS] += 1
        s.cn[node, c.N_USES] += 1
        s.ri[r, c.SHARED] += size
    s.ri[r, c.REFS] = max(s.ri[r, c.REFS], s.ri[r, c.HASHES])


def give_up(s: State, p: int, r: int) -> None:
    """Drop a request's references, last block first, so that the beginnings of prompts live longest."""
    refs = s.ri[r, c.REFS]
    if refs > 0:
        for j in range(refs):
            node = find(s, s.ids[s.ri[r, c.HASH] + refs - 1 - j], p)
            s.cn[node, c.N_REFS] -= 1
            if s.cn[node, c.N_REFS] == 0:
                s.pf[p, c.USED] -= s.cn[node, c.N_SIZE]
                s.pf[p, c.IDLE] += s.cn[node, c.N_SIZE]
                link(s, node)
    s.ri[r, c.REFS] = 0
    s.ri[r, c.SHARED] = 0


def evict(s: State, p: int) -> None:
    """Move idle blocks of device memory down until what is used fits."""
    while s.pf[p, c.IDLE] > 0.0 and s.pf[p, c.USED] + s.pf[p, c.IDLE] > s.pf[p, c.CAPACITY]:
        node = oldest(s, p)
        block, size = s.cn[node, c.N_BLOCK], s.cn[node, c.N_SIZE]
        s.pf[p, c.IDLE] -= size
        s.tf[0, c.T_EVICTED] += size
        unlink(s, node)
        drop(s, node)
        sink(s, p, block, size)


def sink(s: State, p: int, block: int, size: int) -> None:
    """Put a block into the first tier below that has it or can hold it; what falls out there sinks further."""
    for tier in range(1, s.gi[c.TIERS]):
        cache = cache_of(s, p, tier)
        if size > s.tf[tier, c.T_CAPACITY]:
            continue
        node = find(s, block, cache)
        if node >= 0:
            unlink(s, node)
            link(s, node)
            return
        node = store(s, block, cache, size)
        link(s, node)
        s.tf[s.gi[c.TIERS] + cache, c.C_HELD] += size
        s.tf[tier, c.T_WRITTEN] += size
        if s.tf[s.gi[c.TIERS] + cache, c.C_HELD] <= s.tf[tier, c.T_CAPACITY]:
            return
        # Blocks differ little in size; one falls out for one that came in, now and then two.
        node = oldest(s, cache)
        block, size = s.cn[node, c.N_BLOCK], s.cn[node, c.N_SIZE]
        s.tf[s.gi[c.TIERS] + cache, c.C_HELD] -= size
        s.tf[tier, c.T_EVICTED] += size
        unlink(s, node)
        drop(s, node)


def wipe(s: State, p: int) -> None:
    """Forget all idle blocks of replica p, after a failure."""
    if s.gi[c.TIERS] == 0:
        return
    for tier in range(s.gi[c.TIERS]):
        if s.tf[tier, c.T_SHARED] == 0.0:
            cache = cache_of(s, p, tier)
            node = oldest(s, cache)
            while node >= 0:
                unlink(s, node)
                drop(s, node)
                node = oldest(s, cache)
            s.tf[s.gi[c.TIERS] + cache, c.C_HELD] = 0.0
    s.pf[p, c.IDLE] = 0.0
