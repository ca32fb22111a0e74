"""What is simulated: replicas with their policies, pools, router, tiers, failures, autoscaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from suanli.errors import InputError
from suanli.memory.tiers import Tier
from suanli.serving.sim.model import StepModel

PolicyName = Literal["continuous", "prefill-first", "static"]
RouterName = Literal["round-robin", "least-outstanding", "power-of-two", "prefix-aware"]
Role = Literal["both", "prefill", "decode"]

POLICIES: tuple[PolicyName, ...] = ("continuous", "prefill-first", "static")
ROUTERS: tuple[RouterName, ...] = ("round-robin", "least-outstanding", "power-of-two", "prefix-aware")
ROLES: tuple[Role, ...] = ("both", "prefill", "decode")


@dataclass(frozen=True, slots=True)
class Replica:
    """One kind of replica and how many of it there are.

    Attributes:
        model: step times.
        kv_tokens: KV cache [token].
        count: replicas of this kind.
        policy: "continuous" (vLLM v1), "prefill-first" or "static".
        max_batched_tokens: tokens of a step, prompts and decodes together [token].
        max_num_seqs: most sequences at a time.
        block_tokens: tokens of a KV block [token].
        preemption: "recompute" or "swap".
        swap_token_s: time to move the KV of a token to the host or back [s].
        reserve_share: share of the KV cache that admission leaves free.
        answer_share: share of the answers of all that run for which, beside their prompts, the KV cache must have
            room when one more is admitted; 0 admits whatever prompt fits.
        role: "both", or the pool it belongs to.
        transfer_token_s: time of a prompt token's KV on the link between pools [s].
        queue_limit: requests that may wait on a replica; more are refused.
    """

    model: StepModel
    kv_tokens: int
    count: int = 1
    policy: PolicyName = "continuous"
    max_batched_tokens: int = 2048
    max_num_seqs: int = 256
    block_tokens: int = 16
    preemption: Literal["recompute", "swap"] = "recompute"
    swap_token_s: float = 0.0
    reserve_share: float = 0.0
    answer_share: float = 0.0
    role: Role = "both"
    transfer_token_s: float = 0.0
    queue_limit: int | None = None

    def __post_init__(self) -> None:
        needed = self.max_num_seqs * (1 + self.model.drafts)
        if min(self.count, self.max_batched_tokens, self.max_num_seqs, self.block_tokens) < 1:
            raise InputError(
                "replica: count, max_batched_tokens, max_num_seqs and block_tokens must be positive"
            )
        if self.max_batched_tokens < needed:
            raise InputError(
                f"replica: max_batched_tokens = {self.max_batched_tokens} is less than one token for each of "
                f"max_num_seqs = {self.max_num_seqs} sequences{' and its drafts' if self.model.drafts else ''}; "
                f"give at least {needed} or fewer sequences"
            )
        if not 0.0 <= self.answer_share <= 1.0:
            raise InputError(f"replica: answer_share is a share, from 0 to 1; got {self.answer_share:g}")
        if self.kv_tokens < self.block_tokens:
            raise InputError(
                f"replica: a KV cache of {self.kv_tokens} tokens holds no block; nothing can run"
            )


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures of replicas: exponential times between them and constant repair.

    Attributes:
        mtbf_s: mean time between failures of one replica [s].
        repair_s: time to repair it [s].
        retries: times a request is sent again; beyond that it is lost.
    """

    mtbf_s: float
    repair_s: float
    retries: int = 3


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """Replicas follow the load.

    Attributes:
        target: outstanding requests a replica to aim at.
        period_s: time between looks [s].
        start_s: start-up delay of a replica [s].
        least: fewest replicas of a pool.
        most: most replicas of a pool.
    """

    target: float
    period_s: float = 10.0
    start_s: float = 120.0
    least: int = 1
    most: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Cluster:
    """Replicas and what joins them.

    Attributes:
        replicas: the kinds.
        router: how requests find a replica.
        link_latency_s: latency of the link between pools [s]; its bandwidth is in `Replica.transfer_token_s`.
        prefix_cache: keep prefixes in device memory for later requests.
        tiers: where prefixes go when device memory is full, nearest first.
        eviction: "lru" or "lfu".
        timeout_s: requests that wait longer for their first step are dropped [s].
        failures: or None.
        autoscaling: or None.
    """

    replicas: tuple[Replica, ...]
    router: RouterName = "least-outstanding"
    link_latency_s: float = 0.0
    prefix_cache: bool = False
    tiers: tuple[Tier, ...] = ()
    eviction: Literal["lru", "lfu"] = "lru"
    timeout_s: float | None = None
    failures: Failures | None = None
    autoscaling: Autoscaling | None = None

    def __post_init__(self) -> None:
        roles = {replica.role for replica in self.replicas}
        if not roles or (roles not in ({"both"}, {"prefill", "decode"})):
            raise InputError(
                'cluster: needs replicas of role "both", or of "prefill" and "decode", not '
                + (", ".join(sorted(roles)) or "none")
            )

    @property
    def split(self) -> bool:
        """Whether prompts and answers have pools of their own."""
        return self.replicas[0].role != "both"

    def expanded(self) -> list[tuple[int, Replica]]:
        """Return (deployment, replica) for each single replica."""
        return [(k, kind) for k, kind in enumerate(self.replicas) for _ in range(kind.count)]
