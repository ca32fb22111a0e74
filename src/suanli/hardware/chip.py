"""An accelerator as its datasheet describes it, and the roofline that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InfeasibleError
from suanli.hardware.formats import number_format

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chip:
    """An accelerator. Peaks are dense; link bandwidths are per direction.

    Attributes:
        id: catalogue id.
        peak_flop_per_s: {number format: dense peak} [FLOP/s].
        memory_bytes: device memory [byte].
        bandwidth_bytes_per_s: device memory bandwidth [byte/s].
        scale_up_bytes_per_s: bandwidth to chips of the same supernode, one direction [byte/s]; None where it has none.
        scale_out_bytes_per_s: network bandwidth to other systems, one direction [byte/s]; None where unknown.
        scale_up_domain: chips that the scale-up network joins [1].
        tdp_w: thermal design power [W].
    """

    id: str
    peak_flop_per_s: Mapping[str, Num]
    memory_bytes: Num
    bandwidth_bytes_per_s: Num
    scale_up_bytes_per_s: Num | None
    scale_out_bytes_per_s: Num | None
    scale_up_domain: int
    tdp_w: Num

    def compute_dtype(self, dtype: str) -> str | None:
        """Return the peak ("fp8", "bf16", ...) that products in a format run at, or None where the chip cannot."""
        return next((peak for peak in number_format(dtype).peaks if peak in self.peak_flop_per_s), None)

    def peak(self, dtype: str) -> Array:
        """Return that peak [FLOP/s].

        Raises:
            InfeasibleError: the chip cannot compute in this format.
        """
        name = self.compute_dtype(dtype)
        if name is None:
            have = ", ".join(sorted(self.peak_flop_per_s)) or "none on record"
            raise InfeasibleError(f"{self.id} cannot compute in {dtype}; its peaks: {have}")
        return np.asarray(self.peak_flop_per_s[name], dtype=float)


def roofline_s(
    flops: ArrayLike,
    moved_bytes: ArrayLike,
    peak_flop_per_s: ArrayLike,
    bandwidth_bytes_per_s: ArrayLike,
    compute_efficiency: ArrayLike = 1.0,
    memory_efficiency: ArrayLike = 1.0,
) -> Array:
    """Time of work that computes and moves memory at the same time: t = max(F/(e_c P), B/(e_m W)).

    Args:
        flops: F, operations [FLOP].
        moved_bytes: B, bytes read and written [byte].
        peak_flop_per_s: P, peak rate [FLOP/s].
        bandwidth_bytes_per_s: W, memory bandwidth [byte/s].
        compute_efficiency: e_c, reachable share of the peak [1].
        memory_efficiency: e_m, reachable share of the bandwidth [1].

    Returns:
        Time [s], broadcast over the arguments.

    Reference:
        S. Williams, A. Waterman, D. Patterson, "Roofline", Communications of the ACM 52(4), 2009.
    """
    compute = np.asarray(flops, dtype=float) / (np.asarray(peak_flop_per_s) * compute_efficiency)
    memory = np.asarray(moved_bytes, dtype=float) / (np.asarray(bandwidth_bytes_per_s) * memory_efficiency)
    return np.maximum(compute, memory)
