"""Step time of a layout as a table: everything but attention on a grid of tokens, attention as functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.llm import Elementwise, Gemm, Model, Placed, decode_segment, step_operators
from suanli.serving.accelerator import Accelerator
from suanli.serving.framework import model_kind
from suanli.serving.kernels import Coefficients, Kernels
from suanli.serving.layout import Placement
from suanli.serving.precision import Precision
from suanli.serving.stepattention import AttentionTime
from suanli.serving.stepexchange import BYTES, Links, add_collectives
from suanli.serving.stepoperators import Parts, Routing, add_elementwise, add_experts, add_products

Array = NDArray[np.float64]

# Tokens of a step of one attention group: dense where tiles and experts make steps, sparse where all is linear.
_GRID = np.concatenate(
    [
        [0, 1, 2, 3, 4, 6, 8, 12],
        np.arange(16, 48, 8),
        np.arange(48, 160, 16),
        np.arange(160, 320, 32),
        np.arange(320, 640, 64),
        np.arange(640, 1024, 128),
        [1024, 1280, 1536, 2048, 3072, 4096, 6144, 8192, 16384, 32768, 131072, 2**20, 2**24],
    ]
).astype(float)
# Handing over to the next pipeline stage: latency, and the share of the link's bandwidth that one message reaches.
_HOP_S = 5e-6
_HOP_EFFICIENCY = 0.8
# Tokens over all groups where most groups have none.
_FEW = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256], dtype=float)
_HEAD = ("final_norm", "head", "sample")
_LATENT = ("absorb_q", "absorb_v")


@dataclass(frozen=True, slots=True)
class StepTable:
    """Times of one layout, before the framework's factors.

    Attributes:
        model: the model.
        placement: the layout.
        chip: the accelerator.
        precision: formats.
        attention: attention of the chip.
        grid: tokens of a step over all attention groups [token].
        names: operators on the grid.
        times_s: time of each, shape (operators, grid) [s].
        rest: sum of them over the operators [s].
        head_s: head, final norm and sampling on the grid of logit rows [s].
        exchange: which operators are exchanges between experts.
        bytes: memory traffic, on the grid [byte].
        wire_bytes: bytes over links, on the grid [byte].
        basis: weakest basis of the coefficients.
        kernels: number of kernels of a step, for engines without graphs [1].
        peak_s: time that all operators would take at their peaks, on the grid [s].
    """

    model: Model
    placement: Placement
    chip: Accelerator
    precision: Precision
    attention: AttentionTime
    grid: Array
    names: tuple[str, ...]
    times_s: Array
    rest: Array
    head_s: Array
    exchange: NDArray[np.bool_]
    bytes: Array
    wire_bytes: Array
    basis: str
    kernels: int
    peak_s: Array

    @property
    def kind(self) -> str:
        """Kind of model: "dense", "moe" or "mla"."""
        return model_kind(self.model)

    def rest_s(self, tokens: ArrayLike) -> Array:
        """Time of everything but attention and head [s].

        Args:
            tokens: tokens of the step over all attention groups [token].
        """
        return np.asarray(np.interp(np.asarray(tokens, dtype=float), self.grid, self.rest))

    def exchange_s(self, tokens: ArrayLike) -> Array:
        """The part of it that is exchange between experts [s]."""
        return np.asarray(
            np.interp(np.asarray(tokens, dtype=float), self.grid, self.times_s[self.exchange].sum(axis=0))
        )

    def prompt_rest_s(self, beside: ArrayLike, tokens: ArrayLike) -> Array:
        """Time that the tokens of one attention group's prompts add to that of a step [s].

        Experts are shared by all groups. Everything else is the work of the group whose prompt it is, and the others
        wait for it: as long as if each of them had a prompt of that size.

        Args:
            beside: tokens of the step over all attention groups [token].
            tokens: tokens of the prompts, all of one group [token].
        """
        beside, new = np.asarray(beside, dtype=float), np.asarray(tokens, dtype=float)
        groups = self.placement.dp
        if groups == 1:
            return self.rest_s(beside + new) - self.rest_s(beside)
        shared = self.times_s[self.names.index("experts")] if "experts" in self.names else 0.0 * self.rest
        own = self.rest - shared
        rows = np.stack(np.broadcast_arrays(beside, beside + groups * new, beside + new))
        base, most = np.interp(rows[:2], self.grid, own)
        before, after = np.interp(rows[::2], self.grid, shared)
        return np.asarray(most - base + after - before)

    def logits_s(self, rows: ArrayLike) -> Array:
        """Time of head and sampling [s].

        Args:
            rows: tokens that go through the head, over all attention groups [token].
        """
        return np.asarray(np.interp(np.asarray(rows, dtype=float), self.grid, self.head_s))

    def decode_attention_s(
        self, sequences: ArrayLike, context: ArrayLike, query_tokens: ArrayLike = 1.0
    ) -> Array:
        """Time of decode attention [s].

        Args:
            sequences: running sequences over all attention groups [1].
            context: tokens of each [token].
            query_tokens: new tokens of each [token].
        """
        return self.attention.decode_s(self._local(sequences), context, query_tokens)

    def prefill_attention_s(self, sequences: ArrayLike, new: ArrayLike, cached: ArrayLike = 0.0) -> Array:
        """Time of prefill attention [s].

        Args:
            sequences: prompts over all attention groups [1].
            new: tokens of each to compute [token].
            cached: tokens of each that are cached [token].
        """
        return self.attention.prefill_s(self._local(sequences), new, cached)

    def _local(self, sequences: ArrayLike) -> Array:
        return np.asarray(sequences, dtype=float) / self.placement.dp

    def decode_step_s(self, sequences: ArrayLike, context: ArrayLike, query_tokens: ArrayLike = 1.0) -> Array:
        """Kernel time of a decode step: rest + attention + head [s]."""
        tokens = np.asarray(sequences, dtype=float) * query_tokens
        core = self.decode_attention_s(sequences, context, query_tokens)
        return np.asarray(self.rest_s(tokens) + core + self.logits_s(tokens))

    def prefill_step_s(self, sequences: ArrayLike, new: ArrayLike, cached: ArrayLike = 0.0) -> Array:
        """Kernel time of a step that computes prompts alone: rest + attention + head of one row each [s]."""
        tokens = np.asarray(sequences, dtype=float) * new
        core = self.prefill_attention_s(sequences, new, cached)
        return np.asarray(self.rest_s(tokens) + core + self.logits_s(sequences))

    def halved_decode_s(
        self, sequences: ArrayLike, context: ArrayLike, query_tokens: ArrayLike = 1.0
    ) -> tuple[Array, Array]:
        """Kernel time of a decode step, and of two half batches in turn [s].

        Each half computes while the other half's tokens travel: the longer of the two decides.

        Args:
            sequences: running sequences over all attention groups [1].
            context: tokens of each [token].
            query_tokens: new tokens of each [token].
        """
        batch = np.asarray(sequences, dtype=float)
        rows = np.stack([batch, 0.5 * batch])
        tokens = rows * query_tokens
        kernels = self.rest_s(tokens) + self.decode_attention_s(rows, context, query_tokens)
        kernels = kernels + self.logits_s(tokens)
        exchange = self.exchange_s(tokens[1])
        return kernels[0], 2.0 * np.maximum(kernels[1] - exchange, exchange)

    def draft_s(self, sequences: ArrayLike, context: ArrayLike) -> Array:
        """Time of one draft token for every sequence: one layer like the model's, and the head [s].

        Args:
            sequences: running sequences, over all attention groups [1].
            context: tokens of each [token].
        """
        layers = self.rest_s(sequences) + self.decode_attention_s(sequences, context)
        return np.asarray(layers / self.model.layer_count + self.logits_s(sequences))

    def hops_s(self, tokens: ArrayLike) -> Array:
        """Time to hand activations through the pipeline's stages [s]; 0 for one stage."""
        stages, chip = self.placement.pp, self.chip
        outside = stages * self.placement.tp * self.placement.dp > max(chip.domain, 1)
        link = chip.operators.network_bytes_per_s if outside else chip.operators.link_bytes_per_s
        moved = np.asarray(tokens, dtype=float) * self.model.hidden * BYTES
        return (stages - 1.0) * (_HOP_S + moved / (_HOP_EFFICIENCY * np.asarray(link, dtype=float)))

    def parts_s(self, tokens: ArrayLike) -> dict[str, Array]:
        """Time of each operator but attention and head [s]; those that take none are left out.

        Args:
            tokens: tokens of the step over all attention groups [token].
        """
        rows = np.minimum(np.asarray(tokens, dtype=float), self.grid[-1])
        index = np.clip(np.searchsorted(self.grid, rows, side="right") - 1, 0, self.grid.size - 2)
        share = (rows - self.grid[index]) / (self.grid[index + 1] - self.grid[index])
        values = self.times_s[:, index] * (1.0 - share) + self.times_s[:, index + 1] * share
        return {name: values[row] for row, name in enumerate(self.names) if self.times_s[row, -1] > 0.0}


def step_table(
    model: Model,
    placement: Placement,
    chip: Accelerator,
    precision: Precision,
    coefficients: Coefficients,
    framework: str,
    routing: Routing = Routing(),  # noqa: B008
    prefill: bool = False,
    wire_factor: float = 1.0,
) -> StepTable:
    """Build the table of a layout.

    Args:
        model: the model.
        placement: the layout.
        chip: the accelerator.
        precision: formats.
        coefficients: calibration rows.
        framework: "vllm", "sglang", "trtllm" or "*".
        routing: popularity of experts.
        prefill: whether exchanges between experts are those of prefill (a pool of its own).
        wire_factor: bytes over links in collectives over what the measured kernels need [1].

    Returns:
        The table.

    Raises:
        InputError: a layout that cannot be.
        NoDataError: the calibration table lacks an operator.
    """
    kernels = Kernels(coefficients, chip, framework)
    sharding = placement.sharding
    groups = placement.dp
    grid = _GRID if groups == 1 else np.unique(np.concatenate([_GRID * groups, _FEW[groups > _FEW]]))
    placed = step_operators(model, (decode_segment(grid, 1.0),), sharding)
    parts = Parts(grid.size)
    head = Parts(grid.size)
    _split(parts, head, placed, precision, kernels)
    add_experts(parts, placed, model, sharding, grid, routing, precision, kernels, prefill)
    add_collectives(parts, placed, model, sharding, Links(kernels, prefill, wire_factor), precision)
    attention = AttentionTime(model, sharding, precision, kernels)
    found = list(parts.found.values())
    times = np.stack([part.time_s for part in found])
    times[:, 0] = 0.0
    over_head = sum((part.time_s for part in head.found.values()), start=np.zeros(grid.size))
    return StepTable(
        model=model,
        placement=placement,
        chip=chip,
        precision=precision,
        attention=attention,
        grid=grid,
        names=tuple(part.name for part in found),
        times_s=times,
        rest=np.asarray(times.sum(axis=0)),
        head_s=np.asarray(over_head),
        exchange=np.array([part.exchange for part in found]),
        peak_s=_sum([part.peak_s for part in found]),
        bytes=_sum([part.bytes for part in found]),
        wire_bytes=_sum([part.wire_bytes for part in found]),
        basis=kernels.basis,
        kernels=sum(one.count for one in placed),
    )


def _split(
    parts: Parts, head: Parts, placed: tuple[Placed, ...], precision: Precision, kernels: Kernels
) -> None:
    """Products and elementwise operators of the layers, and those of the head."""
    for target, wanted in ((parts, False), (head, True)):
        chosen = [one for one in placed if (one.operator.name in _HEAD) == wanted]
        gemms = [
            (one.count, one.operator)
            for one in chosen
            if isinstance(one.operator, Gemm) and one.operator.name not in _LATENT
        ]
        add_products(target, gemms, precision, kernels)
        moving = [
            (one.count, one.operator)
            for one in chosen
            if isinstance(one.operator, Elementwise) and one.operator.name != "index_select"
        ]
        add_elementwise(target, moving, precision, kernels)


def _sum(arrays: list[Array]) -> Array:
    return np.asarray(np.sum(np.stack(arrays), axis=0))
