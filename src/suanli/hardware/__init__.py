"""Hardware: chips and their operator time, systems and their power."""

from suanli.hardware.chip import Chip, roofline_s
from suanli.hardware.system import System, system_power_w, systems_per_rack

__all__ = ["Chip", "System", "roofline_s", "system_power_w", "systems_per_rack"]
