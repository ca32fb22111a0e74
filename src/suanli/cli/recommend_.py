"""`suanli recommend`: search the deployments of a model under objectives and one limited resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import catalog_option, console, json_option, open_catalog, print_json, table

if TYPE_CHECKING:
    from rich.console import Console

    from suanli.study.deployment.solve import Deployments
    from suanli.study.recommend import Question, Recommendation

_SHOWN = 10
_TWO_POOLS = (
    "Rows with two pools: `estimate --batch` answers the decode pool alone, at its own concurrency and price; columns "
    "total_* are of both pools."
)


@click.command()
@click.option("--model", required=True, metavar="M", help="Id, alias, Hugging Face name or a config.json.")
@click.option("--chip", required=True, metavar="C[,C2...]", help="Chips to choose from, ids or aliases.")
@click.option("--isl", required=True, metavar="N", help="Prompt tokens.")
@click.option("--osl", required=True, metavar="N", help="Output tokens.")
@click.option("--chips", metavar="N", help="Limit: number of accelerators.")
@click.option("--budget", metavar="AMOUNT", help='Limit: "5 MUSD" to buy, or "100 USD/h" to rent.')
@click.option("--power", metavar="AMOUNT", help='Limit: "1 MW" at the AC input of the servers.')
@click.option("--ttft-slo", metavar="TIME", help='Longest mean time to first token, "2 s".')
@click.option("--tpot-slo", metavar="TIME", help='Longest time per output token, "30 ms".')
@click.option(
    "--prefix", default="0", show_default=True, metavar="SHARE", help="Share of a prompt in the prefix cache."
)
@click.option(
    "--mode",
    default="both",
    show_default=True,
    type=click.Choice(["aggregated", "disaggregated", "both"]),
    help="Whether prompts are computed on the chips that decode, or in a pool of their own.",
)
@click.option(
    "--framework", default="*", show_default=True, metavar="F", help='"vllm 0.19.0", "sglang", "trtllm".'
)
@click.option(
    "--weights-dtype", metavar="T", help="bf16, fp8, nvfp4, int4 ... Default: the checkpoint's own."
)
@click.option("--kv-dtype", metavar="T", help="Format of the KV cache. Default: the framework's.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=N",
    help="Further condition, such as mtp_draft=1 or chunk_tokens=2048. May be repeated.",
)
@click.option(
    "--export", metavar="ENGINE", help="Write the launch script of the best deployment: vllm or sglang."
)
@click.option("-o", "--output", metavar="FILE", help="CSV of the Pareto front; with --export, the script.")
@catalog_option
@json_option
def command(
    overlays: tuple[str, ...], as_json: bool, output: str | None, export: str | None, **given: Any
) -> None:
    """Search deployments under SLOs and chips, a budget or power; say which is best, why, and what limits it.

    Every legal layout (tp, pp, dp, ep) is tried at every load, with and without a prefill pool. TPOT is (end to end -
    TTFT)/(tokens - 1); TTFT is the mean under load, queueing included. "In flight" counts requests of all replicas,
    prompts in a prefill pool included.

    The CSV of -o is a points file of the pool that emits tokens, which `estimate --batch` answers; its columns total_*
    are of all chips: requests in flight, tokens/s, USD/Mtok, power at the AC input, J/token.

    \b
    suanli recommend --model qwen3-32b --chip h200_sxm --isl 4000 --osl 1000 \\
      --ttft-slo "2 s" --tpot-slo "30 ms" --chips 32
    suanli recommend --model deepseek-v3 --chip h200,b200 --isl 4000 --osl 1000 --power "1 MW"
    """
    from suanli.study.deployment.solve import Deployments
    from suanli.study.recommend import recommend

    question = _question(given, export)
    deployments = Deployments(open_catalog(overlays))
    found = recommend(question, deployments)
    if export is not None:
        _export(found, _config(deployments, question.model), export, output, as_json)
        return
    if output is not None:
        from suanli.interop.front import write_front

        write_front(output, found)
    if as_json:
        print_json(found.document())
        return
    _print(found)
    if output is not None:
        click.echo(f"\nFront: {output} ({found.rows_words})")
        if any(len(row.pools) > 1 for row in found.front):
            _say(_TWO_POOLS, console(), style="dim")


def _question(given: dict[str, Any], export: str | None) -> Question:
    from suanli.errors import InputError
    from suanli.interop.launch import ENGINES
    from suanli.study.recommend.question import MODES, Question, read_limit

    if export is not None and export not in ENGINES:
        raise InputError(f'--export "{export}": no such engine. Choose {" or ".join(ENGINES)}.')
    framework = given["framework"]
    if export is not None and framework.strip() in ("", "*"):
        framework = export
    chips = _number("--chips", given["chips"]) if given["chips"] is not None else None
    if chips is not None and chips != int(chips):
        raise InputError(f"--chips must be a whole number, got {chips:g}")
    return Question(
        model=given["model"],
        chips=tuple(dict.fromkeys(name.strip() for name in given["chip"].split(",") if name.strip())),
        isl=_number("--isl", given["isl"]),
        osl=_number("--osl", given["osl"]),
        limit=read_limit(None if chips is None else int(chips), given["budget"], given["power"]),
        ttft_slo_s=_time("--ttft-slo", given["ttft_slo"]),
        tpot_slo_s=_time("--tpot-slo", given["tpot_slo"]),
        prefix_share=_number("--prefix", given["prefix"]),
        modes=tuple(mode for mode in MODES if given["mode"] in (mode, "both")),
        framework=framework,
        weights_dtype=given["weights_dtype"],
        kv_dtype=given["kv_dtype"],
        options=_options(given["options"]),
    )


def _options(texts: tuple[str, ...]) -> dict[str, float]:
    from suanli.errors import InputError, UnknownIdError
    from suanli.serving.point import OPTIONS

    found = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(f'--option "{text}": write NAME=NUMBER, such as mtp_draft=1')
        if name not in OPTIONS:
            raise UnknownIdError("option", name, OPTIONS)
        found[name] = _number(f"--option {name}", value)
    return found


def _number(flag: str, text: str) -> float:
    from suanli.errors import InputError, UnitError
    from suanli.units import parse

    try:
        return parse(text, "1")
    except UnitError as error:
        raise InputError(f"{flag}: {error}") from None


def _time(flag: str, text: str | None) -> float | None:
    """A time with its unit; a bare number could be seconds or milliseconds, so it is refused."""
    from suanli.errors import InputError, UnitError
    from suanli.units import parse

    if text is None:
        return None
    try:
        float(text)
    except ValueError:
        try:
            return parse(text, "s")
        except UnitError as error:
            raise InputError(f"{flag}: {error}") from None
    raise InputError(f'{flag}: "{text}" has no unit; write "{text} ms" or "{text} s"')


def _export(
    found: Recommendation, config: dict[str, Any], engine: str, output: str | None, as_json: bool
) -> None:
    from suanli.interop.launch import launch_script
    from suanli.interop.launch_plan import launch_plan

    script = launch_script(launch_plan(found.search, found.best, config), engine)
    if output is None:
        click.echo(script, nl=False)
        return
    from suanli.interop.front import write_text

    write_text(output, script)
    if as_json:
        print_json({**found.document(), "script": output})
        return
    _print(found)
    click.echo(f"\nLaunch script for {engine}: {output}")


def _config(deployments: Deployments, name: str) -> dict[str, Any]:
    """The model's config, with its names; empty where only a part of the name is on record."""
    from suanli.errors import UnknownIdError
    from suanli.study.validate.names import model_named

    if name.endswith(".json"):
        return {}
    try:
        return deployments.catalog.model(model_named(deployments.catalog, name).id)
    except UnknownIdError:
        return {}


def _print(found: Recommendation) -> None:
    out = console()
    _say(found.title, out, style="bold")
    _say(found.scope, out, style="dim")
    shown = table(
        "",
        ("deployment", "left"),
        ("in\nflight", "right"),
        ("tok/s/\nuser", "right"),
        ("tok/s/\nchip", "right"),
        ("TTFT", "right"),
        ("USD/\nMtok", "right"),
        ("J/tok", "right"),
        ("nearest\nlimit", "left"),
    )
    for column in shown.columns[1:]:
        column.no_wrap = True
    for row in found.selection(_SHOWN):
        shown.add_row(*found.cells(row), style="bold" if row is found.best else "")
    out.print(shown)
    if len(found.front) > _SHOWN:
        _say(f"Shown are {_SHOWN} of {found.rows_words}; all rows: -o front.csv or --json.", out, style="dim")
    if found.on_front > len(found.front):
        _say("Points that differ by less than 2 % in tok/s/user from a row are left out.", out, style="dim")
    for heading, lines in found.sections():
        out.print(heading, style="bold")
        for line in lines:
            _say(line, out, indent="  ")
    for line in found.notes():
        _say(line, out, style="dim")


def _say(text: str, out: Console, *, style: str = "", indent: str = "") -> None:
    """Print text, wrapped at words to the width of the console, later lines indented."""
    import textwrap

    width = max(out.width, 40)
    wrapped = textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent + "  ")
    out.print(wrapped, style=style, markup=False)
