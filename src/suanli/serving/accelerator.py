"""An accelerator as the estimate needs it: operators' view, memory, links, domain, power; built from plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from suanli.errors import NoDataError
from suanli.hardware.coefficients import OperatorChip

# PCIe Gen4 x16, one direction: the link between chips that have no scale-up network.
HOST_LINK_BYTES_PER_S = 32e9
HOST_LINK_GEN5_BYTES_PER_S = 64e9
_GEFORCE_50 = ("nvidia-rtx-506", "nvidia-rtx-507", "nvidia-rtx-508", "nvidia-rtx-509")
_GEN5 = ("nvidia-rtx-pro-6000", "nvidia-rtx-6000d", "nvidia-h100-pcie", *_GEFORCE_50)
# Chips whose scale-up network is a ring or torus without switches: collectives go round it, hop by hop.
_RINGS = ("aws-inferentia", "aws-trainium1", "aws-trainium2", "google-tpu")
# 400 Gbit/s a chip: the usual scale-out port of an accelerator whose network is not on record.
NETWORK_BYTES_PER_S = 50e9
# Device memory is sold in "GB" of 2**30 bytes: the driver of an "80 GB" H100 shows 81,559 MiB (aiconfigurator's system
# files: 80 GiB, 141 GiB, 180 GiB). The 288 GB of B300 and GB300 are decimal: the driver shows 275,040 MiB.
_BINARY_GB = 2.0**30 / 1e9
_DECIMAL_GB = ("nvidia-b300", "nvidia-gb300")
# Chips whose two dies have a memory and a rank each (Huawei CloudMatrix384, arXiv 2506.12708; AMD CDNA 2 white paper).
_TWO_RANKS = ("huawei-ascend-910c", "huawei-atlas-300i-duo", "amd-mi250", "amd-mi250x")
# Machines that hold a model in on-chip memory and pass tokens through it: no step that reads weights from memory.
_DATAFLOW = ("cerebras", "groq", "tesla-d1")
_PEAKS = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "fp6", "fp4", "int8", "int4")
# Architecture families with measured kernels, by the start of the catalogue id; the longest match wins.
_FAMILIES = {
    "nvidia-a100": "ampere",
    "nvidia-a800": "ampere",
    "nvidia-a30": "ampere",
    "nvidia-h": "hopper",
    "nvidia-gh200": "hopper",
    "nvidia-b": "blackwell",
    "nvidia-gb": "blackwell",
    "nvidia-gb10": "",
    "nvidia-rtx-pro-6000": "blackwell",
    **dict.fromkeys(_GEFORCE_50, "blackwell"),
    "nvidia-rtx-6000d": "blackwell",
    # Boards with graphics memory run the kernels that were measured on the L40S.
    "nvidia-l": "ada",
    "nvidia-rtx": "ada",
    "nvidia-a10": "ada",
    "nvidia-a40": "ada",
}


# Single-thread speed of the CPUs that came with Hopper over those that came with Ampere (Zen 2 at 3.3 GHz against
# Golden Cove at 3.8 GHz; own estimate): how much slower the older hosts launch kernels.
_HOST_SLOWNESS = {"ampere": 1.5}


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A chip with everything that a deployment on it needs.

    Attributes:
        id: catalogue id.
        family: architecture family of the calibration table; "" for a family without measured kernels.
        operators: peaks, bandwidth, processors and links as operators see them.
        memory_bytes: device memory that the driver shows [byte].
        domain: chips that the scale-up network joins [1].
        tdp_w: thermal design power [W]; None where unknown.
        hops: whether collectives go hop by hop: over PCIe, or round a ring or torus without switches.
        ranks: ranks that software sees in a chip: 2 where its dies do not share a memory [1].
    """

    id: str
    family: str
    operators: OperatorChip
    memory_bytes: float
    domain: int
    tdp_w: float | None = None
    hops: bool = False
    ranks: int = 1

    @property
    def host_slowness(self) -> float:
        """Time that the chip's usual host needs for a launch, over that of a Hopper server's host [1]."""
        return _HOST_SLOWNESS.get(self.family, 1.0)


def chip_family(chip: str) -> str:
    """Return the architecture family of a catalogue id, "" where no chip of its family was measured."""
    found = [start for start in _FAMILIES if chip.startswith(start)]
    return _FAMILIES[max(found, key=len)] if found else ""


def accelerator(chip: str, facts: Mapping[str, float], family: str | None = None) -> Accelerator:
    """Build an accelerator from the numbers of its datasheet.

    Args:
        chip: catalogue id or any name.
        facts: {parameter: value in SI} with the catalogue's names: peak_bf16 ... [FLOP/s], memory_capacity [byte],
            memory_bandwidth [byte/s], sm_count [1], l2_cache [byte], scale_up_bandwidth_per_direction [byte/s],
            scale_up_domain [1], scale_out_bandwidth [byte/s], tdp [W]. Only the first three are needed.
        family: architecture family; from the id where None.

    Returns:
        The accelerator; without a scale-up network its chips talk over PCIe, without a known port over 400 Gbit/s.

    Raises:
        NoDataError: no peak of 16 bits or more, no memory or no bandwidth, or a machine of another kind.
    """
    if chip.startswith(_DATAFLOW):
        raise NoDataError(
            f"{chip} passes tokens through weights in on-chip memory; the operator laws here are of chips that read "
            "weights from memory at every step, so there is no estimate for it"
        )
    peaks = {name: facts[f"peak_{name}"] for name in _PEAKS if f"peak_{name}" in facts}
    missing = [name for name in ("memory_capacity", "memory_bandwidth") if name not in facts]
    if not {"bf16", "fp16", "fp32"} & set(peaks):
        missing.append("peak_bf16")
    if missing:
        raise NoDataError(f"{chip}: the catalogue lacks {', '.join(missing)}; add them with --catalog DIR")
    if "bf16" not in peaks and "fp16" not in peaks:
        peaks["fp16"] = peaks["fp32"]
    link = facts.get("scale_up_bandwidth_per_direction")
    operators = OperatorChip(
        peak_flop_per_s=peaks,
        memory_bandwidth_bytes_per_s=facts["memory_bandwidth"],
        sm_count=facts.get("sm_count"),
        l2_bytes=facts.get("l2_cache", 0.0),
        link_bytes_per_s=_host_link(chip) if link is None else link,
        network_bytes_per_s=facts.get("scale_out_bandwidth", NETWORK_BYTES_PER_S),
    )
    return Accelerator(
        id=chip,
        family=chip_family(chip) if family is None else family,
        operators=operators,
        memory_bytes=facts["memory_capacity"] * (1.0 if chip.startswith(_DECIMAL_GB) else _BINARY_GB),
        domain=max(int(facts.get("scale_up_domain", 1.0)), 1),
        tdp_w=facts.get("tdp"),
        hops=link is None or chip.startswith(_RINGS),
        ranks=2 if chip in _TWO_RANKS else 1,
    )


def _host_link(chip: str) -> float:
    return HOST_LINK_GEN5_BYTES_PER_S if chip.startswith(_GEN5) else HOST_LINK_BYTES_PER_S


def rank_of(chip: Accelerator) -> Accelerator:
    """Return one rank of a chip as an accelerator of its own: its share of peaks, bandwidths, memory and power."""
    if chip.ranks == 1:
        return chip
    whole, share = chip.operators, 1.0 / chip.ranks

    def part(value: ArrayLike | None) -> ArrayLike | None:
        return None if value is None else np.asarray(value, dtype=float) * share

    operators = OperatorChip(
        peak_flop_per_s={name: np.asarray(peak) * share for name, peak in whole.peak_flop_per_s.items()},
        memory_bandwidth_bytes_per_s=np.asarray(whole.memory_bandwidth_bytes_per_s) * share,
        sm_count=part(whole.sm_count),
        l2_bytes=np.asarray(whole.l2_bytes) * share,
        link_bytes_per_s=part(whole.link_bytes_per_s),
        network_bytes_per_s=part(whole.network_bytes_per_s),
    )
    return Accelerator(
        id=chip.id,
        family=chip.family,
        operators=operators,
        memory_bytes=chip.memory_bytes * share,
        domain=chip.domain * chip.ranks,
        hops=chip.hops,
        tdp_w=None if chip.tdp_w is None else chip.tdp_w * share,
    )
