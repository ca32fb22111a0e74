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
        most: relative gain where it is lifted altogether; None for memory and chips [1].
        then: the constraint that stops the deployment that is best then; "" where the chips do.
    """

    name: str
    used: float
    gain: float
    most: float | None
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
    listed = [_memory(searched, found, best)]
    if wanted.tpot_s is not None:
        looser, lifted = (replace(wanted, tpot_s=value) for value in (wanted.tpot_s * LOOSER, None))
        used = float(found.tpot_s[best]) / wanted.tpot_s
        listed.append(_objective(searched, "TPOT", used, looser, lifted, rate))
    if wanted.ttft_s is not None:
        looser, lifted = (replace(wanted, ttft_s=value) for value in (wanted.ttft_s * LOOSER, None))
        used = float(found.ttft_s[best]) / wanted.ttft_s
        listed.append(_objective(searched, "TTFT", used, looser, lifted, rate))
    listed.sort(key=lambda one: (-round(one.gain, 4), -one.used))
    more = searched.meeting(wanted, LOOSER)
    gain = float(more.output_tokens_per_s[more.best()]) / rate - 1.0
    return [*listed, Binding("chips", 1.0, max(gain, 0.0), None, "")]


def _objective(
    searched: Search, name: str, used: float, looser: Objectives, lifted: Objectives, rate: float
) -> Binding:
    gains = []
    for objectives in (looser, lifted):
        found = searched.meeting(objectives)
        at = found.best()
        gains.append(max(float(found.output_tokens_per_s[at]) / rate - 1.0, 0.0))
    return Binding(name, used, gains[0], gains[1], stops(searched, found, at, lifted))


def _memory(searched: Search, found: Candidates, best: int) -> Binding:
    """A quarter more memory a chip, for the layout of the best deployment."""
    points, load = searched.layout(found, best), int(found.load[best])
    name, used = _room(points), float(points.requests[load]) / points.capacity
    if load + 1 < points.requests.size:
        return Binding(name, used, 0.0, None, "")
    larger = searched.fields[int(found.field[best])].evaluator.with_memory(LOOSER)
    split, wanted = found.pool[best] >= 0, searched.objectives
    again = larger.decode(points.placement) if split else larger.aggregated(points.placement)
    if again is None:
        return Binding(name, used, 0.0, None, "")
    slow = again.tpot_s > (np.inf if wanted.tpot_s is None else wanted.tpot_s)
    late = again.ttft_s > (np.inf if wanted.ttft_s is None or split else wanted.ttft_s)
    rates = np.where(slow | late, 0.0, again.requests_per_s)
    at = int(np.argmax(rates))
    gain = max(float(rates[at]) / float(points.requests_per_s[load]) - 1.0, 0.0)
    if at + 1 >= again.requests.size:
        return Binding(name, used, gain, None, name)
    return Binding(name, used, gain, None, "TPOT" if slow[at + 1] else "TTFT" if late[at + 1] else "")
