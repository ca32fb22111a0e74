"""Which constraint stops the best deployment, what loosening it would bring, and what would stop it then."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from suanli.study.recommend.candidates import Candidates
from suanli.study.recommend.evaluate import Points
from suanli.study.recommend.search import Objectives, Search

# How far a constraint is loosened to see what it is worth.
LOOSER = 1.25


@dataclass(frozen=True, slots=True)
class Binding:
    """One constraint of the best deployment.

    Attributes:
        name: "TPOT", "TTFT", "memory", "framework" (its limit of running requests) or "chips".
        used: share of it that is used [1].
        gain: relative gain in tokens per second from a quarter more of it [1].
        then: the constraint that stops the deployment that is best then; "" where none does.
    """

    name: str
    used: float
    gain: float
    then: str


def stops(searched: Search, found: Candidates, at: int, objectives: Objectives) -> str:
    """Return what keeps a deployment from its next larger load: "TPOT", "TTFT", "memory", "framework", "" for nothing.

    Args:
        searched: the search.
        found: candidates.
        at: index of the deployment.
        objectives: the objectives that count.
    """
    points, load = searched.layout(found, at), int(found.load[at])
    if load + 1 >= points.requests.size:
        return _room(points)
    if objectives.tpot_s is not None and points.tpot_s[load + 1] > objectives.tpot_s:
        return "TPOT"
    if found.pool[at] < 0 and objectives.ttft_s is not None and points.ttft_s[load + 1] > objectives.ttft_s:
        return "TTFT"
    return ""


def _room(points: Points) -> str:
    return "memory" if points.by_memory else "framework"


def constraints(searched: Search, found: Candidates, best: int) -> list[Binding]:
    """Return the constraints of the best deployment, those that a quarter more of would help most first.

    Args:
        searched: the search.
        found: the candidates that meet the objectives.
        best: index of the best.
    """
    wanted = searched.objectives
    rate = float(found.output_tokens_per_s[best])
    points, load = searched.layout(found, best), int(found.load[best])
    listed = []
    if wanted.tpot_s is not None:
        looser = replace(wanted, tpot_s=wanted.tpot_s * LOOSER)
        listed.append(_loosened(searched, "TPOT", float(found.tpot_s[best]) / wanted.tpot_s, looser, rate))
    if wanted.ttft_s is not None:
        looser = replace(wanted, ttft_s=wanted.ttft_s * LOOSER)
        listed.append(_loosened(searched, "TTFT", float(found.ttft_s[best]) / wanted.ttft_s, looser, rate))
    listed.append(_memory(searched, found, best, points, load))
    listed.append(_loosened(searched, "chips", 1.0, wanted, rate, LOOSER))
    return sorted(listed, key=lambda one: (one.name == "chips", -round(one.gain, 4), -one.used))


def _loosened(
    searched: Search, name: str, used: float, looser: Objectives, rate: float, more: float = 1.0
) -> Binding:
    found = searched.meeting(looser, more)
    at = found.best()
    gain = float(found.output_tokens_per_s[at]) / rate - 1.0
    return Binding(name, used, max(gain, 0.0), stops(searched, found, at, looser))


def _memory(searched: Search, found: Candidates, best: int, points: Points, load: int) -> Binding:
    """A quarter more memory a chip, for the layout of the best deployment."""
    field = searched.fields[int(found.field[best])]
    evaluator, split = field.evaluator, found.pool[best] >= 0
    name, used = _room(points), float(points.requests[load]) / points.capacity
    if load + 1 < points.requests.size:
        return Binding("memory", used, 0.0, stops(searched, found, best, searched.objectives))
    larger = evaluator.with_memory(LOOSER)
    again = larger.decode(points.placement) if split else larger.aggregated(points.placement)
    if again is None:
        return Binding(name, used, 0.0, "")
    wanted = searched.objectives
    meets = np.ones(again.requests.size, dtype=bool)
    if wanted.tpot_s is not None:
        meets &= again.tpot_s <= wanted.tpot_s
    if wanted.ttft_s is not None and not split:
        meets &= again.ttft_s <= wanted.ttft_s
    rates = np.where(meets, again.requests_per_s, 0.0)
    at = int(np.argmax(rates))
    gain = float(rates[at]) / float(points.requests_per_s[load]) - 1.0
    then = ""
    if at + 1 < again.requests.size:
        then = "TPOT" if wanted.tpot_s is not None and again.tpot_s[at + 1] > wanted.tpot_s else "TTFT"
    return Binding(name, used, max(gain, 0.0), then or name)
