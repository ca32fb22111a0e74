"""The scenario: one section a layer. A field that is left out is taken from the catalogue's assumptions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from suanli import units
from suanli.errors import UnitError


def quantity(unit: str) -> BeforeValidator:
    """Accept "35 kW" or a number in `unit`; the field holds coherent units."""

    def read(value: Any) -> float:
        if not isinstance(value, str | int | float):
            raise ValueError(f'expected a quantity such as "1 {unit}"')
        try:
            return units.parse(value, unit)
        except UnitError as error:  # pydantic collects ValueErrors only
            raise ValueError(str(error)) from None

    return BeforeValidator(read, json_schema_input_type=str | float)


def written(unit: str) -> PlainSerializer:
    """Write a quantity back as a scenario file would, so that a saved scenario reads to the same numbers."""

    def write(value: float | None) -> str | float | None:
        if value is None:
            return None
        number = float(f"{value / units.to_si(1.0, unit):.12g}")
        return number if unit in ("1", "tok") else f"{number:.12g} {unit}"

    return PlainSerializer(write)


Share = Annotated[float, quantity("1"), written("1"), Field(ge=0, le=1)]
Fraction = Annotated[float, quantity("1"), written("1"), Field(gt=0, le=1)]
Count = Annotated[float, quantity("1"), written("1"), Field(gt=0)]
Factor = Annotated[float, quantity("1"), written("1"), Field(ge=1)]
Tokens = Annotated[float, quantity("tok"), written("tok"), Field(gt=0)]
Seconds = Annotated[float, quantity("s"), written("s"), Field(gt=0)]
Watts = Annotated[float, quantity("W"), written("W"), Field(gt=0)]
Money = Annotated[float, quantity("USD"), written("USD"), Field(ge=0)]
Size = Annotated[int, Field(ge=1)]
Copies = Annotated[int, Field(ge=0)]
Dtype = Literal["native", "fp32", "bf16", "fp16", "fp8", "int8", "fp4", "nvfp4", "mxfp4", "int4"]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Demand(Section):
    """Tokens per day that the service answers."""

    input_tokens_per_day: Tokens
    output_tokens_per_day: Tokens
    cache_hit_share: Share = 0.0
    mean_context_tokens: Tokens | None = None
    mean_input_tokens: Tokens | None = None
    mean_output_tokens: Tokens | None = None
    peak_to_mean: Factor | None = None

    @model_validator(mode="after")
    def _lengths(self) -> Demand:
        if self.mean_context_tokens is None and self.mean_input_tokens is None:
            raise ValueError("give mean_context_tokens (mean KV length while decoding) or mean_input_tokens")
        ratio = self.output_tokens_per_day / self.input_tokens_per_day
        prompt = self.mean_input_tokens or (self.mean_context_tokens or 0.0) / (1.0 + 0.5 * ratio)
        answer = self.mean_output_tokens
        if answer is not None and abs(answer / (prompt * ratio) - 1.0) > 0.01:
            raise ValueError(
                f"mean_output_tokens = {answer:g} contradicts the totals of the day, which make the mean answer "
                f"{prompt * ratio:.4g} tokens; leave it out or mend the totals"
            )
        return self


class Llm(Section):
    """The model and the number formats it runs in."""

    id: str
    weights_dtype: Dtype = "native"
    kv_dtype: Literal["bf16", "fp16", "fp8", "int8", "fp4"] = "bf16"
    mtp: bool = False
    mtp_acceptance: Share | None = None


class Pool(Section):
    """One kind of serving unit: how many chips act as one replica and how the model is split over them."""

    chips: Size
    tp: Size = 1
    ep: Size = 1
    redundant_experts: Copies | None = None

    @model_validator(mode="after")
    def _layout(self) -> Pool:
        if self.chips % self.tp:
            raise ValueError(f"tp = {self.tp} does not divide chips = {self.chips}")
        if self.ep > self.chips:
            raise ValueError(f"ep = {self.ep} is more than chips = {self.chips}")
        return self


class Slo(Section):
    """Service-level objectives: mean time per output token and time to first token."""

    tpot: Seconds | None = None
    ttft: Seconds | None = None

    @field_validator("tpot", mode="before")
    @classmethod
    def _unit_of_tpot(cls, value: Any) -> Any:
        # "20" without a unit means 20 s by the field's contract, but nobody asks for a token in 20 s.
        try:
            bare = None if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            return value
        if bare is not None and bare > 1.0:
            raise ValueError(f'{bare:g} without a unit is {bare:g} s a token; did you mean "{bare:g} ms"?')
        return value


class Serving(Section):
    """Chips, layout and objectives of the serving fleet."""

    chip: str
    system: str | None = None
    mode: Literal["aggregated", "disaggregated"] = "aggregated"
    replica: Pool | None = None
    prefill: Pool | None = None
    decode: Pool | None = None
    slo: Slo = Slo()
    framework: str = "*"
    method: Literal["steady", "simulate"] = "steady"
    batch_per_chip: Count | None = None
    prefill_load_factor: Fraction | None = None
    decode_load_factor: Fraction | None = None
    expert_imbalance: Factor | None = None

    @model_validator(mode="after")
    def _pools(self) -> Serving:
        if self.mode == "disaggregated" and not (self.prefill and self.decode):
            raise ValueError('mode "disaggregated" needs prefill = { chips, ep } and decode = { chips, ep }')
        if self.mode == "disaggregated" and self.replica:
            raise ValueError('replica belongs to mode "aggregated"; give prefill and decode')
        if self.mode == "aggregated" and not self.replica:
            raise ValueError('mode "aggregated" needs replica = { chips, tp, ep }')
        if self.mode == "aggregated" and (self.prefill or self.decode):
            raise ValueError('prefill and decode belong to mode "disaggregated"; give replica')
        return self


class Fleet(Section):
    """The fleet; left empty it is derived from demand and capacity."""

    nodes: Count | None = None


class Network(Section):
    """The scale-out fabric between systems."""

    switch: str | None = None
    link: str | None = None
    max_tiers: Literal[1, 2, 3, 4] | None = None
    oversubscription: Factor = 1.0
    ports_per_chip: Count | None = None


class Power(Section):
    """The electrical chain from grid to server."""

    chain: str = "ups-double-conversion"
    redundancy: str | None = None


class Cooling(Section):
    """The cooling system."""

    system: str = "cold-plate"


class Site(Section):
    """Where the fleet stands."""

    id: str
    electricity_price: Annotated[float, quantity("USD/kWh"), written("USD/kWh"), Field(ge=0)] | None = None
    grid_carbon: Annotated[float, quantity("kg/kWh"), written("kg/kWh"), Field(ge=0)] | None = None


class Price(Section):
    """What users pay per token."""

    input_hit: Annotated[float, quantity("USD/Mtok"), written("USD/Mtok"), Field(ge=0)]
    input_miss: Annotated[float, quantity("USD/Mtok"), written("USD/Mtok"), Field(ge=0)]
    output: Annotated[float, quantity("USD/Mtok"), written("USD/Mtok"), Field(ge=0)]


class Economics(Section):
    """Money: rent or own, prices, rates and lives."""

    rent: Annotated[float, quantity("USD/h"), written("USD/h"), Field(gt=0)] | None = None
    price: Price | None = None
    server_price: Annotated[float, quantity("USD"), written("USD"), Field(gt=0)] | None = None
    discount_rate: Share | None = None
    server_life: Seconds | None = None
    horizon: Seconds | None = None

    @field_validator("horizon")
    @classmethod
    def _whole_years(cls, value: float | None) -> float | None:
        years = None if value is None else value / units.to_si(1.0, "year")
        if years is not None and (years < 0.5 or abs(years - round(years)) > 0.01):
            raise ValueError(f"{years:.3g} years: cash flows are yearly; give whole years")
        return value


class Uncertainty(Section):
    """How bands are computed."""

    draws: Annotated[int, Field(ge=0, le=100_000)] = 256
    seed: Annotated[int, Field(ge=0)] = 20250228


class Published(Section):
    """Figures that somebody reported for this case, printed beside ours; never an input of the calculation."""

    source: str
    figures: dict[str, float]


class Scenario(Section):
    """A plan: demand, model, fleet, facility and money."""

    name: str
    description: str = ""
    demand: Demand
    llm: Llm
    serving: Serving
    fleet: Fleet = Fleet()
    network: Network = Network()
    power: Power = Power()
    cooling: Cooling = Cooling()
    site: Site
    economics: Economics = Economics()
    uncertainty: Uncertainty = Uncertainty()
    published: Published | None = None
    variants: dict[str, dict[str, Any]] = {}
