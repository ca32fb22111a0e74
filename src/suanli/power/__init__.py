"""Power: grid to chip. Converters by load, chains of them, redundancy and ride-through."""

from suanli.power.backup import (
    RideThrough,
    capacitance_f,
    capacitor_energy_j,
    hold_up_s,
    ride_through,
    voltage_floor_v,
)
from suanli.power.chain import (
    ChainFlow,
    GridToChip,
    SizedStage,
    StageFlow,
    grid_to_chip,
    rebase_it_w,
    size_stages,
    walk,
    with_redundancy,
)
from suanli.power.converter import (
    Converter,
    QuadraticLoss,
    TabulatedLoss,
    converter_from_facts,
    efficiency,
    input_w,
    loss_w,
    output_w,
    parameters_used,
)
from suanli.power.redundancy import availability, needed_of_installed, unit_load_max
from suanli.power.topologies import CHAINS, MECHANICAL_FEED, Chain, Stage, find_chain

__all__ = [
    "CHAINS",
    "MECHANICAL_FEED",
    "Chain",
    "ChainFlow",
    "Converter",
    "GridToChip",
    "QuadraticLoss",
    "RideThrough",
    "SizedStage",
    "Stage",
    "StageFlow",
    "TabulatedLoss",
    "availability",
    "capacitance_f",
    "capacitor_energy_j",
    "converter_from_facts",
    "efficiency",
    "find_chain",
    "grid_to_chip",
    "hold_up_s",
    "input_w",
    "loss_w",
    "needed_of_installed",
    "output_w",
    "parameters_used",
    "rebase_it_w",
    "ride_through",
    "size_stages",
    "unit_load_max",
    "voltage_floor_v",
    "walk",
    "with_redundancy",
]
