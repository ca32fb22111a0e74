"""`suanli import vllm-bench | aiperf | kernels`: a user's own measurements refine the fit for his machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import console, json_option, print_json, table

if TYPE_CHECKING:
    from suanli.interop.measurements import Benchmark, Stated
    from suanli.study.deployment.request import Answer
    from suanli.study.refine.fit import Machine
    from suanli.study.refine.own import Refined
    from suanli.study.refine.ownrun import OwnRun

_METRICS = {"tpot_s": "TPOT", "ttft_s": "TTFT"}
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


overlay_option: Decorator = click.option(
    "-o",
    "--output",
    "--catalog",
    "overlay",
    default="my-catalog",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Overlay folder that keeps the runs and what was fitted to them.",
)


def machine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a benchmark file does not hold."""
    whole = click.IntRange(min=1)
    for option in reversed(
        (
            click.option(
                "--chip", required=True, metavar="C", help="Accelerator: id, alias or a name in use."
            ),
            click.option(
                "--chips", type=whole, metavar="N", help="Accelerators. Default: as many as the layout says."
            ),
            click.option("--tp", type=whole, metavar="N", help="Tensor parallelism."),
            click.option("--pp", type=whole, metavar="N", help="Pipeline stages."),
            click.option("--dp", type=whole, metavar="N", help="Data parallelism."),
            click.option("--ep", type=whole, metavar="N", help="Expert parallelism."),
            click.option("--framework", metavar="F", help='"vllm 0.19.0"; where the file does not say it.'),
            click.option("--weights-dtype", metavar="T", help="bf16, fp8 ... Default: the checkpoint's own."),
            click.option("--kv-dtype", metavar="T", help="Format of the KV cache. Default: the framework's."),
            click.option(
                "--model", metavar="M", help="Instead of the file's: id, alias or Hugging Face name."
            ),
            click.option(
                "--option",
                "conditions",
                multiple=True,
                metavar="NAME=VALUE",
                help="A condition of the run, e.g. prefix_hit_share=0.5, length_low_share=0.8. May be repeated.",
            ),
        )
    ):
        function = option(function)
    return function


def _stated(given: dict[str, Any]) -> Stated:
    from suanli.errors import InputError, UnknownIdError
    from suanli.interop.measurements import LAYOUT, Stated
    from suanli.serving.point import OPTIONS

    options = {}
    for text in given["conditions"]:
        name, _, value = text.partition("=")
        if name not in OPTIONS:
            raise UnknownIdError("condition", name, OPTIONS)
        try:
            options[name] = float(value)
        except ValueError:
            raise InputError(f"--option {text}: must be NAME=NUMBER") from None
    return Stated(
        chip=given["chip"],
        n_chips=given["chips"],
        layout={name: given[name] for name in LAYOUT if given[name] is not None},
        framework=given["framework"],
        weights_dtype=given["weights_dtype"],
        kv_dtype=given["kv_dtype"],
        model=given["model"],
        options=options,
    )


@click.command("vllm-bench")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@machine_options
@overlay_option
@json_option
def vllm_bench(results: tuple[Path, ...], overlay: Path, as_json: bool, **given: Any) -> None:
    """Refine the fit with results of `vllm bench serve --save-result` or of SGLang's bench_serving.

    \b
    suanli import vllm-bench run1.json run2.json --chip h200_sxm --tp 4 --framework "vllm 0.19.0"
    suanli estimate --model Qwen/Qwen3-32B --chip h200_sxm --tp 4 --framework "vllm 0.19.0" --catalog my-catalog
    """
    from suanli.interop.vllm_bench import read_vllm_bench

    _take(results, read_vllm_bench, overlay, as_json, given)


@click.command("aiperf")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@machine_options
@overlay_option
@json_option
def aiperf(results: tuple[Path, ...], overlay: Path, as_json: bool, **given: Any) -> None:
    """Refine the fit with AIPerf's profile_export_aiperf.json (or GenAI-Perf's profile_export_genai_perf.json).

    \b
    suanli import aiperf profile_export_aiperf.json --chip h200_sxm --tp 4 --framework "vllm 0.19.0"
    """
    from suanli.interop.aiperf import read_aiperf

    _take(results, read_aiperf, overlay, as_json, given)


def _take(
    results: Sequence[Path],
    reader: Callable[[Path], list[Benchmark]],
    overlay: Path,
    as_json: bool,
    given: dict[str, Any],
) -> None:
    from suanli.catalog import Catalog
    from suanli.cli.progress import Progress
    from suanli.interop.measurements import read_benchmarks
    from suanli.study.refine.own import take

    catalog = Catalog([overlay] if overlay.is_dir() else [])
    read = read_benchmarks(results, reader, _stated(given), catalog)
    for remark in read.remarks:
        click.echo(f"note: {remark}", err=True)
    progress = Progress("refining", 4)
    try:
        found = take(read.runs, overlay, progress=progress.tick)
    finally:
        progress.close()
    for doubt in found.doubts:
        click.echo(f"note: {doubt}", err=True)
    if as_json:
        print_json(_document(found))
    else:
        _print(found)


def _document(found: Refined) -> dict[str, Any]:
    return {
        "schema": "suanli/import/1",
        "overlay": str(found.overlay),
        "runs": [
            {"id": run.id, "file": run.file, "new": run.id in found.added, **_values(run, before, after)}
            for run, before, after in zip(found.runs, found.before, found.after, strict=True)
        ],
        "machines": [_machine(machine) for machine in found.machines],
    }


def _values(run: OwnRun, before: Answer, after: Answer) -> dict[str, Any]:
    return {
        name: {
            "measured": getattr(run, name),
            "before": before.quantities[name].value,
            "after": after.quantities[name].value,
            "low": after.quantities[name].low,
            "high": after.quantities[name].high,
        }
        for name in _METRICS
        if getattr(run, name) is not None
    }


def _machine(machine: Machine) -> dict[str, Any]:
    from suanli.serving.refinement import CORRECTIONS

    one = machine.refinement(("*", "*"))
    errors = [machine.errors(metric) for metric in (0, 1)]
    return {
        "chip": one.chip,
        "framework": one.framework,
        "kind": one.kind,
        "runs": one.runs,
        "factors": {
            name: {"value": one.factors[at], "standard_error": one.covariance[at][at] ** 0.5}
            for at, name in enumerate(CORRECTIONS)
        },
        "error": {
            name: {"before": before, "left_out": after}
            for name, (before, after) in zip(_METRICS, errors, strict=True)
        },
    }


def _print(found: Refined) -> None:
    out = console()
    shown = table(
        f"Measured and predicted, {len(found.runs)} run{'' if len(found.runs) == 1 else 's'} in {found.overlay}",
        *(("run", "left"), ("", "left"), ("measured", "right"), ("before", "right"), ("after", "right")),
    )
    for run, before, after in zip(found.runs, found.before, found.after, strict=True):
        words = [run.file + ("" if run.id in found.added else " (kept)"), f"  {_load(run)}"]
        for (name, label), word in zip(_METRICS.items(), words, strict=True):
            values = [getattr(run, name), before.quantities[name].value, after.quantities[name].value]
            shown.add_row(word, label, *_shown(values))
    out.print(shown)
    for machine in found.machines:
        _print_machine(machine)
    new, last = len(found.added), found.runs[-1]
    layout = "".join(f" --{name} {size}" for name in _LAYOUT if (size := getattr(last, name)))
    click.echo(
        f"{new} new run{'' if new == 1 else 's'}. Estimates with --catalog {found.overlay} use them:\n"
        f"suanli estimate --model {last.model} --chip {last.chip} --n-chips {last.n_chips}{layout} "
        f'--framework "{last.framework}" --isl {last.isl:.0f} --osl {last.osl:.0f} --catalog {found.overlay}'
    )


_LAYOUT = ("tp", "pp", "dp", "ep")


def _load(run: OwnRun) -> str:
    load = f"{run.concurrency:g} clients" if run.concurrency is not None else f"{run.arrival_rate_per_s:g}/s"
    return f"{run.isl:.0f} in, {run.osl:.0f} out, {load}"


def _shown(values: Sequence[float | None]) -> list[str]:
    """Measured, before and after with their errors; "unavailable" where it was not measured."""
    from suanli.units import digits

    measured, *predicted = values
    if measured is None:
        return ["unavailable", *("" for _ in predicted)]
    texts = [f"{digits(1e3 * v, 3)} ms" if v < 1.0 else f"{digits(v, 3)} s" for v in values if v is not None]
    errors = [f" {one / measured - 1.0:+.0%}" for one in predicted if one is not None]
    return [text + error for text, error in zip(texts, ["", *errors], strict=True)]


def _print_machine(machine: Machine) -> None:
    from suanli.study.refine.own import machine_name
    from suanli.study.refine.words import LABELS, factor_words

    scopes = list(dict.fromkeys(machine.found.scopes))
    columns = [("*", "*"), *scopes[:2]]
    shown = table(
        machine_name(machine),
        ("factor", "left"),
        ("any other", "right"),
        *((f"{version} {deployment}".strip(), "right") for version, deployment in columns[1:]),
    )
    refined = [machine.refinement(scope) for scope in columns]
    for name, label in LABELS.items():
        shown.add_row(label, *(factor_words(one, name) for one in refined))
    out = console()
    out.print(shown)
    lines = []
    for metric, label in enumerate(_METRICS.values()):
        before, after = machine.errors(metric)
        if before is not None:
            told = "unavailable from one run" if after is None else f"{after:.0%} with each run left out"
            lines.append(f"{label} {before:.0%} before, {told}")
    out.print(f"Median error: {'; '.join(lines)}.", style="dim")


@click.command("kernels")
@click.argument("tables", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--chip", metavar="C", help="Accelerator, where the file has no column chip.")
@click.option("--framework", metavar="F", help="vllm, sglang, trtllm; any by default.")
@click.option(
    "--operator", metavar="O", help="gemm, attention_decode, moe ...; where the file does not say it."
)
@click.option(
    "--kernel", metavar="K", help="Name of the kernel (fa3, cutlass ...). Default: the framework's main one."
)
@click.option("--dtype", metavar="T", help="Number format, where the file has no column dtype.")
@overlay_option
@json_option
def kernels(tables: tuple[Path, ...], overlay: Path, as_json: bool, **given: Any) -> None:
    """Refine the fit with timed kernels: a CSV with operator, dtype, shape and time_s, or aiconfigurator's tables.

    \b
    suanli import kernels gemm.csv --chip rtx4090 --framework vllm
    """
    from suanli.catalog import Catalog
    from suanli.interop.kernel_tables import StatedKernels, read_kernels
    from suanli.study.refine.kernels import take_kernels

    catalog = Catalog([overlay] if overlay.is_dir() else [])
    fits = take_kernels(read_kernels(tables, StatedKernels(**given), catalog), overlay)
    if as_json:
        names = ("rows", "how", "base", "factor", "standard_error", "before", "after")
        sets = [{"set": list(one.key), **{name: getattr(one, name) for name in names}} for one in fits]
        print_json({"schema": "suanli/import/1", "overlay": str(overlay), "sets": sets})
        return
    shown = table(
        f"Kernels in {overlay}",
        *(("operator", "left"), ("chip, format, framework, kernel", "left"), ("rows", "right")),
        *(("", "left"), ("median error", "right")),
    )
    for one in fits:
        how = "fitted" if one.factor is None else f"time x{one.factor:.2f} +- {one.standard_error:.0%}"
        after = "unavailable" if one.after is None else f"{one.after:.1%}"
        shown.add_row(
            one.key[0], ", ".join(one.key[1:]), f"{one.rows:,}", how, f"{one.before:.1%} -> {after}"
        )
    console().print(shown)
    click.echo(f"Every estimate with --catalog {overlay} uses them.")
