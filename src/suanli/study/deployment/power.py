"""Power of a deployment's accelerators and of its servers at the wall, with bands from rows that were left out."""

from __future__ import annotations

from dataclasses import replace

from suanli.catalog import Catalog
from suanli.catalog.calibration import FILE, calibration_records
from suanli.errors import NoDataError
from suanli.hardware.coefficients import CoefficientTable
from suanli.hardware.power import (
    Activity,
    accelerator_power_w,
)
from suanli.hardware.power_server import ServerCoefficients, server_power
from suanli.serving.accelerator import Accelerator
from suanli.serving.chip_power import ChipLaw, chip_law
from suanli.study.deployment.rent import system_share
from suanli.study.deployment.request import Interval

# One network card an accelerator, as in the catalogue's assumptions, and two for the host's own networks per server.
HOST_NICS = 2
SERVER_CHIPS = 8
# Cards below this have servers of their own, small ones: no host of an eight-way server of 700 W chips is theirs.
SMALL_CARD_W = 150.0


class PowerModel:
    """Power laws of chips, read once from the catalogue's power table and kept by chip."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._table = CoefficientTable(calibration_records(FILE.with_name("power_model.csv")))
        self._chips: dict[str, ChipLaw] = {}
        self._hosts: dict[str, float] = {}
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

        Args:
            chip: the accelerator.
            chips_w: power of all of them [W].
            n_chips: how many [1].

        Raises:
            NoDataError: it is a device, around which there is no server; or its TDP is not on record.
        """
        share, tdp_w = self.host_share(chip), self.chip(chip).tdp_w
        nics = n_chips * (1.0 + HOST_NICS / SERVER_CHIPS) * share
        server = replace(self._server, host_w_per_chip=self._server.host_w_per_chip * share)
        walls = [
            float(server_power(total / n_chips, n_chips, tdp_w, nics, server).wall_w)
            for total in (chips_w.value, chips_w.low, chips_w.high)
        ]
        return Interval(
            walls[0], walls[1] / (1.0 + self._server_error), walls[2] * (1.0 + self._server_error)
        )

    def host_share(self, chip: Accelerator) -> float:
        """Return the host that goes with a chip over that of the eight-way server that was fitted [1].

        1 for chips that are built or linked into systems of eight and more. For others, and for small cards, rated
        power of the smallest system by chip (else 1.8 TDP, the catalogue's usual overhead) less TDP, over the 575 W of
        that server.

        Args:
            chip: the accelerator.

        Raises:
            NoDataError: it is a device, around which there is no server; or its TDP is not on record.
        """
        if chip.id in self._catalog.table("devices"):
            raise NoDataError(
                f"{chip.id} is a device whose power is of its package; what surrounds it is not on record"
            )
        if chip.id not in self._hosts:
            self._hosts[chip.id] = self._host_share(chip)
        return self._hosts[chip.id]

    def _host_share(self, chip: Accelerator) -> float:
        tdp_w, rated = self.chip(chip).tdp_w, system_share(self._catalog, chip.id, "power_max")
        built = system_share(self._catalog, chip.id, "chips", largest=True)
        together = max(chip.domain, 1 if built is None else built[2])
        if together >= SERVER_CHIPS and tdp_w >= SMALL_CARD_W:
            return 1.0
        usual = self._catalog.fact("systems", "generic-8gpu-server", "power_overhead_share").si
        rest_w = usual * tdp_w if rated is None else max(rated[1] - tdp_w, 0.0)
        return min(rest_w / self._catalog.fact("assumptions", "hardware", "system_overhead_per_chip").si, 1.0)
