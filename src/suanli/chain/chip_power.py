"""Power of the accelerators from what the serving phases use of them, recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suanli.catalog.calibration import FILE, calibration_records
from suanli.chain.engines import model_error, nominal
from suanli.chain.facts import Facts
from suanli.hardware.coefficients import CoefficientTable
from suanli.hardware.power import Activity, accelerator_power_w, activity_share
from suanli.serving.chip_power import chip_law

if TYPE_CHECKING:
    from suanli.chain.tokens import Service

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChipPower:
    """Where the power of a chip lies between idle (0) and TDP (1) in each phase, and idle power over TDP [1]."""

    prefill_share: Array
    decode_share: Array
    idle_share: Num


def chip_power(facts: Facts, service: Service) -> ChipPower:
    """Record the power of a chip that idles, computes prompts and decodes; return it as shares.

    Reference: `hardware.power.accelerator_power_w`, calibrated in power_model.csv.
    """
    book, chip = facts.ledger, service.chip
    row = facts.catalog.get("chips", chip.id, "idle_power")
    found = chip_law(
        service.accelerator,
        CoefficientTable(calibration_records(FILE.with_name("power_model.csv"))),
        None if row is None else row.si,
    )
    if row is not None:
        facts.number("chip.idle_power", "chips", chip.id, "idle_power")
    law, tdp = found.law, nominal(chip.tdp_w)
    idle = nominal(law.idle_w)
    grade = "A" if found.basis == "calibrated" else "C"
    error = model_error(
        facts,
        "power.chip_model_error",
        f"power_model/{found.basis}/p90_error",
        1.0 + found.error,
        grade,
        f"power model: {found.basis}",
    )
    book.derive("power.chip_idle", idle)
    shares = {}
    for phase, activity in (("prefill", service.prefill_activity), ("decode", service.decode_activity)):
        watts = np.clip(accelerator_power_w(_plain(activity), law) * error, idle, tdp)
        book.derive(f"power.chip_{phase}", watts)
        shares[phase] = np.asarray(activity_share(watts, law))
    return ChipPower(shares["prefill"], shares["decode"], idle / tdp)


def _plain(activity: Activity) -> Activity:
    """The same with draws that do not exist (no batch fits) idle, as those of the fleet are left out, too."""
    return Activity(
        *(np.nan_to_num(getattr(activity, name)) for name in ("compute", "memory", "link", "busy"))
    )
