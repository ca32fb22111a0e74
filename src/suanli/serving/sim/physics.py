"""A replica as the simulator needs it, whatever made its step times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from suanli.serving.sim.cluster import PolicyName, Replica
from suanli.serving.sim.model import StepModel


@dataclass(frozen=True, slots=True)
class Physics:
    """A replica as the simulator needs it.

    Attributes:
        model: step times.
        kv_tokens: tokens that the KV cache of the whole replica holds [token].
        kv_bytes_per_token: KV of a token, all chips together [byte].
        policy: how steps are filled.
        max_num_seqs: sequences at a time [1].
        max_batched_tokens: tokens of a step [token].
        answer_share: share of the answers whose KV must be free at admission [1].
        host_s: request handling before and after the steps [s].
        step_band: 90 % band of a step's time as a factor [1].
        ttft_band: the same of a lone request's TTFT [1].
        basis: "calibrated", "family" or "datasheet".
    """

    model: StepModel
    kv_tokens: int
    kv_bytes_per_token: float
    policy: PolicyName = "continuous"
    max_num_seqs: int = 256
    max_batched_tokens: int = 2048
    answer_share: float = 0.0
    host_s: float = 0.0
    step_band: float = 1.0
    ttft_band: float = 1.0
    basis: str = "datasheet"

    def replica(self, **changes: Any) -> Replica:
        """Return it as a kind of replica.

        Args:
            changes: fields of `Replica` that are not to be as they are here; None leaves them.
        """
        fields: dict[str, Any] = {
            "policy": self.policy,
            "max_num_seqs": self.max_num_seqs,
            "max_batched_tokens": self.max_batched_tokens,
            "answer_share": self.answer_share,
        }
        fields |= {name: value for name, value in changes.items() if value is not None}
        drafts = fields.get("model", self.model).drafts
        least = fields["max_num_seqs"] * (1 + drafts)
        fields["max_batched_tokens"] = max(fields["max_batched_tokens"], least)
        made: dict[str, Any] = {"model": self.model, "kv_tokens": self.kv_tokens, **fields}
        return Replica(**made)
