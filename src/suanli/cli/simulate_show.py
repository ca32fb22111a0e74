"""What `suanli simulate` prints and writes: the document, files, the table and where its times come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from suanli.cli.options import console, table

if TYPE_CHECKING:
    from suanli.scenario import Scenario
    from suanli.serving.sim import Outcome
    from suanli.study.simulation import Deployment

_SHOWN = (
    *(
        "requests",
        "completed",
        "duration",
        "ttft_mean",
        "ttft_p50",
        "ttft_p90",
        "ttft_p99",
        "tpot_mean",
        "tpot_p90",
    ),
    *(
        "tpot_p99",
        "itl_p99",
        "e2e_mean",
        "e2e_p99",
        "queue_mean",
        "queue_p99",
        "output_tokens_per_s",
        "goodput",
    ),
    *("utilisation", "kv_hit_share", "kv_peak_share", "preemptions", "power_mean", "energy_per_output_token"),
)


def physics(made: Deployment, given: dict[str, Any]) -> dict[str, Any]:
    """Where step times come from, and how sure they are."""
    return {
        "basis": {name: one.basis for name, one in made.pools.items()},
        "framework": made.framework or None,
        "step_band": {name: one.step_band for name, one in made.pools.items()},
        "limits": {
            name: {
                "policy": given["policy"] or one.policy,
                "max_num_seqs": given["max_num_seqs"] or one.max_num_seqs,
                "max_batched_tokens": given["max_batched_tokens"] or one.max_batched_tokens,
                "kv_tokens": one.kv_tokens,
            }
            for name, one in made.pools.items()
        },
    }


def tier_metrics(use: Any) -> dict[str, dict[str, Any]]:
    """Metrics of one tier of the prefix cache, as the document holds them."""
    rows = (
        ("hit_share", use.hit_share, "1"),
        ("read_bytes", use.read_bytes, "byte"),
        ("written_bytes", use.written_bytes, "byte"),
        ("saved_time", use.saved_s, "s"),
        ("cost", use.cost_usd, "USD"),
        ("cost_per_saved_time", use.cost_usd_per_saved_s, "USD/s"),
    )
    made = {}
    for name, value, unit in rows:
        entry = {"value": value, "unit": unit, "low": None, "high": None}
        entry["basis"] = "derived" if value is not None else "unavailable"
        if value is None:
            entry["reason"] = "no price on record, or nothing saved"
        made[f"sim.tier.{use.name}.{name}"] = entry
    return made


def document(
    plan: Scenario, found: dict[str, Any], warnings: list[str], given: dict[str, Any], partial: bool
) -> dict[str, Any]:
    """Everything that was found, as `--json` prints it."""
    import hashlib
    import json

    from suanli import __version__
    from suanli.result.run import SCHEMA

    inputs = {
        "scenario": plan.model_dump(mode="json"),
        "options": {k: v for k, v in given.items() if k != "output"},
    }
    text = json.dumps([__version__, inputs], sort_keys=True)
    return {
        "schema": SCHEMA,
        "version": __version__,
        "scenario": {"name": plan.name, "hash": hashlib.sha256(text.encode()).hexdigest()[:16]},
        "metrics": found,
        "warnings": warnings,
        "partial": partial,
    }


def write(outcome: Outcome, document: dict[str, Any], folder: Path, given: dict[str, Any]) -> None:
    """Write requests, series, figures and the document into a folder."""
    import json

    from suanli.report import simulation as report

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "result.json").write_text(text + "\n", encoding="utf-8")
    report.write_requests(outcome, folder / ("requests.parquet" if given["parquet"] else "requests.csv"))
    report.write_series(outcome, folder / "series.csv")
    figures = {"latency.svg": report.latency_figure(outcome), **report.load_figures(outcome)}
    for name, svg in figures.items():
        (folder / name).write_text(svg, encoding="utf-8")
    if given["window"]:
        report.write_chrome_trace(outcome, folder / "chrome_trace.json")


def print_(name: str, document: dict[str, Any]) -> None:
    """Print the metrics as a table, then the basis and the notes."""
    wide = any(entry["low"] is not None for entry in document["metrics"].values())
    columns = [("", "left"), ("", "right"), *([("90 % band", "right")] if wide else [])]
    answer = table(name, *columns)
    named = [f"sim.{key}" for key in _SHOWN] + [
        key for key in document["metrics"] if key.startswith("sim.tier.")
    ]
    for key in ["sim.largest_rate", *named]:
        entry = document["metrics"].get(key)
        if entry is not None:
            answer.add_row(label(key), *cells(key, entry)[: 2 if wide else 1])
    out = console()
    out.print(answer)
    out.print(basis_line(document["physics"]), style="dim")
    for note in document["warnings"]:
        out.print(f"Note: {note}", style="dim")


_SHARES = ("sim.utilisation", "sim.kv_hit_share", "sim.kv_peak_share")
_CHIPS = {
    "sim.power_mean": "power of all chips, mean",
    "sim.energy_per_output_token": "energy of chips per output token",
}


def label(key: str) -> str:
    """Return what a metric is called in the table: "TTFT, mean", "host tier: hit share"."""
    from suanli.result.metrics import metrics

    if key in _CHIPS:
        return _CHIPS[key]
    if key.startswith("sim.tier."):
        tier, _, name = key.removeprefix("sim.tier.").partition(".")
        return f"{tier} tier: {name.removesuffix('_bytes').replace('_', ' ')}"
    return metrics()[key].label


def cells(key: str, entry: dict[str, Any]) -> tuple[str, str]:
    """Return a metric's value with its unit, and its band in that unit: ("86.5 ms", "60..120").

    Args:
        key: its name.
        entry: as the document holds it.
    """
    from suanli.units import digits, scale_for

    value, unit = entry["value"], entry["unit"]
    if value is None:
        return "unavailable", ""
    if key in _SHARES or key.endswith("hit_share"):
        name, size = "%", 0.01
    else:
        name, size = scale_for(value, unit)
    name = {"1": "", "1/s": "requests/s"}.get(name, name)
    ends = [digits(end / size, 3) for end in (entry["low"], entry["high"]) if end is not None]
    # Ends that print alike are no band; a rate that the trace is too short to reach has no upper end.
    band = "..".join(ends) if len(set(ends)) == 2 else f">= {ends[0]}" if len(ends) == 1 else ""
    return f"{digits(value / size)} {name}".rstrip(), band


def basis_line(physics: dict[str, Any]) -> str:
    """Where step times come from, in one line."""
    bases = " and ".join(dict.fromkeys(physics["basis"].values()))
    band = max(physics["step_band"].values())
    return f"Basis: {bases} operators, constants of {physics['framework']}; step times within a factor of {band:.2f}."
