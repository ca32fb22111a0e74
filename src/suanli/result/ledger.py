"""The ledger: every value of a run by name, in the order it was made, each with formula, inputs and source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from suanli import units
from suanli.errors import UnknownIdError
from suanli.result.draws import Draws, Samples, band
from suanli.result.metrics import metrics
from suanli.result.value import Basis, Value


class CatalogueRow(Protocol):  # suanli.catalog.Fact is one
    """What the ledger needs of a catalogue row."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def number(self) -> float: ...  # noqa: D102
    @property
    def si(self) -> float: ...  # noqa: D102
    @property
    def band(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def band_si(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def locator(self) -> str: ...  # noqa: D102
    @property
    def as_of(self) -> str: ...  # noqa: D102
    @property
    def grade(self) -> str: ...  # noqa: D102


class Ledger:
    """Collects the values of one run. The chain writes it; layers never see it."""

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        self.warnings: list[str] = []
        self._values: dict[str, Value] = {}
        self._samples: dict[str, Samples | float] = {}

    def given(self, name: str, value: float, unit: str = "1", origin: str = "scenario") -> float:
        """Record a number that the user gave, in coherent units; return it."""
        self._put(Value(name, value, unit, value, value, "given", origin=origin), value)
        return value

    def label(self, name: str, text: str, origin: str = "scenario", *, grade: str = "") -> None:
        """Record a value that is not a number: an id, a mode. With a grade it is a catalogue entry."""
        basis: Basis = "catalogue" if grade else "given"
        self._put(Value(name, None, basis=basis, origin=origin, grade=grade, text=text), float("nan"))

    def fact(self, name: str, row: CatalogueRow) -> Samples | float:
        """Record a catalogue row under `name`; return its samples in coherent units."""
        low, high = row.band
        origin = " | ".join(part for part in (row.name, row.source, row.locator, row.as_of) if part)
        samples = self.draws.of(row.name, row.si, *row.band_si)
        self._put(
            Value(name, row.number, row.unit or "1", low, high, "catalogue", origin=origin, grade=row.grade),
            samples,
        )
        return samples

    def derive(
        self,
        name: str,
        samples: Samples | float,
        *,
        formula: str = "",
        inputs: tuple[str, ...] = (),
        missing: str = "not a number for these inputs",
    ) -> None:
        """Record a derived metric; formula and inputs come from metrics.csv unless given here.

        Where the nominal value is not a number, it is unavailable for the reason that an input is, else `missing`.
        """
        metric = metrics()[name]
        nominal, low, high = band(samples)
        names = inputs or metric.inputs
        used = tuple(
            key.rstrip("?") for key in names if not key.endswith("?") or key.rstrip("?") in self._values
        )
        if np.isnan(nominal):
            unknown = [self._values[key] for key in used if key in self._values]
            reasons = [value.reason for value in unknown if value.basis == "unavailable"]
            self.unavailable(name, reasons[0] if reasons else missing)
            return
        text = formula or metric.formula
        self._put(Value(name, nominal, metric.unit, low, high, "derived", text, used), samples)

    def unavailable(self, name: str, reason: str) -> None:
        """Record that a metric is not known, and why."""
        unit = metrics()[name].unit
        self._put(Value(name, None, unit, basis="unavailable", reason=reason), float("nan"))

    def warn(self, message: str) -> None:
        """Add a line for the user: something that he should know about these numbers."""
        if message not in self.warnings:
            self.warnings.append(message)

    def samples(self, name: str) -> Samples | float:
        """Return the samples of a recorded value in coherent units.

        Raises:
            UnknownIdError: no such value.
        """
        if name not in self._samples:
            raise UnknownIdError("value", name, self._values)
        return self._samples[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> Value:
        if name not in self._values:
            raise UnknownIdError("value", name, self._values, see="suanli explain RUN")
        return self._values[name]

    def __iter__(self) -> Iterator[Value]:
        return iter(self._values.values())

    def _put(self, value: Value, samples: Samples | float) -> None:
        units.unit(value.unit)
        self._values[value.name] = value
        self._samples[value.name] = samples
