"""Backup: enough energy to ride through from the loss of the grid to a running generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RideThrough:
    """The three tiers of a ride-through.

    Attributes:
        duration_s: time to bridge: generator start, transfer and margin [s].
        capacitor_j: energy at the load that capacitors give until the battery answers [J].
        battery_j: energy to store in the battery, losses, depth of discharge and rate limit counted [J].
        generator_w: rated power of the generators [W].
    """

    duration_s: Array
    capacitor_j: Array
    battery_j: Array
    generator_w: Array


def ride_through(
    load_w: ArrayLike,
    *,
    generator_start_s: ArrayLike = 10.0,
    transfer_s: ArrayLike = 0.0,
    margin_s: ArrayLike = 0.0,
    battery_response_s: ArrayLike = 0.0,
    battery_efficiency: ArrayLike = 1.0,
    depth_of_discharge: ArrayLike = 1.0,
    discharge_rate_per_s: ArrayLike = np.inf,
    generator_margin: ArrayLike = 0.0,
) -> RideThrough:
    """Size capacitors, battery and generators for a load.

    t = start + transfer + margin; E_cap = P t_response;
    E_battery = max(P (t - t_response) / (eta DoD), P / (eta r)), r the largest discharge power over energy.

    Args:
        load_w: P, the load that must not fall [W].
        generator_start_s: start command to acceptable power (10 s is NFPA 110 Type 10) [s].
        transfer_s: transfer switch and ramp of the load [s].
        margin_s: safety margin, such as a second start attempt [s].
        battery_response_s: time until the battery carries the load [s].
        battery_efficiency: eta, one way, battery to load [1].
        depth_of_discharge: DoD, share of the stored energy that may be used [1].
        discharge_rate_per_s: r, largest power over stored energy [1/s]; 6C is 6/3600.
        generator_margin: spare over the load [1].

    Returns:
        Time, energies and generator rating.
    """
    load = np.asarray(load_w, dtype=float)
    waits = (generator_start_s, transfer_s, margin_s)
    duration = sum((np.asarray(wait, dtype=float) for wait in waits), np.zeros(()))
    response = np.minimum(np.asarray(battery_response_s, dtype=float), duration)
    drawn = load / np.asarray(battery_efficiency, dtype=float)
    by_energy = drawn * (duration - response) / np.asarray(depth_of_discharge, dtype=float)
    by_power = drawn / np.asarray(discharge_rate_per_s, dtype=float)
    return RideThrough(
        duration_s=np.asarray(duration),
        capacitor_j=np.asarray(load * response),
        battery_j=np.asarray(np.maximum(by_energy, by_power)),
        generator_w=np.asarray(load * (1.0 + np.asarray(generator_margin))),
    )


def capacitor_energy_j(capacitance_f: ArrayLike, voltage_v: ArrayLike, voltage_min_v: ArrayLike) -> Array:
    """Energy of a capacitor between two voltages [J]: E = C (V0^2 - Vmin^2) / 2, of C [F], V0, Vmin [V]."""
    high, low = np.asarray(voltage_v, dtype=float), np.asarray(voltage_min_v, dtype=float)
    return np.asarray(0.5 * np.asarray(capacitance_f) * (high**2 - low**2))


def capacitance_f(energy_j: ArrayLike, voltage_v: ArrayLike, voltage_min_v: ArrayLike) -> Array:
    """Capacitance that holds an energy between two voltages [F]: C = 2 E / (V0^2 - Vmin^2), of [J], [V]."""
    high, low = np.asarray(voltage_v, dtype=float), np.asarray(voltage_min_v, dtype=float)
    return np.asarray(2.0 * np.asarray(energy_j) / (high**2 - low**2))


def voltage_floor_v(power_w: ArrayLike, resistance_ohm: ArrayLike) -> Array:
    """Lowest open voltage at which a source still delivers a constant power: V = 2 sqrt(P ESR).

    Args:
        power_w: P, constant power at the terminals [W].
        resistance_ohm: ESR, series resistance of the capacitors [Ohm].

    Returns:
        Voltage [V].
    """
    return np.asarray(2.0 * np.sqrt(np.asarray(power_w, dtype=float) * resistance_ohm))


def hold_up_s(
    power_w: ArrayLike,
    capacitance_farad: ArrayLike,
    voltage_v: ArrayLike,
    voltage_min_v: ArrayLike,
    *,
    resistance_ohm: ArrayLike = 0.0,
    efficiency: ArrayLike = 1.0,
) -> Array:
    """Time for which capacitors carry a constant power: t = eta E / P.

    The energy E reaches down to the higher of Vmin and 2 sqrt(P ESR).

    Args:
        power_w: P, the load [W].
        capacitance_farad: C [F].
        voltage_v: V0, charged voltage [V].
        voltage_min_v: Vmin, lowest voltage that the converter accepts [V].
        resistance_ohm: ESR [Ohm].
        efficiency: eta, of the converter behind the capacitors [1].

    Returns:
        Time [s]; 0 where the power cannot be drawn at all.
    """
    floor = np.maximum(np.asarray(voltage_min_v, dtype=float), voltage_floor_v(power_w, resistance_ohm))
    energy = np.maximum(capacitor_energy_j(capacitance_farad, voltage_v, floor), 0.0)
    return np.asarray(energy * efficiency / np.asarray(power_w, dtype=float))
