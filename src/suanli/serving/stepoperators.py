"""Time of the operators of a step other than attention, on a grid of tokens: products, experts, exchanges, the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from suanli.hardware.elementwise import ElementwiseCoefficients, elementwise_time_s
from suanli.hardware.formats import number_format
from suanli.hardware.gemm import (
    GemmCoefficients,
    QuantiseCoefficients,
    gemm_bytes,
    gemm_time_s,
    quantise_time_s,
)
from suanli.hardware.moe import MoeCoefficients, expected_load, expert_bytes, hottest_rank, moe_time_s
from suanli.llm import Elementwise, Gemm, GroupedGemm, Model, Placed, Sharding
from suanli.serving.kernels import Kernels
from suanli.serving.precision import Precision

Array = NDArray[np.float64]

# Engines quantise activations to one scale a tensor inside the norm or activation before the product; scales of blocks
# take a kernel of its own.
_FUSED = QuantiseCoefficients()
_BLOCKS = QuantiseCoefficients(launch_s=2.0e-6)
# Kernels of the elementwise operators whose work the expert kernels include.
_INSIDE_EXPERTS = ("permute", "expert_activation", "unpermute")
# Popularity of experts: lognormal with this sigma (own estimate, grade D). For 256 experts on 32 ranks it makes the
# hottest rank carry 1.57 of the mean without copies and 1.34 with 32; the published prefill step of such a deployment
# asks for about 1.3 (LMSYS, SGLang on 96 H100, 2025-05-05). DeepSeek-V3's own traces (profile-data) are balanced.
EXPERT_SIGMA = 0.7


MEASURED_FRAMEWORKS = ("vllm", "sglang", "trtllm")
# The bf16 GEMM fits find 0.80 to 0.87 of the memory bandwidth on every chip (docs/calibration).
_VECTOR_EFFICIENCY = 0.82
_VECTOR_LAUNCH_S = 2.5e-6
_VECTOR_ROWS = 8.0
# Beyond this many ranks tokens come already sorted by expert from the exchange (DeepEP), and grouped products are those
# of DeepGEMM: the expert kernel has nothing to permute, only an activation to apply.
WIDE_RANKS = 8
_WIDE_KERNEL = "deepgemm"
# A set whose times are off by more than this factor in one of ten cases describes none of its kernels.
_USELESS_BAND = 2.0
_ACTIVATION_EFFICIENCY = 0.7
# Prefill's exchange brings a token once a rank: its 8-bit values are read and written into the order of the experts,
# and the 16-bit outputs are read and summed up again.
_SORTED_BYTES = 1.0 + 1.0 + 2.0 + 2.0


@dataclass(slots=True)
class Part:
    """One operator on the grid, all its layers together.

    Attributes:
        name: what it is.
        time_s: time [s].
        peak_s: time of its operations at the peak of their format [s].
        bytes: memory traffic [byte].
        wire_bytes: bytes sent over links [byte].
        exchange: whether it is an exchange of tokens between experts, which may overlap with computing.
    """

    name: str
    time_s: Array
    peak_s: Array
    bytes: Array
    wire_bytes: Array
    exchange: bool = False


@dataclass(slots=True)
class Parts:
    """Operators of a step on a grid, collected by name."""

    size: int
    found: dict[str, Part] = field(default_factory=dict)

    def add(
        self,
        name: str,
        time_s: Array,
        peak_s: Array | float = 0.0,
        moved: Array | float = 0.0,
        wire: Array | float = 0.0,
        exchange: bool = False,
    ) -> None:
        """Add an operator's time and work to the part of that name."""
        zero = np.zeros(self.size)
        part = self.found.get(name)
        if part is None:
            part = self.found[name] = Part(name, zero, zero, zero, zero, exchange)
        part.time_s = part.time_s + time_s
        part.peak_s = part.peak_s + peak_s
        part.bytes = part.bytes + moved
        part.wire_bytes = part.wire_bytes + wire


def product_format(gemm: Gemm, precision: Precision) -> str:
    """Number format that a dense product runs in."""
    forms = {"attention": precision.attention, "ffn": precision.ffn, "embedding": precision.head}
    return forms.get(gemm.part, _wide(precision))


def _wide(precision: Precision) -> str:
    return "bf16" if number_format(precision.head).quantised else precision.head


def add_products(
    parts: Parts, gemms: Sequence[tuple[int, Gemm]], precision: Precision, kernels: Kernels
) -> None:
    """Add dense products: one call of the time law per number format.

    Args:
        parts: where they go.
        gemms: (count, product), rows on the grid or one number.
        precision: formats.
        kernels: coefficients.
    """
    by_form: dict[str, list[tuple[int, Gemm]]] = {}
    for count, gemm in gemms:
        by_form.setdefault(product_format(gemm, precision), []).append((count, gemm))
    chip = kernels.chip.operators
    for form, members in by_form.items():
        m = np.stack([np.broadcast_to(gemm.m, (parts.size,)) for _, gemm in members])
        n = np.array([[float(gemm.n * gemm.copies)] for _, gemm in members])
        k = np.array([[float(gemm.k)] for _, gemm in members])
        found = kernels.get("gemm", GemmCoefficients, form)
        time = gemm_time_s(m, n, k, form, chip, found)
        if kernels.framework not in MEASURED_FRAMEWORKS:
            time = np.maximum(time, _widened_s(m, n, k, form, kernels))
            time = np.minimum(time, _vector_s(m, n, k, form, kernels))
        time = np.where(
            m > 0.0, time + quantise_time_s(m, k, form, chip, _FUSED if form == "fp8" else _BLOCKS), 0.0
        )
        moved = np.where(m > 0.0, gemm_bytes(m, n, k, form), 0.0)
        peak = chip.peak(form)
        for row, (count, gemm) in enumerate(members):
            parts.add(gemm.name, count * time[row], count * gemm.flops / peak, count * moved[row])


def add_elementwise(
    parts: Parts, operators: Sequence[tuple[int, Elementwise]], precision: Precision, kernels: Kernels
) -> None:
    """Add operators that only move data; those inside the expert kernels are left out."""
    coefficients = kernels.get("elementwise", ElementwiseCoefficients, kernel="*")
    for count, operator in operators:
        if operator.name in _INSIDE_EXPERTS:
            continue
        values = operator.rows * (operator.read_values + operator.written_values)
        moved = 2.0 * values + operator.weight_bytes(precision.weights)
        time = elementwise_time_s(moved, kernels.chip.operators, coefficients)
        parts.add(operator.name, count * np.where(operator.rows > 0.0, time, 0.0), 0.0, count * moved)


def _vector_s(m: Array, n: Array, k: Array, form: str, kernels: Kernels) -> Array:
    """Time of products with a few rows by a matrix-vector kernel, which reads the weights and needs no tiles.

    Engines whose GEMMs were not measured (llama.cpp, vendors' own) are taken to have one for up to 8 rows.
    """
    bandwidth = np.asarray(kernels.chip.operators.memory_bandwidth_bytes_per_s) * _VECTOR_EFFICIENCY
    time = _VECTOR_LAUNCH_S + gemm_bytes(m, n, k, form) / bandwidth
    return np.where(m <= _VECTOR_ROWS, time, np.inf)


def _widened_s(m: Array, n: Array, k: Array, form: str, kernels: Kernels) -> Array | float:
    """Least time of products whose weights are widened to 16 bits on the way: the arithmetic of 16-bit products.

    Kernels for such weights were measured where few rows make them bound by memory; with many, unpacking adds work.
    """
    kind = number_format(form)
    if kind.weight_bytes > 1.5 or kind.activation_bytes < 1.5:
        return 0.0
    chip = kernels.chip.operators
    wide = "bf16" if "bf16" in chip.peak_flop_per_s else "fp16"
    boundless = replace(chip, memory_bandwidth_bytes_per_s=np.inf)
    return gemm_time_s(m, n, k, wide, boundless, kernels.get("gemm", GemmCoefficients, wide))


@dataclass(frozen=True, slots=True)
class Routing:
    """How tokens spread over experts.

    Attributes:
        sigma: sigma of the lognormal popularity of experts [1].
        imbalance: load of the hottest rank over the mean; None to compute it from sigma [1].
        redundant: redundant experts per rank, which even out the load [1].
    """

    sigma: float = EXPERT_SIGMA
    imbalance: float | None = None
    redundant: int = 0


def add_experts(
    parts: Parts,
    placed: Sequence[Placed],
    model: Model,
    sharding: Sharding,
    tokens: Array,
    routing: Routing,
    precision: Precision,
    kernels: Kernels,
    prefill: bool = False,
) -> None:
    """Add the routed experts: the hottest rank decides, the fastest of the framework's kernels is taken.

    Args:
        parts: where they go.
        placed: operators of the step; grouped products come in pairs, up and down.
        model: the model.
        sharding: layout of the stage.
        tokens: tokens of the step over all chips of the stage, on the grid [token].
        routing: popularity of experts.
        precision: formats.
        kernels: coefficients.
        prefill: whether tokens come by the exchange of prefill, once a rank and not sorted by expert.
    """
    pairs = [p for p in placed if isinstance(p.operator, GroupedGemm)]
    if not pairs:
        return
    form, chip = precision.experts, kernels.chip.operators
    held = model.experts_per_layer
    hot, tokens = routing.imbalance, np.maximum(tokens, 1.0)
    imbalance = np.asarray(
        hottest_rank(tokens, model.top_k, held, sharding.ep, routing.sigma) if hot is None else hot
    )
    load = expected_load(tokens, model.top_k, held, sharding.ep, routing.sigma, imbalance)
    # With attention groups that gather all tokens, every rank routes the tokens of all groups.
    entering = tokens if sharding.ep == 1 or sharding.dp_attention == 1 else tokens / sharding.dp_attention
    wide = sharding.ep > WIDE_RANKS and sharding.dp_attention > 1
    sets = _wide_sets(kernels, form) if wide else _own_sets(kernels, form)
    bandwidth = np.asarray(chip.memory_bandwidth_bytes_per_s)
    for up, down in zip(pairs[::2], pairs[1::2], strict=True):
        first, second = up.operator, down.operator
        if not (isinstance(first, GroupedGemm) and isinstance(second, GroupedGemm)):
            continue
        hidden, inter = float(first.k), float(second.k)
        gated = first.n > second.k
        times = [moe_time_s(load, entering, hidden, inter, form, chip, one, gated) for one in sets]
        best = np.min(np.stack(times), axis=0)
        if wide:
            width = (2.0 if gated else 1.0) * 2.0 + number_format(form).activation_bytes
            best = best + load.assignments * inter * width / (bandwidth * _ACTIVATION_EFFICIENCY)
            if prefill:
                sort = load.assignments * hidden * _SORTED_BYTES / (bandwidth * _ACTIVATION_EFFICIENCY)
                parts.add("permute", up.count * sort)
        matrices = 3.0 if gated else 2.0
        flops = 2.0 * matrices * hidden * inter * load.assignments
        moved = load.experts * expert_bytes(hidden, inter, form, gated)
        moved = moved + 2.0 * load.assignments * (2.0 * hidden + matrices * inter)
        parts.add("experts", up.count * best, up.count * flops / chip.peak(form), up.count * moved)


def _own_sets(kernels: Kernels, form: str) -> list[MoeCoefficients]:
    """The kernels that the framework chooses from."""
    names = [name for name in kernels.names("moe", form) if "nongated" not in name and name != "*"]
    if names:
        return [kernels.get("moe", MoeCoefficients, form, name) for name in names]
    pooled = kernels.found("moe", form)
    if pooled.kernel != "*" or pooled.band <= _USELESS_BAND:
        return [kernels.get("moe", MoeCoefficients, form)]
    # Kernels of several designs that no common set describes: an engine that nothing is known of has one of them.
    measured = [
        pair for pair in kernels.measured("moe", form) if "nongated" not in pair[1] and "*" not in pair
    ]
    return [kernels.get("moe", MoeCoefficients, form, name, framework) for framework, name in measured] or [
        kernels.get("moe", MoeCoefficients, form)
    ]


def _wide_sets(kernels: Kernels, form: str) -> list[MoeCoefficients]:
    """Grouped products alone: the kernel of wide expert parallelism, or the chip's own, without permutation."""
    found = kernels.anywhere("moe", MoeCoefficients, form, _WIDE_KERNEL)
    sets = _own_sets(kernels, form) if found is None else [found]
    return [replace(one, activation_efficiency=1e9, token_s=0.0) for one in sets]
