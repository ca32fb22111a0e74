"""`suanli simulate SCENARIO --trace FILE`: requests one by one; percentiles, goodput, files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import (
    catalog_option,
    json_option,
    open_catalog,
    print_json,
    set_option,
)

if TYPE_CHECKING:
    from suanli.demand.traces import Trace
    from suanli.scenario import Scenario
    from suanli.serving.sim import Cluster, Outcome, Replica
    from suanli.study.simulation import Deployment

_LOG_ROWS = 200_000
_AT_LEAST_ONE = click.IntRange(min=1)
_ABOVE_ZERO = click.FloatRange(min=0.0, min_open=True, max=1e9)


@click.command()
@click.argument("scenario", metavar="SCENARIO")
@click.option(
    "--trace", "trace_file", metavar="FILE", required=True, help="Requests; the format is recognised."
)
@click.option("--on-bad-rows", type=click.Choice(["reject", "skip"]), default="reject", show_default=True)
@click.option(
    "--requests", type=_AT_LEAST_ONE, help="How many; a shorter trace is repeated with prefixes of its own."
)
@click.option("--no-wrap", is_flag=True, help="Stop instead where the trace is shorter than --requests.")
@click.option("--qps", type=float, help="Mean arrival rate, 1/s; not with --clients.")
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
@click.option(
    "--framework", metavar="F", help='"vllm 0.19.0", "sglang": whose constants. Default: the scenario\'s.'
)
@click.option(
    "--policy",
    type=click.Choice(["continuous", "prefill-first", "static"]),
    help="Default: the framework's.",
)
@click.option(
    "--max-batched-tokens",
    "--chunk",
    type=_AT_LEAST_ONE,
    help="Tokens of a step. Default: the framework's.",
)
@click.option(
    "--max-model-len", type=_AT_LEAST_ONE, help="Longest prompt plus answer. Default: the model's context."
)
@click.option(
    "--max-num-seqs",
    type=_AT_LEAST_ONE,
    help="Sequences at a time. Default: the framework's.",
)
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
    "--prefix-share",
    type=float,
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Cached share of every prompt, where the trace has no prefixes of its own.",
)
@click.option(
    "--tiers", metavar="LIST", default="", help='KV below HBM: "host=512 GB, cxl=4 TB, flash=100 TB".'
)
@click.option("--eviction", type=click.Choice(["lru", "lfu"]), default="lru", show_default=True)
@click.option("--queue-limit", type=int, help="Requests that may wait on a replica; more are refused.")
@click.option("--timeout", metavar="TIME", help="Requests that wait longer are dropped.")
@click.option("--mtbf", metavar="TIME", help="Mean time between failures of a replica.")
@click.option("--repair", metavar="TIME", default="10 min", show_default=True)
@click.option("--autoscale", type=_ABOVE_ZERO, metavar="N", help="Aim at N outstanding requests a replica.")
@click.option("--start-delay", metavar="TIME", default="2 min", show_default=True)
@click.option("--slo-ttft", metavar="TIME", help="Default: serving.slo.ttft.")
@click.option("--slo-tpot", metavar="TIME", help="Default: serving.slo.tpot.")
@click.option(
    "--find-goodput", is_flag=True, help="Search the largest Poisson rate that meets the objectives."
)
@click.option(
    "--attainment",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    default=0.9,
    show_default=True,
    help="Share of requests that must.",
)
@click.option(
    "--band/--no-band",
    default=True,
    show_default=True,
    help="Two more runs (with --find-goodput, searches), at both ends of the 90 % band of step times.",
)
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

    Steps take the time of the operators of `estimate`, with the framework's constants. TPOT is (end to end - TTFT)/
    (tokens - 1). Ctrl-C stops and reports what was finished, marked partial.

    \b
    suanli simulate scenarios/sim-llama2-7b-a100.toml --trace azure.csv --qps 4 --chunk 512 -o out
    suanli simulate scenarios/deepseek-day.toml --trace mooncake.jsonl --replicas 2:1 --tiers "host=1 TB"
    """
    from suanli.cli import simulate_show as show
    from suanli.scenario import check, load
    from suanli.study import simulation

    _check_arrivals(given)
    if given["framework"] is not None:
        overrides = (*overrides, f"serving.framework={given['framework']}")
    catalog = open_catalog(overlays)
    plan = load(scenario, overrides)
    check(plan, catalog)
    trace, warnings = _trace(plan, catalog, given)
    made, cluster, kv_bytes = _cluster(plan, catalog, given, trace)
    cluster = simulation.with_prefixes(cluster, trace)
    slo = (
        _seconds(given["slo_ttft"]) or plan.serving.slo.ttft,
        _seconds(given["slo_tpot"]) or plan.serving.slo.tpot,
    )
    warnings += made.notes
    extra: dict[str, dict[str, Any]] = {}
    options: dict[str, Any] = {"host_s": made.host_s, "cached_share": _cached_share(given, trace)}
    if given["find_goodput"]:
        trace, extra = _search(trace, cluster, made, kv_bytes, slo, given, options)
    outcome = _run(trace, cluster, kv_bytes, given, options)
    if outcome.partial:
        warnings.append("Interrupted: the figures are of the requests that were finished.")
    warnings += [f"{n} requests: {how}" for how, n in outcome.ends().items() if how != "completed"]
    found = simulation.metrics(outcome, *slo)
    if given["band"] and not outcome.partial and made.main.step_band > 1.0:
        run = simulation.run_on
        ends = [
            run(simulation.within_band(cluster, made, slow), given["seed"], kv_bytes, **options)(trace)
            for slow in (False, True)
        ]
        top_w = sum(kind.count * made.tdp_w.get(name, math.inf) for name, kind in _kinds(made, cluster))
        measured = [simulation.metrics(end, *slo) for end in ends]
        found = simulation.banded(found, measured, made.main.ttft_band, made.power_error, top_w)
    found |= extra
    life = catalog.fact("assumptions", "economics", "server_life").si if cluster.prefix_cache else math.inf
    uses = simulation.tier_uses(outcome, cluster, kv_bytes, float(life)) if cluster.prefix_cache else []
    for use in uses:
        found |= show.tier_metrics(use)
    document = show.document(plan, found, warnings, given, outcome.partial) | {
        "physics": show.physics(made, given)
    }
    if given["output"]:
        show.write(outcome, document, Path(given["output"]), given)
    if as_json:
        print_json(document)
    else:
        show.print_(plan.name, document)
    return 130 if outcome.partial else 0


def _kinds(made: Deployment, cluster: Cluster) -> list[tuple[str, Replica]]:
    return list(zip(made.pools, cluster.replicas, strict=True))


def _check_arrivals(given: dict[str, Any]) -> None:
    """Refuse rates that cannot be, and arrivals of which one option would be passed over for another."""
    from suanli.errors import InputError

    clients, kind, qps = given["clients"] is not None, given["arrivals"], given["qps"]
    if qps is not None and not 0.0 < qps < math.inf:
        raise InputError(f"--qps must be a rate above 0, got {qps:g}")
    if clients and given["clients"] < 1:
        raise InputError(f"--clients must be at least 1, got {given['clients']}")
    if given["find_goodput"]:
        named = [name for name in ("qps", "clients", "arrivals") if given[name] is not None]
        if named and (named, kind) != (["arrivals"], "poisson"):
            told = " and ".join(f"--{name}" for name in named)
            raise InputError(f"--find-goodput searches the rate of Poisson arrivals itself; leave out {told}")
    elif clients and qps is not None:
        raise InputError(
            "--clients and --qps: clients wait for their answers, a rate does not; give one of them"
        )
    elif clients and kind not in (None, "closed"):
        raise InputError(f"--clients is for --arrivals closed, not {kind}")
    elif kind == "closed" and not clients:
        raise InputError("--arrivals closed needs --clients")


def _seconds(text: str | None) -> float | None:
    from suanli import units

    return None if text is None else units.parse(text, "s")


def _trace(plan: Scenario, catalog: Any, given: dict[str, Any]) -> tuple[Trace, list[str]]:
    from suanli.demand import arrivals, traces
    from suanli.errors import InputError
    from suanli.interop.traces import read_trace

    if not Path(given["trace_file"]).is_file():
        raise InputError(f"--trace {given['trace_file']}: no such trace file")
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
    if given["find_goodput"]:
        return trace, list(read.notes)
    if kind in ("poisson", "gamma", "diurnal") and not qps:
        raise InputError(f"--arrivals {kind} needs --qps")
    if kind == "closed":
        trace = arrivals.closed_loop(trace, given["clients"], _seconds(given["think"]) or 0.0)
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


def _cached_share(given: dict[str, Any], trace: Trace) -> float:
    from suanli.errors import InputError

    share = float(given["prefix_share"])
    if not 0.0 <= share < 1.0:
        raise InputError(f"--prefix-share is a share of prompts, from 0 to below 1; got {share:g}")
    if share > 0.0 and trace.block_start.size and given["prefix_cache"]:
        raise InputError(
            f"--prefix-share: {trace.name} has prefixes of its own; leave it out, or add --no-prefix-cache"
        )
    return share


def _cluster(
    plan: Scenario, catalog: Any, given: dict[str, Any], trace: Trace
) -> tuple[Deployment, Cluster, float]:
    from suanli.errors import InputError
    from suanli.serving.sim import Autoscaling, Failures
    from suanli.study import simulation

    made = simulation.deployment(plan, catalog, trace)
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
    return made, cluster, size


def _search(
    trace: Trace,
    cluster: Cluster,
    made: Deployment,
    kv_bytes: float,
    slo: tuple[float | None, float | None],
    given: dict[str, Any],
    options: dict[str, Any],
) -> tuple[Trace, dict[str, dict[str, Any]]]:
    from suanli.demand import arrivals
    from suanli.study import simulation

    def at_rate(rate: float) -> Trace:
        return arrivals.poisson(trace, rate, given["seed"])

    wanted = {"ttft_s": slo[0], "tpot_s": slo[1], "attainment": given["attainment"]}
    run = simulation.run_on
    rate = simulation.find_goodput(
        at_rate, run(cluster, given["seed"], kv_bytes, **options), **wanted
    ).rate_per_s
    entry: dict[str, Any] = {"value": rate, "unit": "1/s", "low": None, "high": None, "basis": "derived"}
    if given["band"] and made.main.step_band > 1.0:
        low, high = (
            simulation.rate_at_end(
                at_rate,
                run(simulation.within_band(cluster, made, slow), given["seed"], kv_bytes, **options),
                first_per_s=rate,
                **wanted,
            )
            for slow in (True, False)
        )
        entry |= {"low": min(low, rate), "high": max(high, rate) if math.isfinite(high) else None}
    return at_rate(rate), {"sim.largest_rate": entry}


def _run(
    trace: Trace, cluster: Cluster, kv_bytes: float, given: dict[str, Any], options: dict[str, Any]
) -> Outcome:
    from suanli.cli.progress import Progress
    from suanli.errors import InputError
    from suanli.study import simulation

    window = (math.inf, math.inf)
    if given["window"]:
        try:
            start, end = (float(x) for x in given["window"].split(":"))
        except ValueError:
            raise InputError(f"--window {given['window']}: give START:END in seconds") from None
        window = (start, end)
    bar = Progress("requests", len(trace))
    run = simulation.run_on(
        *(cluster, given["seed"], kv_bytes, lambda done, total, now: bar.tick(done)),
        **options,
        window_s=window,
        log_steps=_LOG_ROWS if given["window"] else 0,
    )
    outcome = run(trace)
    bar.close()
    return outcome
