"""Time of the collectives of a step: all-reduces of tensor parallelism, exchange of tokens between experts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.hardware.formats import number_format
from suanli.llm import Exchange, Model, Placed, Sharding
from suanli.network.calibrated import ExchangeCoefficients, calibrated_s
from suanli.network.collectives import Operation, bus_factor
from suanli.network.expert_exchange import expected_distinct_groups, message_bytes
from suanli.serving.kernels import Kernels
from suanli.serving.precision import Precision
from suanli.serving.stepoperators import Parts

Array = NDArray[np.float64]

BYTES = 2.0
# Processors that DeepEP's normal kernels take for the exchange (DeepEP README: 24 of 132 on H800).
EXCHANGE_PROCESSORS = 24
# Group sizes that collectives were measured at.
_MEASURED = (2, 4, 8)
_NODES = (1, 2, 4, 8)
_NVLINK_RANKS = (2, 4, 8, 16, 32, 64)
_SERVER = 8
# A step of a collective between neighbours: software, DMA and wire; an own estimate from the 2 to 5 us that small
# messages take between two chips (NCCL and custom all-reduce of two GPUs in the calibration table).
_HOP_S = 3e-6
_HOP_EFFICIENCY = 0.8


@dataclass(frozen=True, slots=True)
class Links:
    """The chips' links and how the exchange uses them.

    Attributes:
        kernels: coefficients and chip.
        prefill: whether exchanges are those of prefill: large messages, DeepEP's normal kernels.
        wire_factor: bytes over links in collectives over what the measured kernels need [1].
    """

    kernels: Kernels
    prefill: bool = False
    wire_factor: float = 1.0

    @property
    def scale_up(self) -> float:
        """Bandwidth inside the domain [byte/s]."""
        return float(np.asarray(self.kernels.chip.operators.link_bytes_per_s))

    @property
    def scale_out(self) -> float:
        """Bandwidth between domains [byte/s]."""
        return float(np.asarray(self.kernels.chip.operators.network_bytes_per_s))

    def collective_s(self, operation: Operation, ranks: int, size_bytes: Array) -> Array:
        """Time of a collective: the framework's own kernel or NCCL's, whichever is faster; across domains in two steps.

        Args:
            operation: which.
            ranks: chips [1].
            size_bytes: whole buffer [byte].
        """
        if ranks <= 1:
            return np.zeros(np.shape(size_bytes))
        domain = max(self.kernels.chip.domain, 1)
        if self.kernels.chip.hops and not self._own(operation):
            return self._hop_by_hop(operation, ranks, size_bytes)
        if ranks <= domain or domain == 1:
            return self._inside(operation, ranks, size_bytes)
        inside = self._inside(operation, domain, size_bytes)
        across = self._across(operation, -(-ranks // domain), size_bytes / domain)
        return np.asarray(inside + across)

    def _own(self, operation: Operation) -> bool:
        """Whether the collective was measured on this very chip."""
        chip, table = self.kernels.chip, self.kernels.coefficients.operators
        found = table.coefficients(operation, chip.id, chip.family, framework="nccl", kernel="n8")
        return found.basis == "calibrated"

    def _hop_by_hop(self, operation: Operation, ranks: int, size_bytes: Array) -> Array:
        """Ring over links without a switch: n - 1 hops for gather and scatter, twice that for all-reduce."""
        hops = (ranks - 1.0) * (2.0 if operation == "all_reduce" else 1.0)
        wire = size_bytes * bus_factor(operation, float(ranks))
        return np.asarray(hops * _HOP_S + wire / (_HOP_EFFICIENCY * self.scale_up))

    def _inside(self, operation: Operation, ranks: int, size_bytes: Array) -> Array:
        measured = min((n for n in _MEASURED if n >= ranks), default=_MEASURED[-1])
        wire = size_bytes * bus_factor(operation, float(ranks)) * self.wire_factor
        times = []
        for framework in ("nccl", self.kernels.framework):
            kernel = f"n{measured}"
            if framework == "nccl" or self.kernels.has(operation, kernel, framework):
                found = self.kernels.get(operation, ExchangeCoefficients, kernel=kernel, framework=framework)
                times.append(calibrated_s(size_bytes, wire, self.scale_up, found))
        best = np.asarray(np.min(np.stack(times), axis=0))
        # Latency grows with the logarithm of the group beyond the largest measured one.
        return best + max(math.log2(ranks / measured), 0.0) * 3e-6

    def _across(self, operation: Operation, groups: int, size_bytes: Array) -> Array:
        """Between domains: NCCL's latency, the network's bandwidth."""
        found = self.kernels.get(operation, ExchangeCoefficients, kernel="n8", framework="nccl")
        wire = size_bytes * bus_factor(operation, float(groups)) * self.wire_factor
        return calibrated_s(size_bytes, wire, self.scale_out, found)


def add_collectives(
    parts: Parts,
    placed: Sequence[Placed],
    model: Model,
    sharding: Sharding,
    links: Links,
    precision: Precision,
) -> None:
    """Add the collectives of a step.

    Without attention groups every chip has all tokens: experts are computed where they lie and one all-reduce adds up
    their outputs and those of shared experts; nothing is dispatched.

    Args:
        parts: where they go.
        placed: operators of the step on the grid.
        model: the model.
        sharding: layout of the stage.
        links: links and coefficients.
        precision: formats.
    """
    gathered = sharding.ep > 1 and sharding.dp_attention == 1
    for index, one in enumerate(placed):
        operator = one.operator
        if not isinstance(operator, Exchange) or operator.ranks <= 1:
            continue
        rows = np.broadcast_to(operator.rows, (parts.size,))
        size = BYTES * rows * operator.width
        if operator.name in ("dispatch", "combine"):
            if not gathered:
                _add_expert_exchange(parts, one.count, operator, sharding, links, precision, model)
            elif operator.name == "combine" and not _reduced_next(placed, index):
                size = size * sharding.tp
                _add_collective(parts, one.count, "all_reduce", sharding.tp, size, links)
        elif gathered and operator.ranks == sharding.expert_tp and _inside_experts(placed, index):
            continue
        else:
            _add_collective(parts, one.count, operator.name, operator.ranks, size, links)


def _reduced_next(placed: Sequence[Placed], index: int) -> bool:
    following = placed[index + 1].operator if index + 1 < len(placed) else None
    return isinstance(following, Exchange) and following.name == "all_reduce"


def _inside_experts(placed: Sequence[Placed], index: int) -> bool:
    following = placed[index + 1].operator if index + 1 < len(placed) else None
    return isinstance(following, Exchange) and following.name == "combine"


def _add_collective(parts: Parts, count: int, name: str, ranks: int, size: Array, links: Links) -> None:
    operation: Operation = {"all_gather": "all_gather", "reduce_scatter": "reduce_scatter"}.get(
        name, "all_reduce"
    )  # type: ignore[assignment]
    whole = size * ranks if operation == "all_gather" else size
    time = np.where(size > 0.0, links.collective_s(operation, ranks, whole), 0.0)
    parts.add(name, count * time, 0.0, 0.0, count * whole * bus_factor(operation, float(ranks)))


def _add_expert_exchange(
    parts: Parts,
    count: int,
    operator: Exchange,
    sharding: Sharding,
    links: Links,
    precision: Precision,
    model: Model,
) -> None:
    """Add a dispatch or combine: the fastest of what the engine has for that many ranks."""
    rows = np.broadcast_to(operator.rows, (parts.size,))
    dispatch = operator.name == "dispatch"
    domain = links.kernels.chip.domain
    ranks = sharding.ep
    element = number_format(precision.experts).activation_bytes if dispatch else BYTES
    distinct = float(
        expected_distinct_groups(
            min(ranks, model.experts_per_layer), model.experts_per_layer, operator.copies
        )
    )
    times = []
    nodes = -(-ranks // min(domain, _SERVER)) if domain > 1 else ranks
    if ranks <= domain:
        times += _inside_domain(rows, operator, ranks, distinct, links, precision, dispatch)
    if ranks > domain or (ranks > 1 and not times):
        times += _between_nodes(rows, operator, nodes, distinct, links, dispatch)
    if ranks <= min(domain, _SERVER) and sharding.dp_attention > 1:
        operation: Operation = "all_gather" if dispatch else "reduce_scatter"
        whole = BYTES * rows * operator.width * ranks
        times.append(links.collective_s(operation, ranks, whole))
    wire = message_bytes(rows, operator.width, distinct, element) * (1.0 - 1.0 / ranks)
    time = np.where(rows > 0.0, np.min(np.stack(times), axis=0), 0.0)
    parts.add(operator.name, count * time, 0.0, 0.0, count * wire, exchange=True)


def _inside_domain(
    rows: Array,
    operator: Exchange,
    ranks: int,
    distinct: float,
    links: Links,
    precision: Precision,
    dispatch: bool,
) -> list[Array]:
    """Exchange over the scale-up network: NVLink kernels measured on GB200, DeepEP inside a node."""
    kernels = links.kernels
    name = f"expert_{operator.name}"
    times: list[Array] = []
    form = {"nvfp4": "nvfp4", "fp8": "fp8", "fp8_block": "fp8"}.get(precision.experts, "bfloat16")
    size = min((n for n in _NVLINK_RANKS if n >= ranks), default=_NVLINK_RANKS[-1])
    kernel = f"ep{size}_{form}"
    if kernels.has(name, kernel, "nvlink_two_sided"):
        width = number_format(precision.experts).activation_bytes if dispatch else BYTES
        sent = message_bytes(rows, operator.width, distinct, width)
        found = kernels.get(name, ExchangeCoefficients, kernel=kernel, framework="nvlink_two_sided")
        times.append(calibrated_s(sent, sent, links.scale_up, found))
    if ranks <= _SERVER and kernels.has(name, "nodes1", "deepep_ll"):
        found = kernels.get(name, ExchangeCoefficients, kernel="nodes1", framework="deepep_ll")
        sent = message_bytes(rows, operator.width, operator.copies, 1.0 if dispatch else BYTES)
        times.append(calibrated_s(sent, sent, links.scale_up, found))
    return times


def _between_nodes(
    rows: Array, operator: Exchange, nodes: int, distinct: float, links: Links, dispatch: bool
) -> list[Array]:
    """Exchange over the network: DeepEP's low-latency kernels for decode, its normal ones for prefill."""
    kernels = links.kernels
    measured = min((n for n in _NODES if n >= nodes), default=_NODES[-1])
    link = links.scale_out if measured > 1 else links.scale_up
    width = 1.0 if dispatch else BYTES
    name = f"expert_{operator.name}"
    if links.prefill:
        found = kernels.get(name, ExchangeCoefficients, kernel=f"nodes{measured}", framework="deepep_normal")
        sent = message_bytes(rows, operator.width, distinct, width)
        return [calibrated_s(sent, sent, link, found, EXCHANGE_PROCESSORS)]
    found = kernels.get(name, ExchangeCoefficients, kernel=f"nodes{measured}", framework="deepep_ll")
    sent = message_bytes(rows, operator.width, operator.copies, width)
    return [calibrated_s(sent, sent, link, found)]
