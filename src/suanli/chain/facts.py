"""Read catalogue facts into the ledger and build the layers' dataclasses from them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.catalog import Catalog
from suanli.errors import InputError
from suanli.hardware import Chip, System, systems_per_rack
from suanli.result.draws import Samples
from suanli.result.ledger import Ledger
from suanli.serving import Accelerator, accelerator

Num = float | NDArray[np.float64]

_RACK_SCALE = 32  # chips: a system from this size on fills racks of its own


class Facts:
    """Catalogue access that records every row it hands out, under the name by which the formulas know it."""

    def __init__(self, catalog: Catalog, ledger: Ledger) -> None:
        self.catalog = catalog
        self.ledger = ledger

    def number(self, name: str, table: str, key: str, parameter: str) -> Samples | float:
        """Return the samples of a fact that must exist.

        Raises:
            NoDataError: the catalogue has no adopted value.
        """
        return self.ledger.fact(name, self.catalog.fact(table, key, parameter))

    def maybe(self, name: str, table: str, key: str, parameter: str) -> Samples | float | None:
        """Return the samples of a fact, or None where the catalogue has none."""
        row = self.catalog.get(table, key, parameter)
        return None if row is None else self.ledger.fact(name, row)

    def assume(
        self, layer: str, parameter: str, given: float | None = None, unit: str = "1"
    ) -> Samples | float:
        """Return what the scenario gives, else the catalogue's assumption, under "layer.parameter"."""
        if given is not None:
            return self.ledger.given(f"{layer}.{parameter}", given, unit)
        return self.number(f"{layer}.{parameter}", "assumptions", layer, parameter)

    def text(self, table: str, key: str, parameter: str) -> str | None:
        """Return a fact that is text, or None."""
        row = self.catalog.get(table, key, parameter)
        return None if row is None else row.value

    def chip(self, name: str) -> Chip:
        """Build a chip from its datasheet rows.

        Raises:
            NoDataError: no memory, bandwidth or power on record.
        """
        key = self.catalog.resolve("chips", name)
        peaks: dict[str, Num] = {}
        for row in self.catalog.rows("chips", key):
            dtype = row.parameter.removeprefix("peak_")
            if row.status == "adopted" and dtype in _PEAKS and row.parameter.startswith("peak_"):
                peaks[dtype] = self.ledger.fact(f"chip.{row.parameter}", row)
        domain = self.maybe("chip.scale_up_domain", "chips", key, "scale_up_domain")
        up = self.maybe("chip.scale_up_bandwidth", "chips", key, "scale_up_bandwidth_per_direction")
        if up is None:
            up = self.assume("hardware", "host_link_bandwidth")
        self.maybe("chip.sm_count", "chips", key, "sm_count")
        self.maybe("chip.l2_cache", "chips", key, "l2_cache")
        out = self.maybe("chip.scale_out_bandwidth", "chips", key, "scale_out_bandwidth")
        if out is None:
            out = self.assume("network", "scale_out_bandwidth")
        return Chip(
            id=key,
            peak_flop_per_s=peaks,
            memory_bytes=self.number("chip.memory_capacity", "chips", key, "memory_capacity"),
            bandwidth_bytes_per_s=self.number("chip.memory_bandwidth", "chips", key, "memory_bandwidth"),
            scale_up_bytes_per_s=up,
            scale_out_bytes_per_s=out,
            scale_up_domain=int(_nominal(domain)) if domain is not None else 1,
            tdp_w=self.number("chip.tdp", "chips", key, "tdp"),
        )

    def accelerator(self, chip: Chip) -> Accelerator:
        """Build the same chip as the operator model sees it, at nominal values.

        Raises:
            NoDataError: no peak of 16 bits or more, no memory or no bandwidth on record.
        """
        return accelerator(chip.id, self.catalog.numbers("chips", chip.id))

    def system_id(self, chip: str, given: str | None) -> str:
        """Return the system to buy: the one given, else the first of the catalogue that is built on the chip.

        Raises:
            InputError: no system on record has this chip, or the one given has another.
        """
        built = [
            key
            for key in self.catalog.ids("systems")
            if self.text("systems", key, "accelerator") == chip
            and self.catalog.get("systems", key, "chips") is not None
        ]
        if given is None:
            if built:
                return built[0]
            raise InputError(
                f"serving.system: no system in the catalogue is built on {chip}; give serving.system"
            )
        key = self.catalog.resolve("systems", given)
        other = self.text("systems", key, "accelerator")
        if other not in (None, chip):
            hint = f"; built on {chip}: {', '.join(built[:3])}" if built else ""
            raise InputError(f"serving.system: {key} is built on {other}, not on {chip}{hint}")
        return key

    def system(self, key: str, chip: Chip) -> System:
        """Build a system; where its power is not published it is its chips' TDP plus the usual overhead a chip."""
        chips = int(_nominal(self.number("system.chips", "systems", key, "chips")))
        power = self.maybe("system.power_max", "systems", key, "power_max")
        if power is None:
            overhead = self.assume("hardware", "system_overhead_per_chip")
            power = chips * (chip.tdp_w + overhead)
            self.ledger.derive("system.power", power)
            self.ledger.warn(f"{key} has no published power: TDP plus a usual overhead a chip is used.")
        racks = self.maybe("system.racks", "systems", key, "racks")
        if racks is None and chips >= _RACK_SCALE:
            racks = 1.0
        if racks is None:
            height = self.maybe("system.height", "systems", key, "height")
            height = self.assume("hardware", "system_height") if height is None else height
            limit, room = self.assume("hardware", "rack_power"), self.assume("hardware", "rack_height")
            fit = systems_per_rack(_nominal(power), _nominal(height), _nominal(limit), _nominal(room))
            racks = 1.0 / float(fit)
        return System(id=key, chips=chips, power_max_w=power, racks=racks)

    def mapping(self, prefix: str, table: str, key: str, parameters: Iterable[str]) -> dict[str, Num]:
        """Return {parameter: samples in coherent units} of an entry's adopted facts among `parameters`."""
        found: dict[str, Num] = {}
        for parameter in parameters:
            row = self.catalog.get(table, key, parameter)
            if row is not None:
                found[parameter] = self.ledger.fact(f"{prefix}.{parameter}", row)
        return found

    def parameters(self, table: str, key: str) -> list[str]:
        """Return the parameters of an entry that have an adopted row."""
        return [row.parameter for row in self.catalog.rows(table, key) if row.status == "adopted"]


_PEAKS = frozenset({"fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "fp6", "fp4", "int8", "int4"})


def _nominal(samples: ArrayLike) -> float:
    return float(np.asarray(samples, dtype=float).reshape(-1)[0])
