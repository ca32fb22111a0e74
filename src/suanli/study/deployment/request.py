"""A deployment in a user's words, and the answer to it: bands, status, basis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PHASES = ("mixed", "prefill", "decode")
# Quantities of an answer, in the order of the batch file's columns, with the unit that --json states.
QUANTITIES = {
    "ttft_s": "s",
    "tpot_s": "s",
    "itl_s": "s",
    "output_tokens_per_s": "token/s",
    "input_tokens_per_s": "token/s",
    "power_w": "W",
    "usd_per_mtok_output": "USD/Mtok",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One deployment question, names as the user writes them; None means choose or default.

    Attributes:
        model: catalogue id, alias, Hugging Face name or path of a config.json.
        chip: catalogue id, alias or a hardware name in use ("h200_sxm").
        n_chips: accelerators of the deployment [1]; None: as many as the layout says, else 1.
        tp, pp, dp, ep: layout [1].
        weights_dtype: weight format; None: what the name implies, else the checkpoint's own.
        kv_dtype: cache format.
        framework: "vllm 0.19.0", "*" for any.
        phase: "mixed", "prefill" or "decode".
        isl: prompt length, the context so far for phase "decode" [token].
        osl: output length [token].
        concurrency: requests in flight at the whole deployment [1].
        options: further conditions by name, as `serving.Point.options` takes them.
        power_limit_w: power limit set on each accelerator; None: its TDP [W].
    """

    model: str
    chip: str
    n_chips: int | None = None
    tp: int | None = None
    pp: int | None = None
    dp: int | None = None
    ep: int | None = None
    weights_dtype: str | None = None
    kv_dtype: str | None = None
    framework: str = "*"
    phase: str = "mixed"
    isl: float = 1024.0
    osl: float = 1024.0
    concurrency: float = 1.0
    options: Mapping[str, float] = field(default_factory=dict)
    power_limit_w: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 90 % band, in one unit."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a deployment.

    Attributes:
        status: "ok", "infeasible" (the question is fine, the answer is no) or "unsupported" (it cannot be answered).
        reason: why not ok, in one line.
        quantities: {name of QUANTITIES: value with band}; one that is not known is absent.
        basis: "calibrated", "family" or "datasheet"; "" where there is no answer.
        unknown: {name of QUANTITIES: why it is absent} for an answer that is ok.
        estimate: the estimate itself, with layout, batch, memory and operator times; None where there is none.
        internal: whether a defect of ours is the reason.
        price_basis: where the price comes from, beginning with "rent" or "owned"; "" where there is none.
        remarks: what of the question and of the price should be looked at again.
    """

    status: str
    reason: str = ""
    quantities: Mapping[str, Interval] = field(default_factory=dict)
    basis: str = ""
    unknown: Mapping[str, str] = field(default_factory=dict)
    estimate: Any = None
    internal: bool = False
    price_basis: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen or changed, and what should be looked at again."""
        return (*getattr(self.estimate, "notes", ()), *self.remarks)
