"""What the reports say about links, power, cooling, prices and launches, against the layers that compute them."""

from __future__ import annotations

from collections.abc import Callable

from suanli.catalog import Catalog
from suanli.evidence.against_model.row import Comparison, Computed, UnavailableError, claimed
from suanli.evidence.claims import Registry

Compute = Callable[[Catalog, Registry], Computed]
_YEAR_H = 8760.0
_LOAD_FACTOR = 0.7
_RANGE = 0.15  # the middle of a printed range against its upper end


def _efficiency(catalog: Catalog, name: str) -> float:
    """Efficiency of a chain from grid to chip at the test load."""
    from suanli.power import converter_from_facts, find_chain, grid_to_chip, parameters_used

    chain = find_chain(name)
    converters = {}
    for key in chain.converters:
        adopted = {f.parameter: f for f in reversed(catalog.rows("converters", key)) if f.status == "adopted"}
        facts = {parameter: adopted[parameter].si for parameter in parameters_used(adopted)}
        converters[key] = converter_from_facts(key, facts)
    return float(grid_to_chip(chain, converters, _LOAD_FACTOR).efficiency)


def _gain_points(chain: str) -> Compute:
    def compute(catalog: Catalog, claims: Registry) -> Computed:
        gain = 100.0 * (_efficiency(catalog, chain) - _efficiency(catalog, "ups-double-conversion"))
        return Computed(
            gain, f"grid_to_chip of {chain} less that of ups-double-conversion at 70 % load, in points"
        )

    return compute


def _hvdc_saving(catalog: Catalog, claims: Registry) -> Computed:
    ups, dc = (1.0 / _efficiency(catalog, name) for name in ("ups-double-conversion", "hvdc-336v"))
    per_kw = (ups - dc) * _YEAR_H
    load = claimed(claims, "s000-hvdc-336-loss-saving") / per_kw
    raise UnavailableError(
        f"the report does not state the load; ours save {per_kw:.0f} kWh a year for a kW of chips, "
        f"so its figure is that of {load:.0f} kW"
    )


def _reach(kind: str, rate: str) -> Comparison:
    claim = f"s000-{kind}-reach-{rate}"

    def compute(catalog: Catalog, claims: Registry) -> Computed:
        fact = catalog.fact("links", f"{kind}-{rate}", "reach")
        return Computed(fact.si, f"{fact.name} ({fact.source}), what the choice of media uses")

    title = f"reach of {kind.upper()} at {rate.upper()}"
    return Comparison(
        f"{kind}-{rate}-reach", (claim,), title, "m", compute, reference=f"{claim}.high", tolerance=0.05
    )


def _pue(design: str) -> Compute:
    def compute(catalog: Catalog, claims: Registry) -> Computed:
        from suanli.chain import run
        from suanli.scenario import Scenario

        scenario = Scenario.model_validate(_site_of(design))
        value = run(scenario, catalog)["cooling.pue"].value
        if value is None:
            raise UnavailableError("the chain gave no PUE")
        return Computed(
            float(value), f"a year of {design} by the hour in Shanghai, 240 V DC, through the whole chain"
        )

    return compute


def _site_of(design: str) -> dict[str, object]:
    return {
        "name": f"{design} at a Chinese site",
        "demand": {
            "input_tokens_per_day": 1e11,
            "output_tokens_per_day": 3e10,
            "mean_context_tokens": 4096.0,
        },
        "llm": {"id": "qwen3-32b"},
        "serving": {"chip": "nvidia-h20-96gb", "slo": {"tpot": "50 ms"}, "replica": {"chips": 8, "tp": 8}},
        "power": {"chain": "hvdc-240v"},
        "cooling": {"system": design},
        "site": {"id": "shanghai"},
        "uncertainty": {"draws": 0},
    }


def _hollow_core(catalog: Catalog, claims: Registry) -> Computed:
    from suanli.network.media import FIBRE_LATENCY_S_PER_M

    fact = catalog.fact("links", "fibre-hollow-core", "latency_per_m")
    return Computed(
        100.0 * (1.0 - fact.si / FIBRE_LATENCY_S_PER_M), f"{fact.name} ({fact.source}) against 1.468/c"
    )


def _cpo_optics(catalog: Catalog, claims: Registry) -> Computed:
    packaged = catalog.fact("links", "cpo-1600g", "power_per_end")
    pluggable = catalog.fact("links", "optic-1600g-dr8-dsp", "power_per_end")
    saving = 100.0 * (1.0 - packaged.si / pluggable.si)
    return Computed(
        saving, f"{packaged.name} ({packaged.source}) against {pluggable.name} ({pluggable.source})"
    )


def _cpo_system(catalog: Catalog, claims: Registry) -> Computed:
    packaged = catalog.fact("switches", "broadcom-th6-davisson", "power_system")
    box = catalog.fact("switches", "generic-64x1600g-switch", "power_typical")
    module = catalog.fact("links", "optic-1600g-dr8-dsp", "power_per_end")
    with_modules = box.si + 64.0 * module.si
    return Computed(
        100.0 * (1.0 - packaged.si / with_modules),
        f"{packaged.name} against {box.name} with 64 x {module.name}",
    )


def _ocs(catalog: Catalog, claims: Registry) -> Computed:
    raise UnavailableError(
        "no fabric with optical circuit switches in place of the top tier yet (network.topologies)"
    )


def _launch(catalog: Catalog, claims: Registry) -> Computed:
    fact = catalog.fact("frontier", "launch-china", "launch_price_per_kg_cny:2025")
    falcon = catalog.fact("frontier", "spacex-falcon-9", "launch_cost_per_kg_30_reuses:2025-12")
    rate = claimed(claims, "s004-china-launch-price/1")
    return Computed(
        fact.si / rate / falcon.si,
        f"{fact.name} (middle of the printed range) at {rate:g} CNY/USD over {falcon.name}",
    )


def _composite(catalog: Catalog, claims: Registry) -> Computed:
    price_in = catalog.fact("prices", "bytedance-doubao-1.6", "api_input_cny:2025-06-11")
    price_out = catalog.fact("prices", "bytedance-doubao-1.6", "api_output_cny:2025-06-11")
    ratio = claimed(claims, "s000-doubao16-mix-ratio")
    blended = (ratio * price_in.number + price_out.number) / (ratio + 1.0)
    return Computed(blended, f"({ratio:g} x {price_in.name} + {price_out.name}) / {ratio + 1:g}")


def _glasses(catalog: Catalog, claims: Registry) -> Computed:
    soc = catalog.fact("bom", "meta-rayban-gen2", "bom_soc")
    total = catalog.fact("bom", "meta-rayban-gen2", "bom_total")
    return Computed(100.0 * soc.si / total.si, f"{soc.name} over {total.name} ({total.source})")


ROWS = (
    Comparison(
        "hvdc-saving",
        ("s000-hvdc-336-loss-saving",),
        "336 V DC against UPS, a year",
        "kWh/year",
        _hvdc_saving,
        reference="s000-hvdc-336-loss-saving",
    ),
    Comparison(
        "hvdc-gain",
        ("s000-baidu-hanhai-eff",),
        "800 V DC chain against UPS, at least",
        "points",
        _gain_points("hvdc-800v"),
        reference="s000-baidu-hanhai-eff.low",
        bound="at least",
        tolerance=0.0,
    ),
    Comparison(
        "hvdc-gain-top",
        ("s000-baidu-hanhai-eff",),
        "800 V DC chain against UPS, at most",
        "points",
        _gain_points("hvdc-800v"),
        reference="s000-baidu-hanhai-eff.high",
        bound="at most",
        tolerance=0.0,
    ),
    _reach("dac", "400g"),
    _reach("dac", "800g"),
    _reach("aec", "400g"),
    _reach("aec", "800g"),
    Comparison(
        "immersion-pue",
        ("s000-contact-liquid-pue", "s001-immersion-spray-pue"),
        "PUE of single-phase immersion",
        "1",
        _pue("immersion-single-phase"),
        reference="s000-contact-liquid-pue.high",
        bound="at most",
        tolerance=0.02,
    ),
    Comparison(
        "spray-pue",
        ("s000-contact-liquid-pue", "s001-immersion-spray-pue"),
        "PUE of spray cooling",
        "1",
        _pue("spray"),
        reference="s000-contact-liquid-pue.high",
        bound="at most",
        tolerance=0.02,
    ),
    Comparison(
        "cold-plate-pue",
        ("s001-coldplate-pue",),
        "PUE of cold plates, at most",
        "1",
        _pue("cold-plate"),
        reference="s001-coldplate-pue.high",
        bound="at most",
        tolerance=0.02,
    ),
    Comparison(
        "hollow-core-latency",
        ("s004-hcf-latency-saving",),
        "latency saved by hollow-core fibre",
        "%",
        _hollow_core,
        reference="s004-hcf-latency-saving",
        tolerance=0.05,
    ),
    Comparison(
        "cpo-optics-saving",
        ("s000-cpo-power-saving", "s000-nv-cpo-efficiency"),
        "optics power saved by co-packaging",
        "%",
        _cpo_optics,
        reference="s000-cpo-power-saving",
        tolerance=0.05,
    ),
    Comparison(
        "cpo-system-saving",
        ("s004-cpo-system-power-saving",),
        "switch power saved by co-packaging, at least",
        "%",
        _cpo_system,
        reference="s004-cpo-system-power-saving.low",
        bound="at least",
        tolerance=0.0,
    ),
    Comparison(
        "ocs-saving",
        ("s004-ocs-network-power-saving",),
        "network power saved by optical circuit switches",
        "%",
        _ocs,
        reference="s004-ocs-network-power-saving.low",
    ),
    Comparison(
        "launch-price",
        ("s004-china-launch-price", "s004-falcon9-cost-30"),
        "domestic launch over Falcon 9, per kg",
        "x",
        _launch,
        reference="s004-china-launch-price.high",
        tolerance=_RANGE,
    ),
    Comparison(
        "doubao-composite",
        ("s000-doubao16-composite-cost",),
        "Doubao 1.6 price of a 3:1 mix",
        "CNY/Mtok",
        _composite,
        reference="s000-doubao16-composite-cost",
    ),
    Comparison(
        "glasses-soc-share",
        ("s000-rayban-soc-share",),
        "SoC share of the glasses' bill of materials",
        "%",
        _glasses,
        reference="s000-rayban-soc-share",
    ),
)
