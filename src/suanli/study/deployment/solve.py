"""Answer deployment questions: names to catalogue rows, rows to an estimate, the estimate to power and money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suanli.catalog import Catalog
from suanli.catalog.calibration import read_tables
from suanli.errors import InfeasibleError, InputError, NoDataError, SuanliError
from suanli.hardware.power import Activity
from suanli.llm import Model, from_config
from suanli.llm.dtypes import stated
from suanli.serving.accelerator import Accelerator, accelerator
from suanli.serving.engine_names import framework_named
from suanli.study.deployment.power import PowerModel
from suanli.study.deployment.remarks import OWNED, context_remark
from suanli.study.deployment.rent import HourlyCost, hourly_cost
from suanli.study.deployment.request import Answer, Interval, Request
from suanli.study.validate.names import chip_named, model_named, weights_named, widened

if TYPE_CHECKING:
    from suanli.serving import Coefficients, Estimate, Point

_SPEEDS = ("ttft_s", "tpot_s", "itl_s", "output_tokens_per_s", "input_tokens_per_s")


class Deployments:
    """Answers requests; keeps models, chips, prices and step tables, so that only the first costs time.

    Args:
        catalog: where names and facts come from; the package's own by default.
        tables: calibration rows; the catalogue's by default.
    """

    def __init__(self, catalog: Catalog | None = None, tables: Coefficients | None = None) -> None:
        self.catalog = catalog or Catalog()
        self._tables = tables
        self._models: dict[str, tuple[Model, str | None, str]] = {}
        self._chips: dict[str, Accelerator] = {}
        self._costs: dict[str, HourlyCost | None] = {}
        self._power: PowerModel | None = None

    @property
    def tables(self) -> Coefficients:
        """Calibration rows of operators and frameworks, read at the first use."""
        if self._tables is None:
            from suanli.serving import Coefficients

            self._tables = read_tables(Coefficients, self.catalog.overlays)
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
            self._chips[name] = accelerator(chip, self.catalog.numbers(table, chip))
        return self._chips[name]

    def cost(self, chip: str) -> HourlyCost | None:
        """Return what a chip costs in use, None where nothing is on record."""
        if chip not in self._costs:
            self._costs[chip] = hourly_cost(self.catalog, chip)
        return self._costs[chip]

    def point(self, request: Request) -> Point:
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
        if not stated(label):
            weights = widened(weights, chip.operators.peak_flop_per_s)
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
            options={**_redundancy(model, request.ep), **request.options},
        )

    def answer(self, request: Request) -> Answer:
        """Answer a request. Never raises: a question that cannot be answered has a status and a reason."""
        return self.answers((request,))[0]

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer many requests, in their order; those of one layout share its step table. Never raises."""
        from suanli.serving import estimates

        found: dict[int, Answer] = {}
        points: dict[int, Point] = {}
        for at, request in enumerate(requests):
            try:
                points[at] = self.point(request)
            except InfeasibleError as error:
                found[at] = Answer("infeasible", _line(error))
            except SuanliError as error:
                found[at] = Answer("unsupported", _line(error))
        try:
            solved = estimates(list(points.values()), self.tables)
            for (at, point), estimate in zip(points.items(), solved, strict=True):
                found[at] = self._complete(point, estimate, requests[at])
        except SuanliError as error:
            found.update({at: Answer("unsupported", _line(error)) for at in points})
        except Exception as error:
            found.update(self._one_by_one(requests, points, error))
        return [found[at] for at in range(len(requests))]

    def _one_by_one(
        self, requests: Sequence[Request], points: Mapping[int, Point], error: Exception
    ) -> dict[int, Answer]:
        """A defect of ours must not stop a batch: find the row that has it and report it as such."""
        from suanli.serving import estimate

        if len(points) == 1:
            reason = f"internal error ({type(error).__name__}: {error})"
            return dict.fromkeys(points, Answer("unsupported", reason, internal=True))
        found = {}
        for at, point in points.items():
            try:
                solved = estimate(point, self.tables)
                found[at] = self._complete(point, solved, requests[at])
            except Exception as one:
                found.update(self._one_by_one(requests, {at: point}, one))
        return found

    def _complete(self, point: Point, found: Estimate, request: Request) -> Answer:
        if found.status != "ok":
            return Answer(found.status, found.reason, estimate=found)
        quantities = {
            name: Interval(float(band.value), float(band.low), float(band.high))
            for name in _SPEEDS
            if (band := getattr(found, name)) is not None
        }
        unknown: dict[str, str] = {}
        if point.phase == "mixed" and point.osl <= 1.0:
            # (end to end - TTFT)/(tokens - 1) is 0/0 there.
            for name in ("tpot_s", "itl_s"):
                quantities.pop(name, None)
                unknown[name] = "one output token has none after it"
        self._add_power(quantities, unknown, point, found, request.power_limit_w)
        basis = self._add_money(quantities, unknown, point)
        longest = point.isl + (point.osl if point.phase != "prefill" else 0.0)
        long = context_remark(request.model, point.model.context_length, longest)
        return Answer(
            "ok",
            quantities=quantities,
            basis=found.basis,
            unknown=unknown,
            estimate=found,
            price_basis=basis,
            remarks=(*((long,) if long else ()), *((OWNED,) if basis.startswith("owned") else ())),
        )

    @property
    def power(self) -> PowerModel:
        """Power laws of chips and servers."""
        if self._power is None:
            self._power = PowerModel(self.catalog)
        return self._power

    def wall_w(self, request: Request, answer: Answer) -> Interval | None:
        """Return the power at the AC input of the servers that hold an answered deployment, None where unknown [W].

        A device has no server around it: `no_wall` says so.
        """
        chips_w, chip = answer.quantities.get("power_w"), self.chip(request.chip)
        if chips_w is None or self.no_wall(chip):
            return None
        return self.power.wall_w(chip, chips_w, _chips(answer.estimate, chip))

    def no_wall(self, chip: Accelerator) -> str:
        """Say why the power of a chip's server is not known; "" where it is."""
        try:
            self.power.host_share(chip)
        except NoDataError as error:
            return _line(error)
        return ""

    def _add_power(
        self,
        quantities: dict[str, Interval],
        unknown: dict[str, str],
        point: Point,
        found: Estimate,
        limit_w: float | None,
    ) -> None:
        if found.utilisation is None:
            return
        try:
            activity = Activity(
                *(min(max(float(getattr(found.utilisation, name)), 0.0), 1.0) for name in _SHARES)
            )
            quantities["power_w"] = self.power.chips_w(
                point.chip, activity, _chips(found, point.chip), limit_w
            )
        except (NoDataError, InputError) as error:
            unknown["power_w"] = _line(error)

    def _add_money(self, quantities: dict[str, Interval], unknown: dict[str, str], point: Point) -> str:
        """Add the price of output tokens; return the basis of it."""
        rate, cost = quantities.get("output_tokens_per_s"), self.cost(point.chip.id)
        if rate is None:
            return ""
        if cost is None:
            unknown["usd_per_mtok_output"] = f"{point.chip.id}: neither a rent nor a price on record"
            return ""
        chips, rent = 1e6 * point.n_chips, cost.usd_per_s
        quantities["usd_per_mtok_output"] = Interval(
            rent.value * chips / rate.value, rent.low * chips / rate.high, rent.high * chips / rate.low
        )
        return cost.basis


def _redundancy(model: Model, ep: int | None) -> dict[str, float]:
    """Copies of experts that let the ranks hold equally many, as engines add them: 32 for 256 experts on 144 ranks."""
    experts = model.experts_per_layer
    copies = -experts % ep if ep and 1 < ep <= experts else 0
    return {"redundant_experts": float(copies)} if copies else {}


def _chips(found: Estimate, chip: Accelerator) -> int:
    """Chips that the deployment's replicas stand on; its layout counts ranks, of which a chip may hold two [1]."""
    placement = found.placement
    return placement.chips * placement.replicas // chip.ranks if placement is not None else 1


_SHARES = ("compute", "memory", "link", "busy")


def _line(error: Exception) -> str:
    return "; ".join(str(error).splitlines())
