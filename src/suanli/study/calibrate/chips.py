"""The chips whose kernels were measured: their name in the data, their catalogue id and their family."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from suanli.catalog import Catalog
from suanli.hardware.coefficients import OperatorChip

# PCIe Gen4 x16, one direction: the link between chips where there is no scale-up network (aiconfigurator l40s.yaml).
_HOST_LINK_BYTES_PER_S = 32e9
_PEAKS = ("bf16", "fp16", "fp8", "fp4", "int8")


@dataclass(frozen=True, slots=True)
class Profiled:
    """A chip with measured kernels: folder name in the data, catalogue id, family, chips per server."""

    folder: str
    id: str
    family: str
    node: int


PROFILED = (
    Profiled("a100_sxm", "nvidia-a100-sxm-80gb", "ampere", 8),
    Profiled("h100_sxm", "nvidia-h100-sxm", "hopper", 8),
    Profiled("h200_sxm", "nvidia-h200-sxm", "hopper", 8),
    Profiled("b200_sxm", "nvidia-b200-sxm", "blackwell", 8),
    Profiled("gb200", "nvidia-gb200", "blackwell", 4),
    Profiled("l40s", "nvidia-l40s", "ada", 8),
)


@lru_cache(maxsize=64)
def operator_chip(chip_id: str) -> OperatorChip:
    """Return a catalogue chip as operators see it: adopted dense peaks, bandwidth, SM count and L2.

    Raises:
        NoDataError: the catalogue lacks its bandwidth.
        UnknownIdError: no such chip.
    """
    catalog = Catalog()
    peaks = {}
    for name in _PEAKS:
        fact = catalog.get("chips", chip_id, f"peak_{name}")
        if fact is not None:
            peaks[name] = fact.si
    sms = catalog.get("chips", chip_id, "sm_count")
    cache = catalog.get("chips", chip_id, "l2_cache")
    link = catalog.get("chips", chip_id, "scale_up_bandwidth_per_direction")
    network = catalog.get("chips", chip_id, "scale_out_bandwidth")
    return OperatorChip(
        peak_flop_per_s=peaks,
        memory_bandwidth_bytes_per_s=catalog.fact("chips", chip_id, "memory_bandwidth").si,
        sm_count=sms.si if sms is not None else None,
        l2_bytes=cache.si if cache is not None else 0.0,
        link_bytes_per_s=link.si if link is not None else _HOST_LINK_BYTES_PER_S,
        network_bytes_per_s=network.si if network is not None else None,
    )
