"""Why the best deployment is best: the best of every other kind, and the part of the work that sets it back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.serving.closed_loop import closed_loop
from suanli.serving.estimate import load_of
from suanli.serving.work_shares import decode_parts
from suanli.study.recommend.candidates import Candidates
from suanli.study.recommend.constraints import stops
from suanli.study.recommend.rows import Row, row
from suanli.study.recommend.search import Search

_GROUPS = {
    **dict.fromkeys(
        ("all_reduce", "all_gather", "reduce_scatter", "dispatch", "combine", "pipeline"), "collectives"
    ),
    **{name: name for name in ("attention", "experts", "host")},
}
_OTHERS = 3


@dataclass(frozen=True, slots=True)
class Rival:
    """The best deployment of another layout or mode.

    Attributes:
        row: the deployment.
        behind: how far its tokens per second lie below the best, as a share of the best [1].
        setback: the part of the work that costs it most more chip time a token than the best; "" where none does.
        its_s: chip time of that part per output token [s].
        best_s: the same of the best [s].
        stopped: what keeps it from a larger load.
    """

    row: Row
    behind: float
    setback: str
    its_s: float
    best_s: float
    stopped: str


def chip_time(searched: Search, found: Candidates, at: int) -> dict[str, float]:
    """Chip time per output token of an aggregated deployment, by part of the work [s].

    Prompts take their share; the parts of a decode step divide what is left. Together they are chips/(tokens per
    second).

    Args:
        searched: the search.
        found: candidates.
        at: index of the deployment.
    """
    points, load = searched.layout(found, at), int(found.load[at])
    evaluator = searched.fields[int(found.field[at])].evaluator
    ready = evaluator.engine(points.placement)
    if ready is None:
        return {}
    asked = load_of(replace(evaluator.point, concurrency=float(points.requests[load])), ready)
    seen = closed_loop(ready.table, ready.serving.values, replace(asked, capacity=points.capacity))
    groups = dict.fromkeys(("prompts", "attention", "experts", "collectives", "dense layers", "host"), 0.0)
    for name, seconds in decode_parts(ready, seen.batch, asked, seen.decode_step_s).items():
        groups[_GROUPS.get(name, "dense layers")] += float(seconds)
    chips = points.chips / points.copies
    total = chips / (float(points.requests_per_s[load]) * searched.question.osl)
    share = float(seen.prefill_share)
    scale = total * (1.0 - share) / sum(groups.values())
    return {**{name: seconds * scale for name, seconds in groups.items()}, "prompts": total * share}


def phase_time(searched: Search, found: Candidates, at: int) -> dict[str, float]:
    """Chip time per output token of any deployment, for prompts and for output tokens [s].

    Args:
        searched: the search.
        found: candidates.
        at: index of the deployment.
    """
    shown = row(searched, found, at)
    if shown.mode == "disaggregated":
        prompts, outputs = (pool.chips / shown.output_tokens_per_s for pool in shown.pools)
        return {"prompts": prompts, "output tokens": outputs}
    parts = chip_time(searched, found, at)
    return {
        "prompts": parts.get("prompts", 0.0),
        "output tokens": sum(parts.values()) - parts.get("prompts", 0.0),
    }


def rivals(searched: Search, found: Candidates, best: int) -> list[Rival]:
    """Return the best other layouts of the same mode and chip, then the best of each other mode and chip.

    Args:
        searched: the search.
        found: the candidates that meet the objectives.
        best: index of the best.
    """
    split = found.pool >= 0
    same = (found.field == found.field[best]) & (split == split[best])
    listed, seen = [], {row(searched, found, best).shape}
    for at in _strongest_first(found, same):
        shape = row(searched, found, at).shape
        if shape not in seen:
            seen.add(shape)
            listed.append(at)
        if len(listed) == _OTHERS:
            break
    for number in range(len(searched.fields)):
        for mode in (False, True):
            group = (found.field == number) & (split == mode)
            if group.any() and not group[best]:
                listed.append(_strongest_first(found, group)[0])
    return [_rival(searched, found, best, at) for at in listed]


def _strongest_first(found: Candidates, group: NDArray[np.bool_]) -> list[int]:
    """The best load of each layout of a group, the strongest layout first."""
    members = np.flatnonzero(group)
    order = members[np.argsort(-found.output_tokens_per_s[members], kind="stable")]
    keys = np.stack([found.field[order], found.pool[order], found.main[order]], axis=1)
    _, first = np.unique(keys, axis=0, return_index=True)
    return [int(at) for at in order[np.sort(first)]]


def _rival(searched: Search, found: Candidates, best: int, at: int) -> Rival:
    rate = float(found.output_tokens_per_s[best])
    behind = 1.0 - float(found.output_tokens_per_s[at]) / rate
    stopped = stops(searched, found, at, searched.objectives)
    shown = row(searched, found, at)
    alike = found.pool[at] < 0 and found.pool[best] < 0
    its, own = ((chip_time if alike else phase_time)(searched, found, index) for index in (at, best))
    more = {name: seconds - own.get(name, 0.0) for name, seconds in its.items()}
    name = max(more, key=lambda key: more[key], default="")
    if (
        not name
        or more[name] <= 0.0
        or shown.chip != searched.fields[int(found.field[best])].evaluator.point.chip.id
    ):
        return Rival(shown, behind, "", 0.0, 0.0, stopped)
    return Rival(shown, behind, name, its[name], own[name], stopped)
