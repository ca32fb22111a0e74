"""Why the best deployment is best: the best of every other kind, and the part of the work that sets it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suanli.serving.closed_loop import Load, closed_loop
from suanli.study.recommend.candidates import Candidates
from suanli.study.recommend.constraints import stops
from suanli.study.recommend.evaluate import Evaluator, Points
from suanli.study.recommend.rows import Row, row
from suanli.study.recommend.search import Search

_LINKS = frozenset({"all_reduce", "all_gather", "reduce_scatter", "dispatch", "combine", "stage_hop", "hop", "send"})
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


def chip_time(evaluator: Evaluator, points: Points, load: int, osl: float) -> dict[str, float]:
    """Chip time per output token of a layout that does both phases, by part [s].

    The parts of a decode step divide what prompts leave of the time; together they are chips/(tokens per second).

    Args:
        evaluator: the workload.
        points: the layout.
        load: index of its load.
        osl: output length [token].
    """
    work, serving = evaluator.work, evaluator.serving
    table = evaluator.table(points.placement)
    if table is None:
        return {}
    requests = points.requests[load]
    seen = closed_loop(table, serving, Load(requests, work.isl, work.osl, work.prefix_share, points.capacity))
    batch = float(np.asarray(seen.batch)) / points.placement.pp
    context = work.isl + 0.5 * work.osl
    parts = {"prompts": 0.0, "attention": float(table.decode_attention_s(batch, context)), "links": 0.0}
    parts |= {"experts": 0.0, "dense layers": float(table.logits_s(batch))}
    for name, seconds in table.parts_s(batch).items():
        group = "links" if name in _LINKS else "experts" if name == "experts" else "dense layers"
        parts[group] += seconds
    parts = {name: serving.kernel_factor * seconds for name, seconds in parts.items()}
    parts["host"] = serving.step_s + serving.sequence_s * batch
    total, share = points.placement.chips / (float(points.requests_per_s[load]) * osl), float(np.asarray(seen.prefill_share))
    scale = total * (1.0 - share) / sum(parts.values())
    return {**{name: seconds * scale for name, seconds in parts.items()}, "prompts": total * share}


def pool_time(row_: Row, osl: float) -> dict[str, float]:
    """Chip time per output token of each pool of a deployment [s]."""
    del osl
    return {pool.role: pool.chips / row_.output_tokens_per_s for pool in row_.pools}


def rivals(searched: Search, found: Candidates, best: int) -> list[Rival]:
    """Return the best deployments of other modes, chips and layouts, the strongest first.

    Args:
        searched: the search.
        found: the candidates that meet the objectives.
        best: index of the best.
    """
    order = np.argsort(-found.output_tokens_per_s, kind="stable")
    kind = (found.field, found.pool >= 0, found.main)
    mine = tuple(int(column[best]) for column in kind)
    seen, listed = {mine}, []
    modes = {(mine[0], mine[1])}
    for at in order.tolist():
        key = tuple(int(column[at]) for column in kind)
        # Of another chip or mode the best is enough; of the same, the best layouts.
        other = (key[0], key[1])
        if key in seen or (other != mine[:2] and other in modes):
            continue
        seen.add(key)
        modes.add(other)
        listed.append(_rival(searched, found, best, at))
    near = [one for one in listed if one.row.mode == row(searched, found, best).mode][:_OTHERS]
    far = [one for one in listed if one not in near and not any(one.row.shape == own.row.shape for own in near)]
    return near + [one for one in far if (one.row.mode, one.row.chip) != (near[0].row.mode, near[0].row.chip)] if near else far[:_OTHERS]


def _rival(searched: Search, found: Candidates, best: int, at: int) -> Rival:
    osl = searched.question.osl
    rate = float(found.output_tokens_per_s[best])
    behind = 1.0 - float(found.output_tokens_per_s[at]) / rate
    stopped = stops(searched, found, at, searched.objectives)
    shown = row(searched, found, at)
    if found.pool[at] >= 0 or found.pool[best] >= 0:
        return Rival(shown, behind, "", 0.0, 0.0, stopped)
    its, own = (
        chip_time(searched.fields[int(found.field[k])].evaluator, searched.layout(found, k), int(found.load[k]), osl)
        for k in (at, best)
    )
    more = {name: its.get(name, 0.0) - own.get(name, 0.0) for name in its}
    name = max(more, key=lambda key: more[key], default="")
    if not name or more[name] <= 0.0:
        return Rival(shown, behind, "", 0.0, 0.0, stopped)
    return Rival(shown, behind, name, its[name], own[name], stopped)
