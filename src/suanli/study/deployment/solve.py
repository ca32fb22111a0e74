"""Answer deployment questions: names to catalogue rows, rows to an estimate, the estimate to power and money."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from suanli.catalog import Catalog, schema
from suanli.catalog.schema import stem
from suanli.errors import InfeasibleError, NoDataError, SuanliError
from suanli.hardware.power import Activity
from suanli.llm import Model, from_config
from suanli.serving.accelerator import Accelerator, accelerator
from suanli.study.deployment.power import PowerModel
from suanli.study.deployment.rent import HourlyCost, hourly_cost
from suanli.study.deployment.request import Answer, Interval, Request
from suanli.study.validate.names import chip_named, framework_named, model_named, weights_named

_SPEEDS = ("ttft_s", "tpot_s", "itl_s", "output_tokens_per_s", "input_tokens_per_s")


class Deployments:
    """Answers requests; keeps models, chips, prices and step tables, so that only the first costs time.

    Args:
        catalog: where names and facts come from; the package's own by default.
        tables: calibration rows; the catalogue's by default.
    """

    def __init__(self, catalog: Catalog | None = None, tables: Any = None) -> None:
        self.catalog = catalog or Catalog()
        self._tables = tables
        self._models: dict[str, tuple[Model, str | None, str]] = {}
        self._chips: dict[str, Accelerator] = {}
        self._costs: dict[str, HourlyCost | None] = {}
        self._power: PowerModel | None = None

    @property
    def tables(self) -> Any:
        """Calibration rows of operators and frameworks, read at the first use."""
        if self._tables is None:
            from suanli.serving.kernels import Coefficients

            self._tables = read_tables(Coefficients)
        return self._tables

    def model(self, name: str) -> tuple[Model, str | None, str]:
        """Return the model of a name, the weight format that the name implies, and the format it is published in."""
        if name not in self._models:
            if name.endswith(".json") and Path(name).is_file():
                config, implied = self.catalog.model(name), None
            else:
                named = model_named(self.catalog, name)
                config, implied = self.catalog.model(named.id), named.weights_dtype
            native = str(config.get("_suanli", {}).get("weights_dtype_native", ""))
            self._models[name] = (from_config(config, name), implied, native)
        return self._models[name]

    def chip(self, name: str) -> Accelerator:
        """Return the accelerator of a name, from the adopted facts of the catalogue."""
        if name not in self._chips:
            chip = chip_named(self.catalog, name)
            table = "chips" if chip in self.catalog.table("chips") else "devices"
            known = schema()[table]
            facts = {
                fact.parameter: fact.si
                for fact in reversed(self.catalog.rows(table, chip))
                if fact.status == "adopted"
                and (entry := known.get(stem(fact.parameter)))
                and entry.type == "number"
            }
            self._chips[name] = accelerator(chip, facts)
        return self._chips[name]

    def cost(self, chip: str) -> HourlyCost | None:
        """Return what a chip costs in use, None where nothing is on record."""
        if chip not in self._costs:
            self._costs[chip] = hourly_cost(self.catalog, chip)
        return self._costs[chip]

    def point(self, request: Request) -> Any:
        """Return the request as a `serving.Point`.

        Raises:
            UnknownIdError: no such model, chip or format.
            InputError: the model's config cannot be read.
            NoDataError: the catalogue lacks a fact of the chip.
        """
        from suanli.serving import Point

        model, implied, native = self.model(request.model)
        chip = self.chip(request.chip)
        label = request.weights_dtype or ""
        weights = "native" if label.lower() == "native" else weights_named(label, model.id, implied, native)
        shape = (request.tp or 1) * (request.pp or 1) * (request.dp or 1)
        return Point(
            model=model,
            chip=chip,
            n_chips=shape if request.n_chips is None else request.n_chips,
            tp=request.tp,
            pp=request.pp,
            dp=request.dp,
            ep=request.ep,
            weights_dtype=weights,
            kv_dtype=request.kv_dtype,
            framework=framework_named(request.framework),
            phase=request.phase,
            isl=request.isl,
            osl=request.osl,
            concurrency=request.concurrency,
            options=request.options,
        )

    def answer(self, request: Request) -> Answer:
        """Answer a request. Never raises: a question that cannot be answered has a status and a reason."""
        from suanli.serving import estimate

        try:
            point = self.point(request)
            found = estimate(point, self.tables)
            if found.status != "ok":
                return Answer(found.status, found.reason, estimate=found)
            return self._complete(point, found)
        except InfeasibleError as error:
            return Answer("infeasible", _line(error))
        except SuanliError as error:
            return Answer("unsupported", _line(error))
        except Exception as error:  # one row of a batch must not stop the others; it is reported as ours
            return Answer("unsupported", f"internal error ({type(error).__name__}: {error})", internal=True)

    def _complete(self, point: Any, found: Any) -> Answer:
        quantities = {
            name: Interval(float(band.value), float(band.low), float(band.high))
            for name in _SPEEDS
            if (band := getattr(found, name)) is not None
        }
        answer = Answer("ok", quantities=quantities, basis=found.basis, estimate=found)
        return self._with_money(self._with_power(answer, point, found), point)

    def _with_power(self, answer: Answer, point: Any, found: Any) -> Answer:
        if self._power is None:
            self._power = PowerModel(self.catalog)
        shares = found.utilisation
        try:
            activity = Activity(*(min(max(float(getattr(shares, name)), 0.0), 1.0) for name in _SHARES))
            power = self._power.chips_w(point.chip, activity, point.n_chips)
            wall = self._power.wall_w(point.chip, power, point.n_chips)
        except NoDataError as error:
            return replace(answer, unknown={**answer.unknown, "power_w": _line(error)})
        return replace(answer, quantities={**answer.quantities, "power_w": power}, power_wall_w=wall)

    def _with_money(self, answer: Answer, point: Any) -> Answer:
        rate, cost = answer.quantities.get("output_tokens_per_s"), self.cost(point.chip.id)
        if rate is None or point.phase == "prefill":
            return answer
        if cost is None:
            why = f"{point.chip.id}: neither a rent nor a price on record"
            return replace(answer, unknown={**answer.unknown, "usd_per_mtok_output": why})
        per_mtok = {
            end: getattr(cost.usd_per_s, end) * point.n_chips / getattr(rate, against) * 1e6
            for end, against in (("value", "value"), ("low", "high"), ("high", "low"))
        }
        return replace(answer, quantities={**answer.quantities, "usd_per_mtok_output": Interval(**per_mtok)})


_SHARES = ("compute", "memory", "link", "busy")


def read_tables(kind: Any) -> Any:
    """Read the calibration rows of the package."""
    from suanli.catalog.calibration import read_tables as read

    return read(kind)


def _line(error: Exception) -> str:
    return "; ".join(str(error).splitlines())
