"""The simulator once more: slow, obvious, one step at a time, sums taken anew whenever they are needed.

It shares no code with `suanli.serving.sim`; the tests compare the two.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from dataclasses import dataclass, field

INF = math.inf


@dataclass
class Request:
    index: int
    arrived: float
    prompt: int
    answer: int
    priority: int = 0
    blocks: tuple[int, ...] = ()
    follower: Request | None = None
    delay: float = 0.0
    ticket: int = -1
    status: str = "pending"
    replica: Replica | None = None
    scheduled: float | None = None
    first: float | None = None
    finished: float | None = None
    emitted: int = 0  # tokens out at the latest (re)start of decoding
    gained: float = 0.0  # tokens since then
    computed: int = 0  # prompt tokens whose KV is there
    todo: int = 0
    ready: str = ""  # "", "swapped", "moved"
    held: list[int] = field(default_factory=list)  # cached blocks it refers to
    cached: int | None = None
    preempted: int = 0
    promise: int = 0

    def key(self) -> tuple[int, int]:
        return (self.priority, self.ticket)


@dataclass
class Tier:
    capacity: float
    read_s: float  # per KV block
    latency: float
    shared: bool


class Replica:
    def __init__(self, sim: Simulation, index: int, kind: dict) -> None:
        self.sim, self.index, self.kind = sim, index, kind
        self.waiting: list[Request] = []
        self.running: list[Request] = []
        self.partial: Request | None = None
        self.end = INF
        self.step: dict | None = None
        self.extra = 0.0
        self.forming = False
        self.active: dict[int, list[int]] = {}  # block -> [references, size]
        self.idle: OrderedDict[int, int] = OrderedDict()  # block -> size, oldest first
        self.peak = 0.0

    # -- KV ------------------------------------------------------------------------------------------------------
    def blocks(self, tokens: float) -> float:
        size = self.kind["block"]
        return tokens / size if self.kind["advance"] != 1.0 else -(-int(tokens) // size)

    def stored(self, r: Request) -> float:
        if r.status == "decoding":
            return r.computed + r.gained
        return r.computed if r.status == "moving" else r.computed + r.todo

    def private(self, r: Request) -> float:
        return self.blocks(self.stored(r)) - sum(self.block_size(r, k) for k in range(len(r.held)))

    def used(self) -> float:
        return sum(self.private(r) for r in self.running) + sum(size for _, size in self.active.values())

    def capacity(self) -> float:
        return self.kind["kv"] // self.kind["block"]

    def block_size(self, r: Request, k: int) -> int:
        return -(-self.block_tokens(r, k) // self.kind["block"])

    def block_tokens(self, r: Request, k: int) -> int:
        return min(self.sim.block_tokens, r.prompt - k * self.sim.block_tokens)

    def trim(self) -> None:
        while self.idle and self.used() + sum(self.idle.values()) > self.capacity():
            block, size = self.idle.popitem(last=False)
            self.sim.sink(self, block, size)

    def hits(self, r: Request) -> int:
        n = 0
        if self.sim.prefix_cache:
            for block in r.blocks:
                if (
                    block not in self.active
                    and block not in self.idle
                    and self.sim.tier_with(self, block) is None
                ):
                    break
                n += 1
        return n

    def drop(self, r: Request) -> None:
        """Take a request off the running list and free its KV."""
        self.running.remove(r)
        for block in reversed(r.held):
            self.active[block][0] -= 1
            if self.active[block][0] == 0:
                self.idle[block] = self.active.pop(block)[1]
        r.held = []

    # -- one step ------------------------------------------------------------------------------------------------
    def decodes(self) -> list[Request]:
        return [r for r in self.running if r.status == "decoding"]

    def plan(self, t: float) -> None:
        kind = self.kind
        step = {"start": t, "chunks": [], "decodes": [], "loaded": t}
        self.step = step
        if kind["policy"] == "continuous":
            lost = self.make_room()
            each = 1 + kind["drafts"]
            self.fill(t, kind["budget"] - each * len(self.decodes()), not lost)
            step["decodes"] = self.decodes()
        else:
            if not self.running:
                self.forming = True
            self.fill(t, kind["budget"], kind["policy"] == "prefill-first" or self.forming)
            if not step["chunks"]:
                self.make_room()
                self.forming = False
                step["decodes"] = self.decodes()
        if not step["chunks"] and not step["decodes"]:
            self.step, self.end = None, INF
            return
        prompts = sum(n for _, n in step["chunks"])
        batch = len(step["decodes"])
        context = sum(r.computed + r.gained + 1 for r in step["decodes"])
        pairs = sum(sum(r.computed + i + 1 for i in range(n)) for r, n in step["chunks"])
        tokens, chunks = prompts + batch * (1 + kind["drafts"]), len(step["chunks"])
        took = float(kind["model"].step_time_s(tokens, batch, context, pairs, chunks))
        took = max(took, step["loaded"] - t) + self.extra
        self.extra = 0.0
        self.end = t + took
        # The step's decodes take their KV at its start.
        if step["decodes"]:
            self.peak = max(self.peak, self.used() + self.growth())
        self.peak = max(self.peak, self.used())

    def growth(self) -> float:
        gain = self.kind["advance"]
        return sum(self.blocks(self.stored(r) + gain) - self.blocks(self.stored(r)) for r in self.decodes())

    def make_room(self) -> bool:
        lost = False
        while self.decodes() and self.used() + self.growth() > self.capacity():
            self.preempt(max(self.running, key=Request.key))
            lost = True
        self.reserve()
        return lost

    def reserve(self) -> None:
        while self.idle and self.used() + self.growth() + sum(self.idle.values()) > self.capacity():
            block, size = self.idle.popitem(last=False)
            self.sim.sink(self, block, size)

    def preempt(self, r: Request) -> None:
        if r.status == "decoding":
            kept = math.floor(r.computed + r.gained)
            self.drop(r)
            r.emitted += math.floor(r.gained)
            r.gained = 0.0
            if self.kind["swap"]:
                r.ready, r.computed, r.todo = "swapped", kept, 0
                self.extra += self.blocks(kept) * self.kind["swap_block_s"]
            else:
                r.computed, r.todo = 0, r.prompt + r.emitted
        else:
            self.partial = None
            self.drop(r)
            r.computed, r.todo = 0, r.prompt + r.emitted
        r.status = "waiting"
        r.preempted += 1
        self.waiting.append(r)
        self.waiting.sort(key=Request.key)

    def fill(self, t: float, left: int, may_admit: bool) -> None:
        mixed = self.kind["policy"] == "continuous"
        chunks = self.step["chunks"]
        if self.partial is not None:
            left -= self.chunk(self.partial, left)
        while may_admit and self.waiting and len(self.running) < self.kind["seats"]:
            r = self.waiting[0]
            if not mixed and chunks and r.todo > left:
                return
            if left <= 0:
                return
            if r.scheduled is None and t - r.arrived > self.sim.timeout:
                self.waiting.pop(0)
                self.sim.over(r, t, "timed out")
                continue
            if r.ready:
                if left < 1 + self.kind["drafts"]:
                    return
                if not self.fits(r, self.blocks(r.computed + self.kind["advance"])):
                    return
                self.place(r, t)
                if r.ready == "swapped":
                    self.extra += self.blocks(r.computed) * self.kind["swap_block_s"]
                r.ready = ""
                r.status = "decoding"
                self.reserve() if mixed else self.trim()
                if mixed:
                    left -= 1 + self.kind["drafts"]
                continue
            hits = self.hits(r)
            shared = sum(self.block_size(r, k) for k in range(hits))
            woken = sum(
                self.idle.get(r.blocks[k], 0 if r.blocks[k] in self.active else self.block_size(r, k))
                for k in range(hits)
            )
            if not self.fits(r, self.blocks(r.todo) - shared + woken):
                return
            fresh = r.scheduled is None
            self.place(r, t)
            r.status = "prefilling"
            whole = r.todo
            for k in range(hits):
                self.refer(r, k, t)
            found = sum(self.block_tokens(r, k) for k in range(hits))
            done = min(max(found, math.floor(self.sim.cached_share * r.prompt)), whole - 1)
            r.computed, r.todo = done, whole - done
            if fresh:
                r.cached = done
            self.reserve() if mixed else self.trim()
            left -= self.chunk(r, left)

    def fits(self, asks: Request, more: float) -> bool:
        spare = 0.0
        share, size = self.kind["answer_share"], self.kind["block"]
        hits = 0 if asks.ready else self.hits(asks)
        shared = sum(self.block_size(asks, k) for k in range(hits)) * size
        asks.promise = max(asks.prompt + int(share * asks.answer) - shared, 0) if share > 0.0 else 0
        if self.running:
            spare = self.kind["reserve"] * self.capacity()
            if sum(r.promise for r in self.running) + asks.promise > self.capacity() * size:
                return False
        now = self.used()
        if self.kind["policy"] == "continuous":
            now += self.growth()
        return now + more <= self.capacity() - spare

    def place(self, r: Request, t: float) -> None:
        self.waiting.remove(r)
        self.running.append(r)
        r.scheduled = t if r.scheduled is None else r.scheduled

    def refer(self, r: Request, k: int, t: float) -> None:
        block, size = r.blocks[k], self.block_size(r, k)
        if block in self.active:
            self.active[block][0] += 1
        elif block in self.idle:
            self.active[block] = [1, self.idle.pop(block)]
        else:
            self.step["loaded"] = max(self.step["loaded"], self.sim.read(self, block, size, t))
            self.active[block] = [1, size]
        r.held.append(block)

    def chunk(self, r: Request, left: int) -> int:
        n = min(r.todo, left)
        if n > 0:
            self.step["chunks"].append((r, n))
            self.partial = r if n < r.todo else None
        return max(n, 0)

    def late(self, r: Request) -> float:
        decoding = self.decodes()
        batch = max(len(decoding), 1)
        context = sum(q.computed + q.gained + 1 for q in decoding) if decoding else r.prompt + r.answer
        model = self.kind["model"]
        return model.late_steps * float(model.step_time_s(batch * (1 + self.kind["drafts"]), batch, context))

    def finish_step(self, t: float) -> None:
        step, self.step = self.step, None
        for r in step["decodes"]:
            r.gained += self.kind["advance"]
        for r in sorted(step["decodes"], key=lambda r: r.ticket):
            if r.emitted + r.gained >= r.answer:
                self.drop(r)
                self.sim.over(r, max(t + self.late(r), r.first), "completed")
        for r, n in step["chunks"]:
            r.computed += n
            r.todo -= n
            if r.todo == 0:
                self.first_token(r, t)

    def first_token(self, r: Request, t: float) -> None:
        wait = self.late(r)
        if r.emitted == 0:
            r.first = t + wait
        r.emitted += 1
        r.gained = 0.0
        if self.sim.prefix_cache:
            for k in range(len(r.held), len(r.blocks)):
                block, size = r.blocks[k], self.block_size(r, k)
                if block in self.active:
                    self.active[block][0] += 1
                elif block in self.idle:
                    self.active[block] = [1, self.idle.pop(block)]
                else:
                    self.active[block] = [1, size]
                r.held.append(block)
        if r.emitted >= r.answer:
            self.drop(r)
            self.sim.over(r, max(t + wait, r.first), "completed")
        elif self.kind["role"] == "prefill":
            start = max(t, self.sim.link_free)
            self.sim.link_free = start + r.computed * self.kind["move_s"]
            r.status = "moving"
            self.sim.later(self.sim.link_free + self.sim.link_latency, r)
        else:
            r.status = "decoding"


class Simulation:
    def __init__(
        self,
        requests: list[Request],
        kinds: list[dict],
        *,
        router: str = "round-robin",
        draws: list[tuple[float, float]] | None = None,
        timeout: float = INF,
        prefix_cache: bool = False,
        tiers: tuple[Tier, ...] = (),
        block_tokens: int = 512,
        link_latency: float = 0.0,
        cached_share: float = 0.0,
    ) -> None:
        self.cached_share = cached_share
        self.requests, self.router, self.draws = requests, router, draws or []
        self.timeout, self.prefix_cache, self.block_tokens = timeout, prefix_cache, block_tokens
        self.tiers, self.link_latency, self.link_free = tiers, link_latency, 0.0
        self.replicas = [Replica(self, i, kind) for i, kind in enumerate(kinds)]
        self.stores: dict[tuple[int, int], OrderedDict[int, int]] = {}
        self.channel: dict[tuple[int, int], float] = {}
        self.turns = {"front": 0, "decode": 0}
        self.drawn = self.tickets = 0
        self.entries: list[tuple[float, int, Request]] = []

    # -- tiers ---------------------------------------------------------------------------------------------------
    def store_of(self, replica: Replica, k: int) -> tuple[int, int]:
        return (k, -1 if self.tiers[k].shared else replica.index)

    def tier_with(self, replica: Replica, block: int) -> int | None:
        for k in range(len(self.tiers)):
            if block in self.stores.get(self.store_of(replica, k), {}):
                return k
        return None

    def read(self, replica: Replica, block: int, size: int, t: float) -> float:
        k = self.tier_with(replica, block)
        tier, key = self.tiers[k], self.store_of(replica, k)
        over = max(t, self.channel.get(key, 0.0)) + size * tier.read_s
        self.channel[key] = over
        if tier.shared:
            self.stores[key].move_to_end(block)
        else:
            del self.stores[key][block]
        return over + tier.latency

    def sink(self, replica: Replica, block: int, size: int) -> None:
        for k, tier in enumerate(self.tiers):
            if size > tier.capacity:
                continue
            store = self.stores.setdefault(self.store_of(replica, k), OrderedDict())
            if block in store:
                store.move_to_end(block)
                return
            store[block] = size
            if sum(store.values()) <= tier.capacity:
                return
            block, size = store.popitem(last=False)

    # -- requests ------------------------------------------------------------------------------------------------
    def later(self, t: float, r: Request) -> None:
        heapq.heappush(self.entries, (t, r.index, r))

    def over(self, r: Request, t: float, how: str) -> None:
        r.status, r.finished = how, t
        if r.follower is not None:
            r.follower.arrived = t + r.follower.delay
            self.later(r.follower.arrived, r.follower)

    def route(self, r: Request, t: float, role: str) -> None:
        pool = [p for p in self.replicas if p.kind["role"] == role]
        tokens = r.prompt if role == "prefill" else r.prompt + r.answer - 1
        fit = []
        for p in pool:
            more = p.kind["advance"] if role != "prefill" and p.kind["advance"] != 1.0 else 0.0
            if p.blocks(tokens + more) <= p.capacity():
                fit.append(p)
        two = []
        if self.router == "power-of-two":
            a, b = self.draws[self.drawn % len(self.draws)]
            self.drawn += 1
            two = [pool[int(a * len(pool))], pool[int(b * len(pool))]]
        if not fit:
            self.over(r, t, "too long")
            return
        count = {p.index: len(p.waiting) + len(p.running) for p in fit}
        if self.router == "round-robin":
            turn = "decode" if role == "decode" else "front"
            n = len(self.replicas)
            chosen = min(fit, key=lambda p: (p.index - self.turns[turn]) % n)
            self.turns[turn] = (chosen.index + 1) % n
        elif self.router == "power-of-two":
            chosen = min([p for p in fit if p in two] or fit, key=lambda p: (count[p.index], p.index))
        elif self.router == "prefix-aware" and role != "decode":

            def cost(p: Replica) -> float:
                ahead = sum(q.todo for q in [*p.waiting, *p.running] if q.status in ("waiting", "prefilling"))
                return ahead - min(p.hits(r) * self.block_tokens, r.prompt)

            chosen = min(fit, key=lambda p: (cost(p), count[p.index], p.index))
        else:
            chosen = min(fit, key=lambda p: (count[p.index], p.index))
        if len(chosen.waiting) >= chosen.kind["queue_limit"]:
            self.over(r, t, "refused")
            return
        r.status, r.replica = "waiting", chosen
        chosen.waiting.append(r)
        chosen.waiting.sort(key=Request.key)
        if chosen.step is None:
            chosen.end = min(chosen.end, t)

    def arrive(self, r: Request, t: float) -> None:
        r.ticket = self.tickets
        self.tickets += 1
        r.todo = r.prompt
        split = any(p.kind["role"] == "prefill" for p in self.replicas)
        self.route(r, t, "prefill" if split else "both")

    def entry(self, t: float) -> None:
        _, _, r = heapq.heappop(self.entries)
        if r.status != "moving":
            self.arrive(r, t)
            return
        left = r.replica
        left.drop(r)
        r.ready = "moved"
        if left.step is None and left.waiting:
            left.end = min(left.end, t)
        self.route(r, t, "decode")

    def run(self) -> Simulation:
        known = [r for r in self.requests if not math.isnan(r.arrived)]
        known.sort(key=lambda r: r.arrived)
        k = 0
        while True:
            arrival = known[k].arrived if k < len(known) else INF
            entry = self.entries[0][0] if self.entries else INF
            replica = min(self.replicas, key=lambda p: (p.end, p.index))
            t = min(arrival, entry, replica.end)
            if t == INF:
                return self
            if arrival <= t:
                k += 1
                self.arrive(known[k - 1], t)
            elif entry <= t:
                self.entry(t)
            else:
                if replica.step is not None:
                    replica.finish_step(t)
                replica.plan(t)
