"""The power law of an accelerator, from its datasheet and the calibrated coefficients of its family."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suanli.errors import NoDataError
from suanli.hardware.coefficients import CoefficientTable
from suanli.hardware.power import AcceleratorPower, PowerCoefficients, accelerator_power
from suanli.serving.accelerator import Accelerator


@dataclass(frozen=True, slots=True)
class ChipLaw:
    """A chip's power law.

    Attributes:
        law: power against activity.
        tdp_w: thermal design power [W].
        idle_w: power with nothing running [W].
        error: relative error that nine of ten left-out rows kept [1].
        basis: "calibrated", "family" or "datasheet".
    """

    law: AcceleratorPower
    tdp_w: float
    idle_w: float
    error: float
    basis: str


def chip_law(chip: Accelerator, table: CoefficientTable, idle_w: float | None = None) -> ChipLaw:
    """Return the power law of a chip.

    Args:
        chip: the accelerator.
        table: rows of the power model.
        idle_w: its idle power; None: the family's share of TDP [W].

    Raises:
        NoDataError: its TDP is not on record.
    """
    if chip.tdp_w is None:
        raise NoDataError(f"{chip.id}: no TDP on record")
    found = table.coefficients("power", chip.id, chip.family)
    peaks = chip.operators.peak_flop_per_s
    law = accelerator_power(
        found.into(PowerCoefficients),
        chip.tdp_w,
        peaks.get("bf16", peaks.get("fp16", 0.0)),
        chip.operators.memory_bandwidth_bytes_per_s,
        chip.operators.link_bytes_per_s,
        idle_w,
    )
    return ChipLaw(law, chip.tdp_w, float(np.asarray(law.idle_w)), max(found.band - 1.0, 0.0), found.basis)
