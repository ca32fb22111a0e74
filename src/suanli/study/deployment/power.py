"""Power of a deployment's accelerators and of its servers at the wall, with bands from rows that were left out."""

from __future__ import annotations

from suanli.catalog import Catalog
from suanli.catalog.calibration import FILE, calibration_records
from suanli.hardware.coefficients import CoefficientTable
from suanli.hardware.power import (
    Activity,
    accelerator_power_w,
)
from suanli.hardware.power_server import ServerCoefficients, server_power
from suanli.serving.accelerator import Accelerator
from suanli.serving.chip_power import ChipLaw, chip_law
from suanli.study.deployment.request import Interval

# One network card an accelerator, as in the catalogue's assumptions, and two for the host's own networks per server.
HOST_NICS = 2
SERVER_CHIPS = 8


class PowerModel:
    """Power laws of chips, read once from the catalogue's power table and kept by chip."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._table = CoefficientTable(calibration_records(FILE.with_name("power_model.csv")))
        self._chips: dict[str, ChipLaw] = {}
        server = self._table.coefficients("server_power", "*", "nvidia-hgx")
        self._server = server.into(ServerCoefficients)
        self._server_error = max(server.band - 1.0, 0.0)

    def chip(self, chip: Accelerator) -> ChipLaw:
        """Return the power law of a chip.

        Raises:
            NoDataError: its TDP is not on record.
        """
        if chip.id not in self._chips:
            known = chip.id in self._catalog.table("chips")
            idle = self._catalog.get("chips", chip.id, "idle_power") if known else None
            self._chips[chip.id] = chip_law(chip, self._table, None if idle is None else idle.si)
        return self._chips[chip.id]

    def chips_w(
        self, chip: Accelerator, activity: Activity, n_chips: int, limit_w: float | None = None
    ) -> Interval:
        """Return the mean power of all accelerators together, with its 90 % band [W].

        Args:
            chip: the accelerator.
            activity: shares of its peaks.
            n_chips: how many [1].
            limit_w: power limit of each; None: TDP [W].

        Raises:
            InputError: the limit is not above idle power.
        """
        known = self.chip(chip)
        top_w = known.tdp_w if limit_w is None else min(known.tdp_w, limit_w)
        value = float(accelerator_power_w(activity, known.law, limit_w))
        low = max(value / (1.0 + known.error), known.idle_w)
        high = min(value * (1.0 + known.error), top_w)
        return Interval(n_chips * value, n_chips * min(low, value), n_chips * max(high, value))

    def wall_w(self, chip: Accelerator, chips_w: Interval, n_chips: int) -> Interval:
        """Return the power at the AC input of the air-cooled servers that hold the accelerators [W].

        The host's share goes with the accelerators, so four chips of an eight-way server count half of it.
        """
        tdp_w = self.chip(chip).tdp_w
        nics = n_chips * (1.0 + HOST_NICS / SERVER_CHIPS)
        walls = [
            float(server_power(total / n_chips, n_chips, tdp_w, nics, self._server).wall_w)
            for total in (chips_w.value, chips_w.low, chips_w.high)
        ]
        return Interval(
            walls[0], walls[1] / (1.0 + self._server_error), walls[2] * (1.0 + self._server_error)
        )
