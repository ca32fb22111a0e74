"""`suanli estimate`: one deployment's speed, power and price per token; `--batch` for a file of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import catalog_option, console, json_option, open_catalog, print_json, table

if TYPE_CHECKING:
    from suanli.study.deployment.request import Answer, Interval, Request
    from suanli.study.deployment.solve import Deployments

_EXIT = {"ok": 0, "infeasible": 1, "unsupported": 2}
_LABELS = {
    "ttft_s": "TTFT",
    "tpot_s": "TPOT",
    "itl_s": "ITL",
    "output_tokens_per_s": "Output",
    "input_tokens_per_s": "Input",
    "power_w": "Power, accelerators",
    "usd_per_mtok_output": "Cost of output",
}
_MEMORY = (
    "capacity_bytes",
    "weights_bytes",
    "activation_bytes",
    "reserve_bytes",
    "kv_bytes",
    "sequence_bytes",
)
_UNIT_NAMES = {"s": "s", "token/s": "tok/s", "W": "W", "USD/Mtok": "USD/Mtok"}


@click.command()
@click.option(
    "--model", metavar="M", help="Id, alias, Hugging Face name or a config.json. See: suanli catalog models."
)
@click.option("--chip", metavar="C", help="Id, alias or a name in use (h200_sxm). See: suanli catalog chips.")
@click.option("--n-chips", metavar="N", help="Accelerators. Default: as many as the layout says, else 1.")
@click.option("--tp", metavar="N", help="Tensor parallelism. Default: chosen.")
@click.option("--pp", metavar="N", help="Pipeline stages. Default: 1.")
@click.option("--dp", metavar="N", help="Data parallelism (attention groups of a mixture of experts).")
@click.option("--ep", metavar="N", help="Expert parallelism.")
@click.option(
    "--weights-dtype", metavar="T", help="bf16, fp8, nvfp4, int4 ... Default: the checkpoint's own."
)
@click.option("--kv-dtype", metavar="T", help="Format of the KV cache. Default: the framework's.")
@click.option("--framework", metavar="F", help='"vllm 0.19.0", "sglang", "trtllm", or "*" for any (default).')
@click.option("--phase", metavar="P", help="mixed (default), prefill or decode.")
@click.option("--isl", metavar="N", help="Prompt tokens; for phase decode the context so far. Default 1024.")
@click.option("--osl", metavar="N", help="Output tokens. Default 1024.")
@click.option("--concurrency", metavar="N", help="Requests in flight at the whole deployment. Default 1.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=N",
    help="Further condition, such as mtp_draft=1 or prefix_hit_share=0.5. May be repeated.",
)
@click.option(
    "--batch",
    metavar="FILE",
    help="CSV of points with the names above as columns (n_chips, weights_dtype ...); columns named like options are "
    "read as such, others pass through.",
)
@click.option("-o", "--output", metavar="FILE", help="With --batch: the CSV to write.")
@catalog_option
@json_option
def command(
    batch: str | None,
    output: str | None,
    options: tuple[str, ...],
    overlays: tuple[str, ...],
    as_json: bool,
    **fields: str | None,
) -> int:
    """Estimate TTFT, TPOT, tokens/s, watts and $/Mtok of a deployment, each with its 90 % band.

    TPOT is (end to end - TTFT)/(tokens - 1). Rates and power are of the whole deployment.

    \b
    suanli estimate --model Qwen/Qwen3-32B --chip h200_sxm --tp 4 --isl 4096 --osl 512 --concurrency 32
    suanli estimate --batch points.csv -o out.csv
    """
    from suanli.errors import InputError
    from suanli.study.deployment.solve import Deployments

    texts = {name: value for name, value in fields.items() if value is not None}
    if batch is not None:
        if texts or options:
            given = [*_flags(texts), *(["option"] if options else [])]
            raise InputError(f"--batch takes its points from the file; leave out --{'; --'.join(given)}")
        if output is None:
            raise InputError("--batch needs -o FILE for the answers")
        return _batch(Deployments(open_catalog(overlays)), batch, output, as_json)
    if output is not None:
        raise InputError("-o goes with --batch; for one point redirect --json to a file")
    return _one(Deployments(open_catalog(overlays)), texts | _options(options), as_json)


def _flags(texts: dict[str, str]) -> list[str]:
    return [name.replace("_", "-") for name in texts]


def _options(texts: tuple[str, ...]) -> dict[str, str]:
    from suanli.errors import InputError, UnknownIdError
    from suanli.serving.point import OPTIONS

    found = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (equals and value):
            raise InputError(f'--option "{text}": write NAME=NUMBER, such as mtp_draft=1')
        if name not in OPTIONS:
            raise UnknownIdError("option", name, OPTIONS)
        found[name] = value
    return found


def _batch(deployments: Deployments, batch: str, output: str, as_json: bool) -> int:
    from suanli.cli.progress import Progress
    from suanli.interop.points import answer_rows, common_reasons, mixed_prices, read_points, write_answers

    points = read_points(batch)
    for remark in points.remarks:
        click.echo(f"note: {remark}", err=True)
    progress = Progress("estimating", len(points.rows))
    try:
        answers = answer_rows(points, deployments.answers, progress.tick)
        counts = write_answers(output, points, answers)
    finally:
        progress.close()
    mixed = mixed_prices(answers)
    if mixed:
        click.echo(f"note: {mixed}", err=True)
    if as_json:
        print_json({"schema": "suanli/batch/1", "rows": len(points.rows), "output": output, "status": counts})
    else:
        said = (
            ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items(), key=lambda i: -i[1]))
            or "no rows"
        )
        click.echo(f"{output}: {said}")
        for reason, rows in common_reasons(answers):
            click.echo(f"  {rows:,} x {reason}")
    return 0


def _one(deployments: Deployments, texts: dict[str, str], as_json: bool) -> int:
    from suanli.errors import InputError
    from suanli.interop.points import request_of
    from suanli.study.deployment.remarks import with_remedy

    request, problems = request_of(texts)
    if request is None:
        raise InputError("\n".join(f"--{_dashed(problem)}" for problem in problems))
    answer = with_remedy(deployments, request, deployments.answer(request))
    if as_json:
        print_json(_document(request, answer) | _refinement(deployments, request, answer))
        return _EXIT[answer.status]
    if answer.status != "ok":
        word = "Infeasible" if answer.status == "infeasible" else "suanli"
        click.echo(f"{word}: {answer.reason}", err=True)
        return 4 if answer.internal else _EXIT[answer.status]
    _print(deployments, request, answer)
    return 0


def _dashed(problem: str) -> str:
    from suanli.serving.point import OPTIONS

    name, _, rest = problem.partition(" ")
    if name in OPTIONS:
        return f"option {problem}"
    return f"{name.replace('_', '-')} {rest}"


def _document(request: Request, answer: Answer) -> dict[str, Any]:
    from suanli import __version__
    from suanli.study.deployment.request import QUANTITIES

    metrics = {
        name: {"value": found.value, "low": found.low, "high": found.high, "unit": unit}
        if (found := answer.quantities.get(name))
        else {
            "value": None,
            "unit": unit,
            "reason": answer.unknown.get(name, answer.reason or "not part of this phase"),
        }
        for name, unit in QUANTITIES.items()
    }
    document = {
        "schema": "suanli/estimate/1",
        "version": __version__,
        "request": {name: getattr(request, name) for name in request.__slots__}
        | {"options": dict(request.options)},
        "status": answer.status,
        "reason": answer.reason,
        "basis": answer.basis,
        "metrics": metrics,
    }
    return {**document, **(_details(answer) if answer.status == "ok" else {})}


def _refinement(deployments: Deployments, request: Request, answer: Answer) -> dict[str, Any]:
    """What a user's own runs changed; nothing where there are none for the machine."""
    from suanli.serving.refinement import CORRECTIONS
    from suanli.study.refine.words import refinement_of

    found = refinement_of(deployments, request) if answer.status == "ok" else None
    if found is None:
        return {}
    one = found[1]
    factors = dict(zip(CORRECTIONS, one.factors, strict=True))
    return {"refinement": {"fitted_on": one.fitted_on, "measured": one.measured, "factors": factors}}


def _details(answer: Answer) -> dict[str, Any]:
    found = answer.estimate
    placement = found.placement
    return {
        "layout": {name: getattr(placement, name) for name in ("tp", "pp", "dp", "ep", "replicas")},
        "batch": found.batch,
        "largest_batch": found.largest_batch,
        "memory_bytes": {name: getattr(found.memory, name) for name in _MEMORY} if found.memory else None,
        "bottleneck": found.bottleneck,
        "step_s": dict(found.parts),
        "price_basis": answer.price_basis or None,
        "notes": list(answer.notes),
    }


def _print(deployments: Deployments, request: Request, answer: Answer) -> None:
    from suanli.study.deployment.request import QUANTITIES

    title = f"{request.model} on {_chips(deployments, request, answer)}, {request.phase}"
    shown = table("", ("", "left"), ("estimate", "right"), ("90 % band", "right"))
    shown.title = None
    for name, unit in QUANTITIES.items():
        found = answer.quantities.get(name)
        if found is not None:
            shown.add_row(_LABELS[name], *_values(found, _UNIT_NAMES[unit]))
        elif name in answer.unknown:
            shown.add_row(_LABELS[name], "unavailable", "")
    wall = deployments.wall_w(request, answer)
    if wall is not None:
        shown.add_row("Power, at the wall", *_values(wall, "W"))
    elif "power_w" in answer.quantities:
        shown.add_row("Power, at the wall", "unavailable", "")
    out = console()
    out.print(title, style="bold")
    out.print(shown)
    _print_split(answer)
    for line in _notes(deployments, request, answer):
        out.print(line, style="dim")


def _chips(deployments: Deployments, request: Request, answer: Answer) -> str:
    found = answer.estimate.placement
    copies = f", {found.replicas} replicas" if found.replicas > 1 else ""
    layout = f"tp {found.tp}, pp {found.pp}, dp {found.dp}, ep {found.ep}{copies}"
    return (
        f"{found.chips * found.replicas // deployments.chip(request.chip).ranks} x {request.chip} ({layout})"
    )


def _values(found: Interval, unit: str) -> tuple[str, str]:
    from suanli.units import digits

    scale, name = 1.0, unit
    if unit == "s" and found.value < 1.0:
        scale, name = 1e3, "ms"
    if unit == "W" and found.value >= 1e4:
        scale, name = 1e-3, "kW"
    low, high = (digits(end * scale, 3) for end in (found.low, found.high))
    return f"{digits(found.value * scale, 3)} {name}", f"{low}..{high}"


def _print_split(answer: Answer) -> None:
    """Print where the time of a step goes, largest first, and what limits it."""
    parts = {name: seconds for name, seconds in answer.estimate.parts.items() if seconds > 0.0}
    total = sum(parts.values())
    if not total:
        return
    shown = table(
        "Where a step's time goes", ("operator", "left"), ("ms", "right"), ("share", "right"), ("", "left")
    )
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    rest = sum(seconds for _, seconds in ordered[10:])
    for name, seconds in [*ordered[:10], *([("others", rest)] if rest else [])]:
        share = seconds / total
        shown.add_row(name.replace("_", " "), f"{1e3 * seconds:.3f}", f"{share:.1%}", "#" * round(24 * share))
    console().print(shown)


def _memory_lines(found: Any) -> list[str]:
    if found.memory is None:
        return []
    weights, kv, capacity = (
        getattr(found.memory, f"{name}_bytes") / 1e9 for name in ("weights", "kv", "capacity")
    )
    line = f"Memory of a chip: {weights:.1f} GB weights, {kv:.1f} GB for KV, of {capacity:.0f} GB."
    if found.largest_batch is not None:
        line += f" Largest batch: {found.largest_batch:,.0f} sequences."
    return [line]


def _notes(deployments: Deployments, request: Request, answer: Answer) -> list[str]:
    basis = {
        "calibrated": "kernels of this chip were measured",
        "family": "kernels of a chip of the same family were measured",
        "datasheet": "no kernels of this chip family were measured: datasheet and a general prior",
    }
    from suanli.study.refine.words import refined_line

    found = answer.estimate
    cost = deployments.cost(deployments.chip(request.chip).id)
    lines = [f"Bottleneck: {found.bottleneck}. Basis: {answer.basis} ({basis.get(answer.basis, '')})."]
    refined = refined_line(deployments, request, answer)
    lines += [refined] if refined else []
    if cost is not None:
        lines.append(f"Price: {cost.usd_per_s.value * 3600:.2f} USD/h a chip ({cost.basis}).")
    lines += [f"{_LABELS[name]} unavailable: {why}." for name, why in answer.unknown.items()]
    if "power_w" in answer.quantities and (why := deployments.no_wall(deployments.chip(request.chip))):
        lines.append(f"Power at the wall unavailable: {why}.")
    lines += [*_memory_lines(found), *answer.notes]
    return lines
