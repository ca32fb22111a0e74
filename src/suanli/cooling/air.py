"""Moist air: saturation, humidity ratio, wet bulb and dew point, at any altitude.

Reference: ASHRAE Handbook of Fundamentals (2017) chapter 1, equations 3, 5, 6, 20, 33 and 35.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
_Law = Callable[[Array, Array, Array], Array]

KELVIN = 273.15
_RATIO = 0.621945  # molar mass of water over that of dry air
_ICE = (
    -5.6745359e3,
    6.3925247,
    -9.677843e-3,
    6.2215701e-7,
    2.0747825e-9,
    -9.484024e-13,
    4.1635019,
)
_WATER = (-5.8002206e3, 1.3914993, -4.8640239e-2, 4.1764768e-5, -1.4452093e-8, 6.5459673)


def pressure_pa(altitude_m: ArrayLike) -> Array:
    """Pressure of the standard atmosphere: 101325 (1 - 2.25577e-5 z)^5.2559. Takes z [m]; returns [Pa]."""
    return np.asarray(101325.0 * (1.0 - 2.25577e-5 * np.asarray(altitude_m, dtype=float)) ** 5.2559)


def saturation_pressure_pa(temperature_c: ArrayLike) -> Array:
    """Saturation pressure [Pa] at a temperature [C]: over ice below 0 C, else over water (Hyland, Wexler)."""
    t = np.asarray(temperature_c, dtype=float)
    ice = t < 0.0
    if not ice.any():
        return np.asarray(_over_water(t))
    if ice.all():
        return np.asarray(_over_ice(t))
    return np.asarray(np.where(ice, _over_ice(t), _over_water(t)))


def humidity_ratio(vapour_pressure_pa: ArrayLike, air_pressure_pa: ArrayLike) -> Array:
    """Water over dry air by mass: W = 0.621945 p_w / (p - p_w).

    Args:
        vapour_pressure_pa: p_w, partial pressure of water [Pa].
        air_pressure_pa: p, total pressure [Pa].

    Returns:
        W [kg/kg].
    """
    vapour = np.asarray(vapour_pressure_pa, dtype=float)
    return np.asarray(_RATIO * vapour / np.maximum(np.asarray(air_pressure_pa) - vapour, 1.0))


def vapour_pressure_pa(humidity: ArrayLike, air_pressure_pa: ArrayLike) -> Array:
    """Partial pressure of water [Pa] at a humidity ratio [kg/kg] and pressure [Pa]: p W / (0.621945 + W)."""
    w = np.asarray(humidity, dtype=float)
    return np.asarray(np.asarray(air_pressure_pa) * w / (_RATIO + w))


def humidity_ratio_at(
    temperature_c: ArrayLike, relative_humidity: ArrayLike, air_pressure_pa: ArrayLike
) -> Array:
    """Humidity ratio [kg/kg] of air at a temperature [C], relative humidity [1] and pressure [Pa]."""
    return humidity_ratio(
        saturation_pressure_pa(temperature_c) * np.asarray(relative_humidity), air_pressure_pa
    )


def humidity_ratio_from_wet_bulb(
    temperature_c: ArrayLike, wet_bulb_c: ArrayLike, air_pressure_pa: ArrayLike
) -> Array:
    """Humidity ratio of air from dry and wet bulb, the bulb iced below 0 C.

    Above freezing W = ((2501 - 2.326 t*) Ws* - 1.006 (t - t*)) / (2501 + 1.86 t - 4.186 t*), below
    W = ((2830 - 0.24 t*) Ws* - 1.006 (t - t*)) / (2830 + 1.86 t - 2.1 t*), at least 0.

    Args:
        temperature_c: t, dry bulb [C].
        wet_bulb_c: t*, thermodynamic wet bulb [C].
        air_pressure_pa: total pressure [Pa].

    Returns:
        W [kg/kg].
    """
    dry, wet, p = (np.asarray(x, dtype=float) for x in (temperature_c, wet_bulb_c, air_pressure_pa))
    return np.asarray(np.maximum(np.where(wet < 0.0, _iced(dry, wet, p), _wetted(dry, wet, p)), 0.0))


def wet_bulb_c(temperature_c: ArrayLike, humidity: ArrayLike, air_pressure_pa: ArrayLike) -> Array:
    """Thermodynamic wet bulb: the root t* of `humidity_ratio_from_wet_bulb`.

    The two branches (water, ice) leave a step of some 0.3 K at 0 C: air that is just too dry for a wet bulb
    of 0 C over water has its wet bulb below 0 C over ice. The branch is chosen first, then the root is
    bracketed between the dry bulb and 0 C (or far below) and found by Newton steps that fall back to
    bisection.

    Args:
        temperature_c: dry bulb [C].
        humidity: humidity ratio [kg/kg]; above saturation it is taken as saturated.
        air_pressure_pa: total pressure [Pa].

    Returns:
        Wet bulb [C], never above the dry bulb.
    """
    dry, w, p = np.broadcast_arrays(
        *(np.asarray(x, dtype=float) for x in (temperature_c, humidity, air_pressure_pa))
    )
    saturated = humidity_ratio(saturation_pressure_pa(dry), p)
    w = np.minimum(w, saturated)
    iced = (w < _wetted(dry, np.zeros_like(dry), p)) | (dry < 0.0)
    result = np.empty(dry.shape)
    for mask, law, floor in ((~iced, _wetted, 0.0), (iced, _iced, -90.0)):
        if mask.any():
            result[mask] = _root(law, dry[mask], w[mask], p[mask], floor)
    return result


def dew_point_c(vapour_pressure_pa: ArrayLike) -> Array:
    """Dew or frost point [C]: where the vapour pressure [Pa] is that of saturation; by bisection."""
    vapour = np.asarray(vapour_pressure_pa, dtype=float)
    low, high = np.full(vapour.shape, -100.0), np.full(vapour.shape, 150.0)
    for _ in range(50):
        middle = 0.5 * (low + high)
        below = saturation_pressure_pa(middle) < vapour
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(0.5 * (low + high))


def enthalpy_j_per_kg(temperature_c: ArrayLike, humidity: ArrayLike) -> Array:
    """Enthalpy per mass of dry air [J/kg]: 1006 t + W (2501000 + 1860 t), of [C] and [kg/kg]."""
    t = np.asarray(temperature_c, dtype=float)
    return np.asarray(1006.0 * t + np.asarray(humidity) * (2.501e6 + 1860.0 * t))


def volume_m3_per_kg(temperature_c: ArrayLike, humidity: ArrayLike, air_pressure_pa: ArrayLike) -> Array:
    """Volume per mass of dry air [m3/kg]: 287.042 T (1 + 1.607858 W) / p, of [C], [kg/kg] and [Pa]."""
    kelvin = np.asarray(temperature_c, dtype=float) + KELVIN
    return np.asarray(
        287.042 * kelvin * (1.0 + 1.607858 * np.asarray(humidity)) / np.asarray(air_pressure_pa)
    )


def _over_ice(t: Array) -> Array:
    k = t + KELVIN
    a, b, c, d, e, f, g = _ICE
    return np.asarray(np.exp(a / k + b + k * (c + k * (d + k * (e + k * f))) + g * np.log(k)))


def _over_water(t: Array) -> Array:
    k = t + KELVIN
    a, b, c, d, e, f = _WATER
    return np.asarray(np.exp(a / k + b + k * (c + k * (d + k * e)) + f * np.log(k)))


def _wetted(dry: Array, wet: Array, p: Array) -> Array:
    saturated = humidity_ratio(_over_water(wet), p)
    drop = 1.006 * (dry - wet)
    return np.asarray(((2501.0 - 2.326 * wet) * saturated - drop) / (2501.0 + 1.86 * dry - 4.186 * wet))


def _iced(dry: Array, wet: Array, p: Array) -> Array:
    saturated = humidity_ratio(_over_ice(wet), p)
    drop = 1.006 * (dry - wet)
    return np.asarray(((2830.0 - 0.24 * wet) * saturated - drop) / (2830.0 + 1.86 * dry - 2.1 * wet))


def _root(law: _Law, dry: Array, w: Array, p: Array, floor: float) -> Array:
    low, high = np.full(dry.shape, floor), np.maximum(dry if law is _wetted else np.minimum(dry, 0.0), floor)
    wet = high
    for _ in range(60):
        error = law(dry, wet, p) - w
        low, high = np.where(error < 0.0, wet, low), np.where(error < 0.0, high, wet)
        # The slope need not be exact (Clausius-Clapeyron, L/R = 5417 K or 6140 K): it only sets the pace.
        pace = (5417.0 if law is _wetted else 6140.0) / (wet + KELVIN) ** 2
        step = error / (4.05e-4 + pace * np.maximum(w + 4.0e-4 * (dry - wet), 1e-6))
        newton = wet - step
        better = np.where((newton > low) & (newton < high), newton, 0.5 * (low + high))
        moved = float(np.max(np.abs(better - wet), initial=0.0))
        wet = better
        if moved < 1e-7:
            break
    return wet
