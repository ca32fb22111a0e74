"""What the project set itself to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from suanli.study.validate.scenarios import Figure
from suanli.study.validate.score import Pair, Score, score

LOOP = ("INFX", "AICGAP")


@dataclass(frozen=True, slots=True)
class Target:
    """One target: which pairs, which statistic, and its limit.

    Attributes:
        text: what is asked.
        families: families of the pairs.
        metric: metric of the pairs, "" for any.
        statistic: field of `Score`.
        limit: largest (or, with `at_least`, smallest) value that meets it [1].
        at_least: whether larger is better.
        choose: further condition on a pair.
    """

    text: str
    families: tuple[str, ...]
    metric: str
    statistic: str
    limit: float
    at_least: bool = False
    choose: Callable[[Pair], bool] = lambda pair: True


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target with what was reached; None where no pair was at hand."""

    target: Target
    reached: float | None
    rows: int

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where it could not be judged."""
        if self.reached is None:
            return None
        return (
            self.reached >= self.target.limit if self.target.at_least else self.reached <= self.target.limit
        )


def _judged(pair: Pair) -> bool:
    return pair.measurement.half == "judge"


def _judged_clean(pair: Pair) -> bool:
    return _judged(pair) and pair.clean


def _row(*words: str, phase: str = "") -> Callable[[Pair], bool]:
    def chosen(pair: Pair) -> bool:
        one = pair.measurement
        line = f"{one.source} {one.framework} {one.chip} {one.key}"
        return (not phase or one.phase == phase) and all(word in line for word in words) and pair.clean

    return chosen


def _kind(dense: bool) -> Callable[[Pair], bool]:
    return lambda pair: _judged(pair) and (pair.measurement.model in DENSE) == dense


# Models without experts among the closed-loop rows.
DENSE = ("llama-3.1-70b", "llama-3.1-8b", "qwen3-32b")

TARGETS: tuple[Target, ...] = (
    Target("INFX + AICGAP, judged half: answered", LOOP, "tpot_s", "answered_share", 0.99, True, _judged),
    Target("INFX + AICGAP, judged half: TPOT median", LOOP, "tpot_s", "median", 0.08, choose=_judged),
    Target("INFX + AICGAP, judged half: TPOT mean", LOOP, "tpot_s", "mean", 0.13, choose=_judged),
    Target("INFX + AICGAP, judged half: TPOT p90", LOOP, "tpot_s", "p90", 0.28, choose=_judged),
    Target("INFX + AICGAP, judged half: loaded TTFT median", LOOP, "ttft_s", "median", 0.24, choose=_judged),
    Target("judged half: TPOT band covers at least 85 %", LOOP, "tpot_s", "coverage", 0.85, True, _judged),
    Target("judged half: TPOT band covers at most 95 %", LOOP, "tpot_s", "coverage", 0.95, choose=_judged),
    Target("judged half: TTFT band covers at least 85 %", LOOP, "ttft_s", "coverage", 0.85, True, _judged),
    Target("judged half, dense: TPOT band at most x/1.25", LOOP, "tpot_s", "width", 1.25, choose=_kind(True)),
    Target("judged half, MoE: TPOT band at most x/1.45", LOOP, "tpot_s", "width", 1.45, choose=_kind(False)),
    Target("TRTLLM06: throughput and prompt time", ("TRTLLM06",), "", "median", 0.14),
    Target("SPLITWISE, judged half: token time", ("SPLITWISE",), "tpot_s", "median", 0.08, choose=_judged),
    Target(
        "SPLITWISE, judged half: prompt time", ("SPLITWISE",), "ttft_s", "median", 0.20, choose=_judged_clean
    ),
    Target("NEURON: token time", ("NEURON",), "tpot_s", "median", 0.15),
    Target("XJD: decode", ("XJD",), "tpot_s", "median", 0.12),
    Target("TRTLLM1: throughput", ("TRTLLM1",), "output_tokens_per_s", "median", 0.18),
    Target("DeepSeek day: decode per node", ("DSEEK",), "output_tokens_per_s", "median", 0.15),
    Target(
        "profile-data: prefill", ("SGLEP",), "input_tokens_per_s", "median", 0.10, choose=_row("profile-data")
    ),
    Target(
        "profile-data: decode", ("SGLEP",), "output_tokens_per_s", "median", 0.10, choose=_row("profile-data")
    ),
    Target(
        "SGLang 96 x H100: prefill",
        ("SGLEP",),
        "input_tokens_per_s",
        "median",
        0.12,
        choose=_row("Deploying"),
    ),
    Target(
        "SGLang 96 x H100: decode",
        ("SGLEP",),
        "output_tokens_per_s",
        "median",
        0.10,
        choose=_row("Deploying", "|2000|"),
    ),
    Target("CloudMatrix 384: decode", ("CM384",), "output_tokens_per_s", "median", 0.10),
    Target(
        "MLPerf 8 x H200, Llama-2-70B: wall power",
        ("MLPPOW",),
        "power_w",
        "median",
        0.10,
        choose=_row("llama-2-70b"),
    ),
    Target(
        "CloudMatrix 384: prefill, default routing",
        ("CM384",),
        "input_tokens_per_s",
        "median",
        0.18,
        choose=_row(),
    ),
)


NODES = Target("DeepSeek day: derived nodes", ("DSEEK",), "", "median", 0.20)


# Targets of rows predicted with constants that did not see them, by what was left out.
LEAVE_OUT: dict[str, tuple[Target, ...]] = {
    "none fitted": (
        Target("no deployment fitted: TPOT median", LOOP, "tpot_s", "median", 0.10),
        Target("no deployment fitted: TTFT median", LOOP, "ttft_s", "median", 0.30),
    ),
    "chip": (Target("leave one chip out: TPOT median", LOOP, "tpot_s", "median", 0.11),),
    "model": (Target("leave one model out: TPOT median", LOOP, "tpot_s", "median", 0.14),),
}


def verdicts(
    pairs: Sequence[Pair],
    figures: Sequence[Figure] = (),
    left_out: Mapping[str, Sequence[Pair]] | None = None,
) -> list[Verdict]:
    """Return what was reached for every target.

    Args:
        pairs: predictions and measurements.
        figures: published figures of scenarios, for the fleet of DeepSeek's day.
        left_out: {what was left out, as in LEAVE_OUT: pairs}.
    """
    found = [_verdict(target, pairs) for target in TARGETS]
    for what, others in (left_out or {}).items():
        found += [_verdict(target, others) for target in LEAVE_OUT[what]]
    nodes = [one for one in figures if (one.scenario, one.metric) == ("deepseek-day.toml", "fleet.nodes")]
    return [*found, *(Verdict(NODES, abs(one.error), 1) for one in nodes if one.error is not None)]


def _verdict(target: Target, pairs: Sequence[Pair]) -> Verdict:
    chosen = [
        pair
        for pair in pairs
        if pair.measurement.family in target.families
        and target.metric in ("", pair.metric)
        and target.choose(pair)
    ]
    return Verdict(target, _statistic(score(chosen), target.statistic), len(chosen))


def _statistic(found: Score, name: str) -> float | None:
    if name == "answered_share":
        return found.answered / found.rows if found.rows else None
    value: float | None = getattr(found, name)
    return value
