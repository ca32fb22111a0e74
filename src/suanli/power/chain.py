"""Walk a chain from the load up to the grid: each stage carries what the next one draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.power.converter import Converter, input_w, output_w
from suanli.power.redundancy import unit_load_max
from suanli.power.topologies import Chain, Stage

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SizedStage:
    """A stage with its converter and the capacity that is installed [W]."""

    stage: Stage
    converter: Converter
    rated_w: ArrayLike


@dataclass(frozen=True, slots=True)
class StageFlow:
    """What one stage carries: power delivered, drawn and lost [W], and its load fraction [1]."""

    name: str
    converter: str
    indoor: bool
    output_w: Array
    input_w: Array
    loss_w: Array
    load_fraction: Array


@dataclass(frozen=True, slots=True)
class ChainFlow:
    """Flow through a chain, stages ordered from the grid downwards; powers in W."""

    stages: tuple[StageFlow, ...]
    load_w: Array
    source_w: Array

    @property
    def loss_w(self) -> Array:
        """Loss of all stages [W]."""
        return np.asarray(self.source_w - self.load_w)

    @property
    def indoor_loss_w(self) -> Array:
        """Loss that heats the halls [W]."""
        return np.asarray(
            sum((flow.loss_w for flow in self.stages if flow.indoor), np.zeros_like(self.load_w))
        )

    @property
    def efficiency(self) -> Array:
        """Load over source [1]; 0 at no load."""
        drawn = self.source_w > 0.0
        return np.asarray(np.where(drawn, self.load_w / np.where(drawn, self.source_w, 1.0), 0.0))


@dataclass(frozen=True, slots=True)
class GridToChip:
    """Efficiencies at one load [1], and the powers between them [W]."""

    facility_efficiency: Array
    server_efficiency: Array
    efficiency: Array
    chip_w: Array
    server_w: Array
    grid_w: Array


def size_stages(
    stages: Sequence[Stage],
    converters: Mapping[str, Converter],
    design_w: ArrayLike,
    headroom: ArrayLike = 1.0,
) -> tuple[SizedStage, ...]:
    """Install capacity for a design load: rating = design output x headroom x installed / needed.

    Capacity is continuous, not a whole number of units: a site holds many.

    Args:
        stages: from the source downwards.
        converters: catalogue id -> converter.
        design_w: largest load at the end of the chain [W].
        headroom: installed over needed beyond redundancy [1].

    Returns:
        The stages with their installed capacity [W].

    Raises:
        InputError: a converter is missing.
    """
    sized: list[SizedStage] = []
    output = np.asarray(design_w, dtype=float)
    for stage in reversed(stages):
        if stage.converter not in converters:
            raise InputError(f'power chain: stage "{stage.name}" needs converter "{stage.converter}"')
        converter = converters[stage.converter]
        rated = output * headroom / unit_load_max(stage.redundancy)
        sized.append(SizedStage(stage, converter, rated))
        output = input_w(converter, output, rated)
    return tuple(reversed(sized))


def walk(stages: Sequence[SizedStage], load_w: ArrayLike) -> ChainFlow:
    """Carry a load up to the source; the output of a stage is the input of the next one down.

    Args:
        stages: sized stages, from the source downwards.
        load_w: power at the end of the chain [W]; broadcasts with ratings and samples.

    Returns:
        What each stage delivers, draws and loses [W].
    """
    output = np.asarray(load_w, dtype=float)
    flows: list[StageFlow] = []
    for sized in reversed(stages):
        drawn = input_w(sized.converter, output, sized.rated_w)
        stage, fraction = sized.stage, output / np.asarray(sized.rated_w)
        flows.append(
            StageFlow(
                stage.name,
                sized.converter.name,
                stage.indoor,
                output,
                drawn,
                drawn - output,
                np.asarray(fraction),
            )
        )
        output = drawn
    return ChainFlow(tuple(reversed(flows)), np.asarray(load_w, dtype=float), output)


def grid_to_chip(
    chain: Chain,
    converters: Mapping[str, Converter],
    load_fraction: ArrayLike,
    headroom: ArrayLike = 1.0,
    design_chip_w: float = 1e6,
) -> GridToChip:
    """Efficiency from grid to chip at a share of the design load.

    All of the server's power is taken to be the chips'; what fans and hosts draw leaves the chain earlier.

    Args:
        chain: the chain.
        converters: catalogue id -> converter.
        load_fraction: chip power over design chip power [1].
        headroom: installed over needed beyond redundancy [1].
        design_chip_w: design chip power; efficiencies do not depend on it [W].

    Returns:
        Efficiencies [1] and powers [W].

    Raises:
        InputError: a converter is missing.
    """
    server = size_stages(chain.server, converters, design_chip_w, headroom)
    facility = size_stages(chain.facility, converters, walk(server, design_chip_w).source_w, headroom)
    inner = walk(server, np.asarray(load_fraction, dtype=float) * design_chip_w)
    outer = walk(facility, inner.source_w)
    return GridToChip(
        facility_efficiency=outer.efficiency,
        server_efficiency=inner.efficiency,
        efficiency=np.asarray(outer.efficiency * inner.efficiency),
        chip_w=inner.load_w,
        server_w=inner.source_w,
        grid_w=outer.source_w,
    )


def rebase_it_w(
    chain: Chain,
    reference: Chain,
    converters: Mapping[str, Converter],
    it_w: ArrayLike,
    it_design_w: ArrayLike,
) -> Array:
    """IT power at this chain's server input, from IT power measured with another chain's power supply.

    A nameplate or a wall-plug measurement is AC power and holds the loss of the AC power supply. A rack fed
    with 800 V DC has a DC/DC stage there instead: P = P_dcdc(P_54V), P_54V what the reference's supply
    delivers.

    Args:
        chain: the chain that feeds the servers.
        reference: the chain whose power supply `it_w` was measured with.
        converters: catalogue id -> converter.
        it_w: IT power at the reference's server input [W].
        it_design_w: largest such power [W].

    Returns:
        IT power at the server input of `chain` [W]; `it_w` itself where both have the same supply.

    Raises:
        InputError: a converter is missing.
    """
    old, new = reference.server[0], chain.server[0]
    if (old.converter, old.redundancy) == (new.converter, new.redundancy):
        return np.asarray(it_w, dtype=float)
    for stage in (old, new):
        if stage.converter not in converters:
            raise InputError(f'power chain: stage "{stage.name}" needs converter "{stage.converter}"')
    supply, design = converters[old.converter], np.asarray(it_design_w, dtype=float)
    rated_old = design / unit_load_max(old.redundancy)
    rated_new = output_w(supply, design, rated_old) / unit_load_max(new.redundancy)
    return input_w(converters[new.converter], output_w(supply, it_w, rated_old), rated_new)


def with_redundancy(chain: Chain, scheme: str) -> Chain:
    """Return the chain with another scheme at the stages of the facility that have spares.

    Raises:
        InputError: not a scheme.
    """
    unit_load_max(scheme)
    facility = tuple(
        stage if stage.redundancy == "N" else replace(stage, redundancy=scheme) for stage in chain.facility
    )
    return replace(chain, facility=facility)
