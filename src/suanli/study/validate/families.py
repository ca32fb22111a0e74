"""Each family of the measured table has denominators and traps of its own; here they become one quantity each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from suanli.catalog import Catalog
from suanli.errors import SuanliError
from suanli.serving.engine_names import framework_named
from suanli.study.validate.infersim import infersim_run
from suanli.study.validate.launch_flags import launch_flags
from suanli.study.validate.layouts import layout_named
from suanli.study.validate.measured import Flag, Measurement
from suanli.study.validate.names import chip_named, model_named, weights_named

Row = Mapping[str, str]
BLACKWELL = (
    "nvidia-b100",
    "nvidia-b200-sxm",
    "nvidia-b300-sxm",
    "nvidia-gb200",
    "nvidia-gb300",
    "nvidia-rtx-pro-6000",
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that is not a measurement of a deployment, or that does not resolve: its id and why."""

    id: str
    why: str


def measurement(row: Row, catalog: Catalog) -> Measurement | Skipped:
    """Read one row of the measured table as a measurement with one metric.

    Args:
        row: the row as text.
        catalog: resolves names.
    """
    try:
        base = _base(row, catalog)
    except SuanliError as error:
        return Skipped(row["id"], str(error))
    read = _FAMILIES.get(row["source_family"])
    if read is None:
        return Skipped(row["id"], f"family {row['source_family']} is not known")
    return read(row, base)


def _base(row: Row, catalog: Catalog) -> Measurement:
    named = model_named(catalog, row["model"])
    chip = chip_named(catalog, row["hardware"])
    chips = int(row["n_accel"]) if row["n_accel"].isdigit() else 1
    layout, note = layout_named(row["parallelism"], chips)
    native = str(catalog.model(named.id)["_suanli"].get("weights_dtype_native", ""))
    weights = weights_named(row["weights_dtype"], named.id, named.weights_dtype, native)
    framework = framework_named(row["framework"])
    flags = [Flag("", "layout", note)] if note else []
    flags += [Flag("", "wip", "marked as work in progress upstream")] if "wip=True" in row["notes"] else []
    return Measurement(
        family=row["source_family"],
        ids=(row["id"],),
        model=named.id,
        chip=chip,
        n_chips=chips,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.dp,
        ep=layout.ep,
        weights_dtype=weights,
        kv_dtype=_kv(row["kv_dtype"], weights, native, framework, chip),
        framework=framework,
        phase="mixed",
        isl=_number(row["isl"]),
        osl=_number(row["osl"]),
        concurrency=_number(row["concurrency_or_batch"]),
        protocol="static",
        values={},
        flags=tuple(flags),
        source=row["source"],
        date=row["date"],
        grade=row["grade"],
    )


def _kv(label: str, weights: str, native: str, framework: str, chip: str) -> str | None:
    """KV format: as stated; else FP8 where TensorRT-LLM or a Blackwell recipe serves quantised weights, else BF16."""
    text = label.lower()
    for known in ("fp8", "bf16", "fp16", "f16", "int8"):
        if text.startswith(known):
            return {"f16": "fp16"}.get(known, known)
    if text not in ("not stated", "auto"):
        return None
    quantised = weights not in ("bf16", "fp16", "native") or native == "mxfp4"
    return "fp8" if quantised and (framework.startswith("trtllm") or chip in BLACKWELL) else "bf16"


def _number(text: str) -> float | None:
    found = re.match(r"\s*(\d+(?:\.\d+)?)", text)
    return float(found.group(1)) if found else None


def _with(base: Measurement, **changes: object) -> Measurement:
    return replace(base, **changes)  # type: ignore[arg-type]


# -- families ---------------------------------------------------------------------------------------------------------
def _aiconfigurator(row: Row, base: Measurement) -> Measurement:
    """Closed loop of N clients, 10 N prompts in one burst; INFX draws lengths from [0.8, 1] x nominal."""
    metric = "ttft_s" if row["metric"] == "TTFT" else "tpot_s"
    mtp, why = _mtp(base)
    flags = base.flags + ((Flag("", "mtp", why),) if mtp and "inferred" in why else ())
    if "TTFT>5s" in row["notes"] and metric == "ttft_s":
        flags += (Flag("ttft_s", "queue", "above 5 s at a prompt of at most 1024: queueing or warm-up"),)
    if base.chip == "nvidia-gb200" or (base.model == "deepseek-r1" and base.framework == "trtllm 1.3.0rc1"):
        flags += (
            Flag(
                "", "label", "rows of this batch contradict one another by a factor: not what the label says"
            ),
        )
    options = {"burst_prompts_per_client": 10.0}
    if row["source_family"] == "INFX":
        options["length_low_share"] = 0.8
    if mtp:
        options["mtp_draft"] = float(mtp)
    if row["source_family"] == "INFX":
        blackwell = base.chip in BLACKWELL
        options |= launch_flags(base, blackwell)
    return _with(
        base,
        protocol="closed_loop",
        values={metric: float(row["value"]) / 1e3},
        mtp=mtp,
        flags=flags,
        options=options,
    )


def _mtp(base: Measurement) -> tuple[int, str]:
    """Draft length of the rows that run multi-token prediction, which the table has no column for."""
    if base.model not in ("deepseek-r1", "deepseek-v3") or base.family != "INFX":
        return 0, ""
    draft = 3 if base.dp == 1 else 1
    if base.framework == "trtllm 1.2.0rc6.post3":
        return draft, "documented: the publisher pairs this image with MTP"
    if base.framework == "trtllm 1.1.0rc2.post2" and base.date >= "2026-01-14":
        return draft, "MTP inferred from date and speed, not documented"
    return 0, ""


def _splitwise(row: Row, base: Measurement) -> Measurement | Skipped:
    metrics = {
        "prompt phase latency": ("ttft_s", 1e-3),
        "mean token time (TBT)": ("tpot_s", 1e-3),
        "e2e latency": ("e2e_s", 1e-3),
        "average power / TDP": ("power_tdp_share", 1.0),
    }
    if row["metric"] not in metrics:
        return Skipped(row["id"], f"{row['metric']}: not predicted")
    metric, factor = metrics[row["metric"]]
    flags = base.flags
    if "pcap" in row["hardware"]:
        flags += (Flag("", "power-capped", "the GPUs run under a power cap"),)
    if metric == "e2e_s" and ((base.osl or 0) >= 1024 or (base.concurrency or 0) >= 64):
        flags += (
            Flag(
                "e2e_s",
                "stopped-early",
                "long runs stopped early: 4,096 and 8,192 outputs take the same time",
            ),
        )
    suffix = " pcap" if "pcap" in row["hardware"] else ""
    return _with(
        base, framework=f"splitwise{suffix}", values={metric: float(row["value"]) * factor}, flags=flags
    )


def _trtllm06(row: Row, base: Measurement) -> Measurement:
    value = float(row["value"])
    if row["unit"] == "ms":
        return _with(
            base,
            phase="prefill",
            values={"ttft_s": value / 1e3},
            flags=(*base.flags, Flag("ttft_s", "rounded", "whole ms")),
        )
    # "output throughput" of the A100 rows is per GPU too: n = 2, 4, 8 stand at 2.07, 4.13 and 9.0 to the per-GPU rows.
    return _with(base, values={"output_tokens_per_s": value * base.n_chips})


def _trtllm1(row: Row, base: Measurement) -> Measurement:
    return _with(
        base, protocol="offline", concurrency=None, values={"output_tokens_per_s": float(row["value"])}
    )


def _neuron(row: Row, base: Measurement) -> Measurement:
    metrics = {
        "p50 TTFT": ("ttft_s", 1e-3),
        "p50 TPOT": ("tpot_s", 1e-3),
        "output throughput": ("output_tokens_per_s", 1.0),
    }
    metric, factor = metrics[row["metric"]]
    return _with(base, values={metric: float(row["value"]) * factor})


def _xjd(row: Row, base: Measurement) -> Measurement:
    speed = float(row["value"])
    if row["phase"] == "decode":
        return _with(base, phase="decode", isl=1.0, values={"tpot_s": 1.0 / speed})
    return _with(base, phase="prefill", values={"ttft_s": (base.isl or 0.0) / speed})


def _expert_parallel(row: Row, base: Measurement) -> Measurement | Skipped:
    """Throughput per node of an expert-parallel unit, taken to the whole unit."""
    if "per 8-GPU node" not in row["metric"]:
        return Skipped(row["id"], f"{row['metric']}: not a throughput")
    if "headline" in row["notes"] or "73.7k" in row["notes"]:
        return Skipped(row["id"], "repeats another row in rounder figures")
    chips = base.n_chips
    total = float(row["value"]) * chips / 8.0
    name = "input_tokens_per_s" if row["phase"] == "prefill" else "output_tokens_per_s"
    batch = base.concurrency * chips if base.concurrency and "/GPU" in row["concurrency_or_batch"] else None
    if row["phase"] == "prefill" and base.isl and batch:
        batch = batch / base.isl
    redundant = {"redundant_experts": 32.0} if base.ep > 1 and "balanced" not in row["notes"] else {}
    imbalance = {"expert_imbalance": 1.0} if "balanced" in row["notes"] else {}
    flags = base.flags
    if "MTP" in row["notes"] and "no MTP" not in row["notes"]:
        flags += (Flag("", "simulated-mtp", "run with the token counts of MTP, without MTP"),)
    overlap = (
        {"overlap": 1.0}
        if "TBO on" in row["notes"]
        else {"overlap": 0.0}
        if "TBO off" in row["notes"]
        else {}
    )
    return _with(
        base,
        phase=row["phase"],
        concurrency=batch,
        values={name: total},
        options={**redundant, **imbalance, **overlap},
        flags=flags,
    )


def _deepseek_day(row: Row, base: Measurement) -> Measurement | Skipped:
    if row["unit"] != "tok/s/node" or row["phase"] != "decode":
        return Skipped(
            row["id"], f"{row['metric']}: a figure of the fleet, checked by the scenario of that day"
        )
    chips = 144
    return _with(
        base,
        phase="decode",
        n_chips=chips,
        tp=1,
        dp=chips,
        ep=chips,
        isl=4989.0,
        protocol="production",
        values={"output_tokens_per_s": float(row["value"]) / 8.0 * chips, "tpot_s": 1.0 / 21.0},
        options={"redundant_experts": 32.0},
    )


def _infersim(row: Row, base: Measurement) -> Measurement | Skipped:
    if base.chip == "nvidia-h800-sxm":
        return Skipped(row["id"], "the same figure is in SGLEP with its conditions")
    run = infersim_run(base.model, row["phase"])
    if run is None:
        return Skipped(row["id"], "no example script tells batch and lengths")
    name = "input_tokens_per_s" if row["phase"] == "prefill" else "output_tokens_per_s"
    total = float(row["value"]) * float(str(run["n_chips"]))
    doubt = Flag("", "conditions", "batch and lengths are those of the simulator's example scripts")
    return _with(base, phase=row["phase"], values={name: total}, flags=(*base.flags, doubt), **run)


def _cloudmatrix(row: Row, base: Measurement) -> Measurement | Skipped:
    """An Ascend 910C is one NPU of two dies; EP320 and EP32 count dies, so 160 and 16 NPUs."""
    if "throughput" not in row["metric"] or base.framework != "cloudmatrix":
        return Skipped(row["id"], f"{row['metric']}: conditions not stated")
    decode = row["phase"] == "decode"
    chips = 160 if decode else 16
    flags = list(base.flags)
    if "projection" in row["notes"]:
        flags.append(Flag("", "projection", "perfectly balanced experts are a projection of the authors"))
    # Prefill of the paper takes 16,384 tokens an NPU at a time: four prompts of 4,096.
    batch = base.concurrency * chips if base.concurrency else None if decode else 4.0 * chips
    if batch is None:
        return Skipped(row["id"], f"{row['metric']}: batch not stated")
    return _with(
        base,
        phase=row["phase"],
        n_chips=chips,
        tp=1,
        dp=chips,
        ep=chips,
        isl=4096.0,
        concurrency=batch,
        mtp=1 if decode else 0,
        values={("output_tokens_per_s" if decode else "input_tokens_per_s"): float(row["value"]) * chips},
        options={
            "redundant_experts": 64.0,
            **({"expert_imbalance": 1.0} if "projection" in row["notes"] else {}),
            **({"mtp_draft": 1.0, "mtp_acceptance": 0.7} if decode else {}),
        },
        flags=tuple(flags),
    )


def _trtr1(row: Row, base: Measurement) -> Measurement:
    draft = 3 if "MTP3" in row["parallelism"] else 0
    flags = (
        (*base.flags, Flag("", "acceptance", "speculative decoding on a real data set"))
        if draft
        else base.flags
    )
    options = {"mtp_draft": float(draft)} if draft else {}
    batch = 1.0 if draft else base.concurrency
    return _with(
        base,
        concurrency=batch,
        mtp=draft,
        protocol="closed_loop",
        values={"output_tokens_per_s": float(row["value"])},
        flags=flags,
        options=options,
    )


def _buildkite(row: Row, base: Measurement) -> Measurement | Skipped:
    if row["metric"] != "mean e2e latency":
        return Skipped(row["id"], "ShareGPT lengths: a distribution, for the simulator")
    return _with(base, values={"e2e_s": float(row["value"]) / 1e3})


# MLPerf v4.1 MaxQ submission: power limit [W], batch, mean prompt and output of the data set [token].
_MLPERF_RUNS = {
    "gpt-j-6b": (350.0, 396.0, 778.0, 69.3),
    "mixtral-8x7b": (500.0, 3072.0, 300.0, 145.9),
    "llama-2-70b": (500.0, 806.0, 294.0, 294.5),
}


def _power(row: Row, base: Measurement) -> Measurement | Skipped:
    """Wall power of a whole server whose accelerators run under a limit; data parallel but for Llama-2-70B."""
    if row["metric"] != "average wall (AC) system power":
        return Skipped(row["id"], f"{row['metric']}: not predicted")
    limit_w, batch, isl, osl = _MLPERF_RUNS[base.model]
    scenario = row["concurrency_or_batch"].split()[-1].lower()
    return _with(
        base,
        protocol="offline",
        tp=1,
        isl=isl,
        osl=osl,
        concurrency=batch * base.n_chips,
        framework=f"{base.framework} {scenario}",
        values={"power_w": float(row["value"])},
        power_limit_w=limit_w,
    )


_FAMILIES: dict[str, Callable[[Row, Measurement], Measurement | Skipped]] = {
    "INFX": _aiconfigurator,
    "AICGAP": _aiconfigurator,
    "SPLITWISE": _splitwise,
    "TRTLLM06": _trtllm06,
    "TRTLLM1": _trtllm1,
    "NEURON": _neuron,
    "XJD": _xjd,
    "DSEEK": _deepseek_day,
    "SGLEP": _expert_parallel,
    "INFERSIM": _infersim,
    "CM384": _cloudmatrix,
    "TRTR1": _trtr1,
    "VLLMBK": _buildkite,
    "MLPPOW": _power,
}
FAMILIES = tuple(_FAMILIES)


def measurements(rows: Iterable[Row], catalog: Catalog) -> tuple[list[Measurement], list[Skipped]]:
    """Read rows as measurements, one metric each, and list those that are left out with the reason."""
    found: list[Measurement] = []
    skipped: list[Skipped] = []
    for row in rows:
        one = measurement(row, catalog)
        if isinstance(one, Skipped):
            skipped.append(one)
        else:
            found.append(one)
    return found, skipped
