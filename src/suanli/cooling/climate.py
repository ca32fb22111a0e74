"""Representative hours: a year of weather from monthly normals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.cooling.air import (
    humidity_ratio_at,
    humidity_ratio_from_wet_bulb,
    pressure_pa,
    saturation_pressure_pa,
    vapour_pressure_pa,
    wet_bulb_c,
)
from suanli.errors import InputError

Array = NDArray[np.float64]

DAYS_PER_MONTH = (31.0, 28.25, 31.0, 30.0, 31.0, 30.0, 31.0, 31.0, 30.0, 31.0, 30.0, 31.0)
_WARMEST_HOUR = 15.0
# Three-point Gauss-Hermite rule for a normal distribution: offsets in standard deviations, weights.
_NORMAL = ((-(3.0**0.5), 1.0 / 6.0), (0.0, 2.0 / 3.0), (3.0**0.5, 1.0 / 6.0))


@dataclass(frozen=True, slots=True)
class Hours:
    """Weather at representative hours, hours on the last axis.

    Attributes:
        dry_bulb_c: outdoor air [C].
        wet_bulb_c: its thermodynamic wet bulb [C].
        duration_s: time that each hour stands for; sums to a year [s].
    """

    dry_bulb_c: Array
    wet_bulb_c: Array
    duration_s: Array


def representative_hours(
    dry_bulb_mean_c: ArrayLike,
    daily_range_k: ArrayLike,
    *,
    relative_humidity_mean: ArrayLike | None = None,
    wet_bulb_mean_c: ArrayLike | None = None,
    altitude_m: ArrayLike = 0.0,
    day_to_day_k: float = 0.0,
) -> Hours:
    """Twelve mean days of 24 hours: T = T_month + (R/2) cos(2 pi (h - 15)/24), humidity ratio constant over
    the day.

    The humidity ratio is that of the monthly means, capped at saturation hour by hour. With `day_to_day_k`
    every month has three days, at the mean and sqrt(3) standard deviations beside it (weights 1/6, 2/3,
    1/6), their relative humidity at the mean temperature kept: heat waves are then not averaged away.

    Args:
        dry_bulb_mean_c: monthly means, months on the last axis [C].
        daily_range_k: R, mean difference of a day's highest and lowest; one a year or one a month [K].
        relative_humidity_mean: monthly means [1]; used where no wet bulb is given.
        wet_bulb_mean_c: monthly means [C].
        altitude_m: height above the sea [m].
        day_to_day_k: standard deviation of a day's mean within its month [K].

    Returns:
        288 hours, or 864 with a day-to-day deviation.

    Raises:
        InputError: not twelve months, or neither relative humidity nor wet bulb.
    """
    mean = np.asarray(dry_bulb_mean_c, dtype=float)
    if mean.shape[-1:] != (12,):
        raise InputError(f"climate: give 12 monthly means on the last axis, not shape {mean.shape}")
    p = np.asarray(pressure_pa(altitude_m))[..., None]
    if wet_bulb_mean_c is not None:
        w = humidity_ratio_from_wet_bulb(mean, wet_bulb_mean_c, p)
        humidity = vapour_pressure_pa(w, p) / saturation_pressure_pa(mean)
    elif relative_humidity_mean is not None:
        humidity = np.asarray(relative_humidity_mean, dtype=float)
    else:
        raise InputError("climate: give monthly relative_humidity_mean or wet_bulb_mean_c")
    days = _NORMAL if day_to_day_k > 0.0 else ((0.0, 1.0),)
    shifted = np.stack([mean + offset * day_to_day_k for offset, _ in days], axis=-1)
    ratio = humidity_ratio_at(shifted, np.minimum(humidity, 1.0)[..., None], p[..., None])
    swing = np.cos(2.0 * np.pi * (np.arange(24.0) - _WARMEST_HOUR) / 24.0)
    span = np.asarray(daily_range_k, dtype=float)
    span = span[..., None] if span.ndim == 0 or span.shape[-1] != 12 else span
    dry = shifted[..., None] + 0.5 * span[..., None, None] * swing
    wet = wet_bulb_c(dry, ratio[..., None], p[..., None, None])
    weights = np.array([weight for _, weight in days])
    durations = np.asarray(DAYS_PER_MONTH)[:, None, None] * weights[:, None] * np.full(24, 3600.0)
    flat = (*dry.shape[:-3], -1)
    return Hours(dry.reshape(flat), np.broadcast_to(wet, dry.shape).reshape(flat), durations.reshape(-1))
