"""A deployment made ready: layout, formats, framework constants, step tables and memory, built once and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from suanli.errors import InputError, UnknownIdError
from suanli.llm import LayerGroup, Model
from suanli.serving.accelerator import Accelerator, rank_of
from suanli.serving.bands import of_deployment
from suanli.serving.deployment import MemoryParts, memory_parts, stage_weight_bytes
from suanli.serving.engine_defaults import by_chip
from suanli.serving.framework import Serving, ServingSet, model_kind, split_framework
from suanli.serving.kernels import Coefficients
from suanli.serving.layout import Placement, default_placement, place
from suanli.serving.padding import padded
from suanli.serving.point import OPTIONS, PHASES, Point
from suanli.serving.precision import Precision, choose_precision
from suanli.serving.refinement import deployment_label
from suanli.serving.stepoperators import EXPERT_SIGMA, Routing
from suanli.serving.steptime import StepTable, step_table

# Tokens of a step where the framework sets no chunk.
WHOLE_STEP_TOKENS = 8192.0
# Acceptance of one draft token after another on real text (arXiv 2412.19437, section 5.4.3: 85 to 90 % for the second
# token of DeepSeek-V3; deeper drafts of the same module are accepted less often).
MTP_ACCEPTANCE = 0.7
_ROUTING = ("expert_sigma", "expert_imbalance", "redundant_experts")


@dataclass(frozen=True, slots=True)
class Engine:
    """A deployment that can be timed.

    Attributes:
        model: the model, with redundant experts where there are any.
        chip: the accelerator.
        placement: the layout.
        precision: formats.
        serving: constants of the framework, with what the point overrides.
        table: step times.
        weights_bytes: weights on the fullest chip [byte].
        notes: what was chosen or changed.
    """

    model: Model
    chip: Accelerator
    placement: Placement
    precision: Precision
    serving: ServingSet
    table: StepTable
    weights_bytes: float
    notes: tuple[str, ...]

    def memory(self, isl: float, osl: float, clients: float, prompts: bool = True) -> MemoryParts:
        """Share out the memory of the fullest chip for requests of these lengths.

        Args:
            isl: prompt [token].
            osl: output [token].
            clients: sequences of one replica, for activations [1].
            prompts: whether prompts are computed here.
        """
        constants = self.serving.values
        each = min(clients / self.placement.dp, 4096.0)
        chunk = constants.chunk_tokens or max(isl, WHOLE_STEP_TOKENS)
        return memory_parts(
            self.model,
            self.chip,
            self.placement,
            self.precision.kv,
            self.weights_bytes,
            isl + constants.kv_reserve * osl,
            step_tokens=each + (min(chunk, max(each, 1.0) * isl) if prompts else 0.0),
            memory_share=constants.memory_share,
            of_free=constants.memory_of_free > 0.5,
        )


def check(point: Point) -> None:
    """Check the numbers of a point.

    Raises:
        InputError: every problem, one line.
        UnknownIdError: an option that does not exist.
    """
    problems = []
    if point.phase not in PHASES:
        problems.append(f'phase must be one of {", ".join(PHASES)}, got "{point.phase}"')
    for name, value, low in (("isl", point.isl, 1.0), ("osl", point.osl, 1.0)):
        if not (np.isfinite(value) and value >= low):
            problems.append(f"{name} must be at least 1 token, got {value:g}")
    if not (np.isfinite(point.concurrency) and point.concurrency > 0.0):
        problems.append(f"concurrency must be above 0, got {point.concurrency:g}")
    for name, option in point.options.items():
        if name not in OPTIONS:
            raise UnknownIdError("option", name, OPTIONS)
        if not (np.isfinite(option) and option >= 0.0):
            problems.append(f"{name} must be a number of at least 0, got {option:g}")
        elif name in _SHARES and option > 1.0:
            problems.append(f"{name} is a share, from 0 to 1; got {option:g}")
    if point.options.get("prefix_hit_share", 0.0) >= 1.0:
        problems.append("prefix_hit_share must be below 1: the last token is always computed")
    if point.options.get("length_low_share", 1.0) <= 0.0:
        problems.append("length_low_share must be above 0")
    if problems:
        raise InputError("; ".join(problems))


_SHARES = ("prefix_hit_share", "mtp_acceptance", "overlap", "length_low_share", "memory_share")


def engine(point: Point, tables: Coefficients) -> Engine:
    """Make a deployment ready, or return it from those made before.

    Args:
        point: the question.
        tables: calibration rows; keep the engines built from them.

    Returns:
        The engine.

    Raises:
        InfeasibleError: the chip cannot compute in the format, or no layout holds the model.
        InputError: a layout that cannot be.
        NoDataError: the calibration table lacks an operator.
    """
    options = point.options
    asked = (point.tp, point.pp, point.dp, point.ep)
    key: tuple[object, ...] = (
        *(id(point.model), id(point.chip), point.n_chips, asked),
        *(point.weights_dtype, point.kv_dtype, point.framework, point.phase == "prefill"),
        *(options.get(name) for name in (*_ROUTING, *_OVERRIDES, "layout_in_ranks")),
    )
    if asked == (None, None, None, None):
        # The layout that is taken depends on the length of requests; their engines share the layout's tables.
        chosen = tables.tables.get((key, point.isl + point.osl))
        if chosen is None:
            parts = tables.tables.get((key, "parts"))
            if parts is None:
                parts = tables.tables[key, "parts"] = (point, _parts(point, tables))
            layout = parts[1].placement(point.isl + point.osl)
            chosen = tables.tables[key, point.isl + point.osl] = (point, layout)
        key = (key, chosen[1])
    kept = tables.tables.get(key)
    if kept is None:
        # The point is kept beside its engine so that the ids in the key stay taken.
        kept = tables.tables[key] = (point, _build(point, tables))
    found: Engine = kept[1]
    return found


_OVERRIDES = {
    "chunk_tokens": "chunk_tokens",
    "max_sequences": "max_sequences",
    "memory_share": "memory_share",
    "mtp_draft": "draft_tokens",
    "stream_interval": "stream_interval",
    "recv_interval": "recv_interval",
}


class _Parts(NamedTuple):
    """What an engine is built from, before its layout and tables; keeps the weights of layouts that were tried."""

    point: Point
    framework: str
    serving: ServingSet
    unknown: str
    model: Model
    precision: Precision
    weights_bytes: dict[Placement, float]

    def placement(self, tokens: float) -> Placement:
        """The layout asked for, or the one that is taken for requests of so many tokens."""
        point, values = self.point, self.serving.values
        if (point.tp, point.pp, point.dp, point.ep) != (None, None, None, None):
            return place(self.model, point.n_chips, point.tp, point.pp, point.dp, point.ep)
        if point.n_chips != int(point.n_chips) or point.n_chips < 1:
            raise InputError(f"n_chips must be a whole number of at least 1, got {point.n_chips}")

        def fits(layout: Placement) -> bool:
            if layout not in self.weights_bytes:
                weights = stage_weight_bytes(self.model, self.precision.weights, layout)
                self.weights_bytes[layout] = weights
            found = memory_parts(
                self.model,
                point.chip,
                layout,
                self.precision.kv,
                self.weights_bytes[layout],
                tokens,
                memory_share=values.memory_share,
                of_free=values.memory_of_free > 0.5,
            )
            return found.sequences >= 1.0

        return default_placement(self.model, point.chip, int(point.n_chips), fits, tokens)


def _parts(asked: Point, tables: Coefficients) -> _Parts:
    point = _by_rank(asked)
    name, version = split_framework(point.framework)
    serving, unknown = _serving(point, tables, name, version)
    model = with_redundant_experts(point.model, int(point.options.get("redundant_experts", 0.0)))
    point, model = padded(point, model)
    return _Parts(point, name, serving, unknown, model, _precision(point, name), {})


def _build(asked: Point, tables: Coefficients) -> Engine:
    parts = _parts(asked, tables)
    point, name, serving, unknown, model, precision, _ = parts
    placement = parts.placement(asked.isl + asked.osl)
    serving = tables.refined(serving, point, name, deployment_label(model, precision, placement))
    routing = _routing(point.options, point.model, int(point.options.get("redundant_experts", 0.0)))
    table = step_table(
        model,
        placement,
        point.chip,
        precision,
        tables,
        name,
        routing,
        prefill=point.phase == "prefill",
        wire_factor=serving.values.wire_factor,
    )
    notes = precision.changes
    if unknown and not (serving.refinement and serving.refinement.measured):
        notes += (unknown,)
    if asked.chip.ranks > 1:
        notes += (f"Each {asked.chip.id} runs as {asked.chip.ranks} ranks; the layout counts ranks.",)
    weights = stage_weight_bytes(model, precision.weights, placement, mtp=serving.values.draft_tokens > 0)
    return Engine(model, point.chip, placement, precision, serving, table, weights, notes)


def _by_rank(point: Point) -> Point:
    """The same question in ranks: dies with memories of their own hold weights of their own."""
    ranks = point.chip.ranks
    if ranks == 1:
        return point
    sizes: dict[str, int | None] = {"n_chips": point.n_chips * ranks}
    if point.options.get("layout_in_ranks", 0.0) > 0.5:
        return replace(point, chip=rank_of(point.chip), **sizes)  # type: ignore[arg-type]
    if point.dp is not None and point.dp > 1:
        sizes["dp"] = point.dp * ranks
    elif point.tp is not None and point.tp * (point.pp or 1) * (point.dp or 1) == point.n_chips:
        sizes["tp"] = point.tp * ranks
    if point.ep is not None and point.ep > 1 and len(sizes) > 1:
        sizes["ep"] = point.ep * ranks
    return replace(point, chip=rank_of(point.chip), **sizes)  # type: ignore[arg-type]


def _serving(point: Point, tables: Coefficients, name: str, version: str) -> tuple[ServingSet, str]:
    found = tables.frameworks.serving(name, version, model_kind(point.model))
    values = stated(by_chip(found.values, name, point.chip), point.options)
    if point.model.mtp is None and "mtp_draft" not in point.options:
        values = replace(values, draft_tokens=0.0)
    return of_deployment(replace(found, values=values), name, version, point.model.id)


def stated(values: Serving, options: Mapping[str, float]) -> Serving:
    """Return a framework's constants with those that a question states.

    Args:
        values: the framework's.
        options: of the question, see `point.OPTIONS`.
    """
    changes = {field: options[option] for option, field in _OVERRIDES.items() if option in options}
    return replace(values, **changes) if changes else values


def _precision(point: Point, framework: str) -> Precision:
    """Formats; engines keep the cache in FP8 where TensorRT-LLM or a Blackwell recipe serves quantised weights."""
    wide = choose_precision(point.model, point.chip, point.weights_dtype, point.kv_dtype)
    main = wide.weights.experts if point.model.experts_per_layer else wide.weights.ffn
    quantised = main.size_bytes < 1.5
    narrow = quantised and (framework == "trtllm" or point.chip.family == "blackwell")
    if point.kv_dtype is not None or not narrow:
        return wide
    return choose_precision(point.model, point.chip, point.weights_dtype, None, "fp8")


def memory_problem(memory: MemoryParts, engine: Engine) -> str | None:
    """Say what is short where weights or one sequence do not fit; None where they do.

    Args:
        memory: parts of the fullest chip.
        engine: the deployment.
    """
    if memory.sequences >= 1.0:
        return None
    chip, layout = engine.chip, engine.placement
    where = (
        f"{engine.model.id} on {layout.chips} x {chip.id} "
        f"(tp {layout.tp}, pp {layout.pp}, dp {layout.dp}, ep {layout.ep})"
    )
    if memory.kv_bytes <= 0.0:
        need = memory.weights_bytes + memory.activation_bytes + memory.reserve_bytes
        return (
            f"{where} does not fit: {need / 1e9:.0f} GB a chip for weights ({memory.weights_bytes / 1e9:.0f} GB), "
            f"activations and reserve, {memory.capacity_bytes / 1e9:.0f} GB there"
        )
    return (
        f"{where} leaves {memory.kv_bytes / 1e9:.1f} GB a chip for KV; one sequence of this length needs "
        f"{memory.sequence_bytes / 1e9:.1f} GB"
    )


def with_redundant_experts(model: Model, copies: int) -> Model:
    """Return the model with `copies` more experts in each sparse layer; a token still visits as many."""
    if not copies or not model.experts_per_layer:
        return model

    def grown(group: LayerGroup) -> LayerGroup:
        if group.ffn is None or group.ffn.experts is None:
            return group
        experts = replace(group.ffn.experts, count=group.ffn.experts.count + copies)
        return replace(group, ffn=replace(group.ffn, experts=experts))

    return replace(model, layers=tuple(grown(group) for group in model.layers))


def _routing(options: Mapping[str, float], model: Model, redundant: int) -> Routing:
    sigma = options.get("expert_sigma", EXPERT_SIGMA)
    if redundant and model.experts_per_layer:
        sigma = flattened_sigma(sigma, model.experts_per_layer, redundant)
    imbalance = options.get("expert_imbalance")
    return Routing(sigma=sigma if imbalance is None else 0.0, imbalance=imbalance)


@lru_cache(maxsize=256)
def flattened_sigma(sigma: float, experts: int, copies: int) -> float:
    """Sigma of the popularity of expert slots after the most loaded slots were split in two, one after another.

    Args:
        sigma: of the lognormal popularity of experts [1].
        experts: experts of a layer [1].
        copies: redundant experts [1].

    Returns:
        sqrt(log(1 + variance/mean^2)) of the slots' loads [1].

    Reference: the idea of DeepSeek's EPLB (deepseek-ai/eplb): replicate the heavy-loaded experts.
    """
    from heapq import heapify, heappush, heapreplace
    from statistics import NormalDist

    normal = NormalDist()
    loads = [-float(np.exp(sigma * normal.inv_cdf((i + 0.5) / experts))) for i in range(experts)]
    heapify(loads)
    for _ in range(copies):
        half = 0.5 * loads[0]
        heapreplace(loads, half)
        heappush(loads, half)
    slots = np.array(loads)
    return float(np.sqrt(np.log1p(slots.var() / slots.mean() ** 2)))


def tokens_per_step(draft: float, acceptance: float) -> float:
    """Expected tokens of a step with drafts: 1 + a + a^2 + ... + a^k.

    Args:
        draft: k, draft tokens [1].
        acceptance: a, chance that a draft is accepted after the one before it [1].

    Reference: Y. Leviathan et al., "Fast Inference from Transformers via Speculative Decoding", arXiv 2211.17192.
    """
    total, chance = 1.0, 1.0
    for _ in range(int(draft)):
        chance *= acceptance
        total += chance
    return total
