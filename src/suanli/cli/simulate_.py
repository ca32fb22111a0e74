"""`suanli simulate SCENARIO --trace FILE`: requests one by one; percentiles, goodput, files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import (
    catalog_option,
    console,
    json_option,
    open_catalog,
    print_json,
    set_option,
    table,
)

if TYPE_CHECKING:
    from suanli.demand.traces import Trace
    from suanli.scenario import Scenario
    from suanli.serving.sim import Cluster, Outcome

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
_LOG_ROWS = 200_000


@click.command()
@click.argument("scenario", metavar="SCENARIO")
@click.option(
    "--trace", "trace_file", metavar="FILE", required=True, help="Requests; the format is recognised."
)
@click.option("--on-bad-rows", type=click.Choice(["reject", "skip"]), default="reject", show_default=True)
@click.option("--requests", type=int, help="How many; a shorter trace is repeated with prefixes of its own.")
@click.option("--no-wrap", is_flag=True, help="Stop instead where the trace is shorter than --requests.")
@click.option("--qps", type=float, help="Mean arrival rate, 1/s.")
@click.option(
    "--arrivals",
    type=click.Choice(["trace", "poisson", "gamma", "diurnal", "closed"]),
    help="Default: the trace's own, Poisson with --qps, closed with --clients.",
)
@click.option("--cv", type=float, default=2.0, show_default=True, help="Variation of gaps for gamma.")
@click.option("--peak-to-mean", type=float, default=1.5, show_default=True, help="For diurnal arrivals.")
@click.option("--clients", type=int, help="Clients of a closed loop.")
@click.option(
    "--think", metavar="TIME", default="0 s", help="Time between a client's answer and next request."
)
@click.option("--scale-lengths", metavar="IN[:OUT]", default="1", help="Factor on prompts (and answers).")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--replicas", metavar="N[:M]", default="1", show_default=True, help="Replicas; prefill:decode pools."
)
@click.option("--policy", type=click.Choice(["continuous", "prefill-first", "static"]), default="continuous")
@click.option("--max-batched-tokens", "--chunk", type=int, default=2048, show_default=True)
@click.option("--max-model-len", type=int, help="Longest prompt plus answer. Default: the model's context.")
@click.option("--max-num-seqs", type=int, default=256, show_default=True)
@click.option(
    "--preemption", type=click.Choice(["recompute", "swap"]), default="recompute", show_default=True
)
@click.option(
    "--router",
    type=click.Choice(["round-robin", "least-outstanding", "power-of-two", "prefix-aware"]),
    default="least-outstanding",
    show_default=True,
)
@click.option("--prefix-cache/--no-prefix-cache", default=True, show_default=True)
@click.option(
    "--tiers", metavar="LIST", default="", help='KV below HBM: "host=512 GB, cxl=4 TB, flash=100 TB".'
)
@click.option("--eviction", type=click.Choice(["lru", "lfu"]), default="lru", show_default=True)
@click.option("--queue-limit", type=int, help="Requests that may wait on a replica; more are refused.")
@click.option("--timeout", metavar="TIME", help="Requests that wait longer are dropped.")
@click.option("--mtbf", metavar="TIME", help="Mean time between failures of a replica.")
@click.option("--repair", metavar="TIME", default="10 min", show_default=True)
@click.option("--autoscale", type=float, metavar="N", help="Aim at N outstanding requests a replica.")
@click.option("--start-delay", metavar="TIME", default="2 min", show_default=True)
@click.option("--slo-ttft", metavar="TIME", help="Default: serving.slo.ttft.")
@click.option("--slo-tpot", metavar="TIME", help="Default: serving.slo.tpot.")
@click.option("--find-goodput", is_flag=True, help="Search the largest rate that meets the objectives.")
@click.option("--attainment", type=float, default=0.9, show_default=True, help="Share of requests that must.")
@click.option("--window", metavar="START:END", help="Seconds whose steps go into a Chrome trace.")
@click.option("--parquet", is_flag=True, help="requests.parquet instead of requests.csv.")
@click.option("-o", "--output", metavar="DIR", help="Folder for requests, series, figures and result.json.")
@set_option
@catalog_option
@json_option
def command(
    scenario: str, overrides: tuple[str, ...], overlays: tuple[str, ...], as_json: bool, **given: Any
) -> int:
    """Simulate requests one by one: percentiles, goodput, power, KV, prefix reuse.

    TPOT is (end to end - TTFT)/(tokens - 1). Ctrl-C stops and reports what was finished, marked partial.

    \b
    suanli simulate scenarios/sim-llama2-7b-a100.toml --trace azure.csv --qps 4 --chunk 512 -o out
    suanli simulate scenarios/deepseek-day.toml --trace mooncake.jsonl --replicas 2:1 --tiers "host=1 TB"
    """
    from suanli.scenario import check, load
    from suanli.study import simulation

    catalog = open_catalog(overlays)
    plan = load(scenario, overrides)
    check(plan, catalog)
    trace, warnings = _trace(plan, catalog, given)
    cluster, kv_bytes, notes = _cluster(plan, catalog, given)
    cluster = simulation.with_prefixes(cluster, trace)
    slo = (
        _seconds(given["slo_ttft"]) or plan.serving.slo.ttft,
        _seconds(given["slo_tpot"]) or plan.serving.slo.tpot,
    )
    warnings += notes
    extra: dict[str, dict[str, Any]] = {}
    if given["find_goodput"]:
        trace, extra = _search(trace, cluster, kv_bytes, slo, given)
    outcome = _run(trace, cluster, kv_bytes, given)
    if outcome.partial:
        warnings.append("Interrupted: the figures are of the requests that were finished.")
    ends = outcome.ends()
    warnings += [f"{n} requests: {how}" for how, n in ends.items() if how != "completed"]
    found = simulation.metrics(outcome, *slo) | extra
    life = catalog.fact("assumptions", "economics", "server_life").si if cluster.prefix_cache else math.inf
    uses = simulation.tier_uses(outcome, cluster, kv_bytes, float(life)) if cluster.prefix_cache else []
    for use in uses:
        found |= _tier_metrics(use)
    document = _document(plan, found, warnings, given, outcome.partial)
    if given["output"]:
        _write(outcome, document, Path(given["output"]), given)
    if as_json:
        print_json(document)
    else:
        _print(plan.name, document)
    return 130 if outcome.partial else 0


def _seconds(text: str | None) -> float | None:
    from suanli import units

    return None if text is None else units.parse(text, "s")


def _trace(plan: Scenario, catalog: Any, given: dict[str, Any]) -> tuple[Trace, list[str]]:
    from suanli.demand import arrivals, traces
    from suanli.errors import InputError
    from suanli.interop.traces import read_trace

    context = given["max_model_len"] or catalog.model(plan.llm.id).get("max_position_embeddings")
    factors = [float(x) for x in given["scale_lengths"].split(":")]
    # Scaled lengths are checked against the context afterwards, those of the file at once.
    read = read_trace(
        given["trace_file"],
        on_bad_rows=given["on_bad_rows"],
        context_tokens=context if factors == [1.0] else None,
    )
    trace = traces.scaled_lengths(read.trace, factors[0], factors[-1])
    if given["requests"]:
        trace = traces.resized(trace, given["requests"], wrap=not given["no_wrap"])
    qps, seed = given["qps"], given["seed"]
    kind = given["arrivals"] or ("closed" if given["clients"] else "poisson" if qps else "trace")
    if kind in ("poisson", "gamma", "diurnal") and not qps:
        raise InputError(f"--arrivals {kind} needs --qps")
    if kind == "closed":
        trace = arrivals.closed_loop(trace, given["clients"] or 1, _seconds(given["think"]) or 0.0)
    elif kind == "gamma":
        trace = arrivals.gamma(trace, qps, given["cv"], seed)
    elif kind == "diurnal":
        trace = arrivals.diurnal(trace, qps, given["peak_to_mean"], seed)
    elif kind == "poisson":
        trace = arrivals.poisson(trace, qps, seed)
    elif qps:
        trace = traces.at_rate(trace, qps)
    elif not read.timed:
        raise InputError(f"{trace.name} has no arrivals; give --qps or --clients")
    return trace, list(read.notes)


def _cluster(plan: Scenario, catalog: Any, given: dict[str, Any]) -> tuple[Cluster, float, list[str]]:
    from suanli.errors import InputError
    from suanli.serving.sim import Autoscaling, Failures
    from suanli.study import simulation

    made = simulation.deployment(plan, catalog)
    numbers = [int(x) for x in given["replicas"].split(":") if x.strip().isdigit()]
    if len(numbers) != len(made.pools):
        raise InputError(
            f"--replicas {given['replicas']}: give {'N' if len(made.pools) == 1 else 'PREFILL:DECODE'}"
        )
    common: dict[str, Any] = {
        "router": given["router"],
        "prefix_cache": given["prefix_cache"],
        "tiers": simulation.tiers_of(given["tiers"], catalog, made.host_bytes_per_s),
        "eviction": given["eviction"],
        "timeout_s": _seconds(given["timeout"]),
    }
    if given["mtbf"]:
        common["failures"] = Failures(_seconds(given["mtbf"]) or 0.0, _seconds(given["repair"]) or 0.0)
    if given["autoscale"]:
        common["autoscaling"] = Autoscaling(given["autoscale"], start_s=_seconds(given["start_delay"]) or 0.0)
    options = {
        key: given[key]
        for key in ("policy", "max_batched_tokens", "max_num_seqs", "preemption", "queue_limit")
    }
    cluster, size = simulation.cluster_of(made, dict(zip(made.pools, numbers, strict=True)), options, common)
    return cluster, size, list(made.notes)


def _search(
    trace: Trace,
    cluster: Cluster,
    kv_bytes: float,
    slo: tuple[float | None, float | None],
    given: dict[str, Any],
) -> tuple[Trace, dict[str, dict[str, Any]]]:
    from suanli.demand import arrivals
    from suanli.study import simulation

    def at_rate(rate: float) -> Trace:
        return arrivals.poisson(trace, rate, given["seed"])

    found = simulation.find_goodput(
        at_rate,
        simulation.run_on(cluster, given["seed"], kv_bytes),
        ttft_s=slo[0],
        tpot_s=slo[1],
        attainment=given["attainment"],
    )
    entry = {"value": found.rate_per_s, "unit": "1/s", "low": None, "high": None, "basis": "derived"}
    return at_rate(found.rate_per_s), {"sim.largest_rate": entry}


def _run(trace: Trace, cluster: Cluster, kv_bytes: float, given: dict[str, Any]) -> Outcome:
    from suanli.cli.progress import Progress
    from suanli.errors import InputError
    from suanli.serving.sim import simulate

    window = (math.inf, math.inf)
    if given["window"]:
        try:
            start, end = (float(x) for x in given["window"].split(":"))
        except ValueError:
            raise InputError(f"--window {given['window']}: give START:END in seconds") from None
        window = (start, end)
    bar = Progress("requests", len(trace))
    outcome = simulate(
        trace,
        cluster,
        seed=given["seed"],
        progress=lambda done, total, now: bar.tick(done),
        kv_bytes_per_token=kv_bytes,
        window_s=window,
        log_steps=_LOG_ROWS if given["window"] else 0,
    )
    bar.close()
    return outcome


def _tier_metrics(use: Any) -> dict[str, dict[str, Any]]:
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


def _document(
    plan: Scenario, found: dict[str, Any], warnings: list[str], given: dict[str, Any], partial: bool
) -> dict[str, Any]:
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


def _write(outcome: Outcome, document: dict[str, Any], folder: Path, given: dict[str, Any]) -> None:
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


def _print(name: str, document: dict[str, Any]) -> None:
    from suanli.units import show

    answer = table(name, ("", "left"), ("", "right"))
    named = [f"sim.{key}" for key in _SHOWN] + [
        key for key in document["metrics"] if key.startswith("sim.tier.")
    ]
    for key in ["sim.largest_rate", *named]:
        entry = document["metrics"].get(key)
        if entry is not None:
            value = entry["value"]
            text = (
                "unavailable"
                if value is None
                else show(value, entry["unit"])
                if entry["unit"] != "1"
                else f"{value:,.6g}"
            )
            answer.add_row(key.removeprefix("sim."), text)
    out = console()
    out.print(answer)
    for note in document["warnings"]:
        out.print(f"Note: {note}", style="dim")
