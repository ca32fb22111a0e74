"""What the reports say about chips and supernodes, against the catalogue's adopted figures."""

from __future__ import annotations

import math
from collections.abc import Callable

from suanli.catalog import Catalog
from suanli.evidence.against_model.row import Comparison, Computed, claimed
from suanli.evidence.claims import Registry

_CARDS = {
    "910b-oam": "huawei-ascend-910b2",
    "tiangai150": "iluvatar-bi-v150",
    "t100": "taichu-t100",
    "c500": "metax-c500",
    "s4000": "moorethreads-s4000",
    "t21": "enflame-t21",
    "mlu370x8": "cambricon-mlu370-x8",
}
_PODS = {
    "cm384": ("huawei-cloudmatrix-384", "huawei-ascend-910c"),
    "nvl72": ("nvidia-gb200-nvl72", "nvidia-gb200"),
}
_TITLES = {"cm384": "CloudMatrix 384", "nvl72": "GB200 NVL72"}
_MACHINE_CARDS = 8.0
_BITS = 8.0
_GIGA, _TERA, _PETA = 1e9, 1e12, 1e15
Compute = Callable[[Catalog, Registry], Computed]


def _source(catalog: Catalog, table: str, name: str, parameter: str) -> tuple[float, str]:
    fact = catalog.fact(table, name, parameter)
    return fact.si, f"{fact.name} ({fact.source})"


def _total(pod: str, parameter: str, size: float) -> Compute:
    """Chips of a pod times a figure of one chip, over `size`."""
    system, chip = _PODS[pod]

    def compute(catalog: Catalog, claims: Registry) -> Computed:
        chips, _ = _source(catalog, "systems", system, "chips")
        each, where = _source(catalog, "chips", chip, parameter)
        return Computed(chips * each / size, f"{chips:.0f} x {where}")

    return compute


def _power_per(pod: str, parameter: str, size: float) -> Compute:
    """Largest power of a pod over its total of a figure, in W per `size`."""
    total = _total(pod, parameter, size)

    def compute(catalog: Catalog, claims: Registry) -> Computed:
        power, where = _source(catalog, "systems", _PODS[pod][0], "power_max")
        amount = total(catalog, claims)
        return Computed(power / amount.value, f"{where} over {amount.how}")

    return compute


def _scaleup(pod: str) -> Compute:
    """Scale-up bandwidth of a pod, one direction [GB/s]; the reports print this number as Gb/s."""

    def compute(catalog: Catalog, claims: Registry) -> Computed:
        chips, _ = _source(catalog, "systems", _PODS[pod][0], "chips")
        each, where = _source(catalog, "systems", _PODS[pod][0], "scaleup_bandwidth_per_chip")
        return Computed(chips * each * _BITS / _GIGA, f"{chips:.0f} x {where}, in Gb/s")

    return compute


def _machines(chip: str, peta: float) -> Compute:

    def compute(catalog: Catalog, claims: Registry) -> Computed:
        peak, where = _source(catalog, "chips", chip, "peak_fp16")
        count = math.ceil(peta / (_MACHINE_CARDS * peak))
        return Computed(float(count), f"1,000 P over 8 x {where}, P = {peta / 1e3:.4g} FLOP/s")

    return compute


def _b30(catalog: Catalog, claims: Registry) -> Computed:
    one, where = _source(catalog, "chips", "nvidia-b30", "peak_fp16")
    other, there = _source(catalog, "chips", "nvidia-h20-96gb", "peak_fp16")
    return Computed(100.0 * one / other, f"{where} over {there}, card for card, before any scaling loss")


def _b30_bandwidth(catalog: Catalog, claims: Registry) -> Computed:
    one, where = _source(catalog, "chips", "nvidia-b30", "memory_bandwidth")
    other, there = _source(catalog, "chips", "nvidia-h20-96gb", "memory_bandwidth")
    return Computed(100.0 * one / other, f"{where} over {there}: what decoding sees")


def _910d_compute(catalog: Catalog, claims: Registry) -> Computed:
    peak, where = _source(catalog, "chips", "nvidia-h100-sxm", "peak_fp16")
    ours = claimed(claims, "s000-910d-flops") * _PETA
    return Computed(100.0 * (ours / peak - 1.0), f"printed 910D rate over {where}, dense")


def _910d_efficiency(catalog: Catalog, claims: Registry) -> Computed:
    peak, where = _source(catalog, "chips", "nvidia-h100-sxm", "peak_fp16")
    power, there = _source(catalog, "chips", "nvidia-h100-sxm", "tdp")
    ours = claimed(claims, "s000-910d-eff") * _TERA
    return Computed(100.0 * (ours * power / peak - 1.0), f"printed 910D TFLOPS/W over {where} / {there}")


def _910c_dies(catalog: Catalog, claims: Registry) -> Computed:
    peak, where = _source(catalog, "chips", "huawei-ascend-910c", "peak_bf16")
    return Computed(peak / _TERA, where)


def _pod_row(
    pod: str, name: str, quantity: str, unit: str, compute: Compute, tolerance: float = 0.05
) -> Comparison:
    claim = f"s000-{pod}-{name}"
    return Comparison(
        f"{pod}-{name}",
        (claim,),
        f"{_TITLES[pod]} {quantity}",
        unit,
        compute,
        reference=claim,
        tolerance=tolerance,
    )


def _pods() -> tuple[Comparison, ...]:
    rows = []
    for pod in _PODS:
        rows += [
            _pod_row(pod, "bf16", "BF16 dense", "PFLOP/s", _total(pod, "peak_bf16", _PETA)),
            _pod_row(pod, "hbm", "memory", "TB", _total(pod, "memory_capacity", _TERA)),
            _pod_row(pod, "hbm-bw", "memory bandwidth", "TB/s", _total(pod, "memory_bandwidth", _TERA)),
            _pod_row(pod, "scaleup", "scale-up bandwidth, one direction", "Gb/s", _scaleup(pod), 0.15),
            _pod_row(pod, "w-tflop", "W per TFLOPS", "W/TFLOPS", _power_per(pod, "peak_bf16", _TERA), 0.12),
            _pod_row(
                pod, "w-tbs", "W per TB/s", "W per TB/s", _power_per(pod, "memory_bandwidth", _TERA), 0.12
            ),
            _pod_row(pod, "kw-tb", "kW per TB", "kW/TB", _power_per(pod, "memory_capacity", _GIGA), 0.12),
        ]
    return tuple(rows)


def _counts() -> tuple[Comparison, ...]:
    rows = []
    for card, chip in _CARDS.items():
        claim = f"s000-{card}-1000p"
        for label, peta, tolerance in (("decimal", 1e18, 0.0), ("binary", 1024.0 * 1e15, 0.025)):
            rows.append(
                Comparison(
                    f"machines-{card}-{label}",
                    (claim,),
                    f"8-card machines for 1,000 P, {chip}, {label} prefix",
                    "1",
                    _machines(chip, peta),
                    reference=claim,
                    tolerance=tolerance,
                )
            )
    return tuple(rows)


ROWS = (
    *_pods(),
    *_counts(),
    Comparison(
        "b30-cluster",
        ("s000-b30-cluster-equiv",),
        "100 B30 against 100 H20, compute",
        "%",
        _b30,
        reference="s000-b30-cluster-equiv",
    ),
    Comparison(
        "b30-bandwidth",
        ("s000-b30-cluster-equiv", "s000-x-b30-bw"),
        "100 B30 against 100 H20, memory bandwidth",
        "%",
        _b30_bandwidth,
        reference="s000-b30-cluster-equiv",
    ),
    Comparison(
        "910c-rate",
        ("s000-910c-fp16", "s001-910c-fp16"),
        "Ascend 910C dense rate",
        "TFLOP/s",
        _910c_dies,
        reference="s001-910c-fp16",
        tolerance=0.05,
    ),
    Comparison(
        "910d-compute",
        ("s000-910d-vs-h100",),
        "Ascend 910D over H100, compute",
        "%",
        _910d_compute,
        reference="s000-910d-vs-h100",
        tolerance=0.05,
    ),
    Comparison(
        "910d-efficiency",
        ("s000-910d-eff-gain",),
        "Ascend 910D over H100, TFLOPS/W",
        "%",
        _910d_efficiency,
        reference="s000-910d-eff-gain",
        tolerance=0.05,
    ),
)
