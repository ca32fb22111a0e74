"""Entry point: a click group that loads a verb's module when the verb is used, and turns errors into one clear line."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from suanli import __version__
from suanli.errors import SuanliError, close_matches

VERBS = {
    "run": "Run a scenario: tokens, fleet, watts, cost, return. The main job.",
    "estimate": "One deployment: TTFT, TPOT, tokens/s, watts, $/Mtok; --batch for many.",
    "recommend": "Search deployments under objectives within chips, budget or power.",
    "simulate": "Requests one by one from a trace: percentiles, goodput, files.",
    "compare": "Compare scenarios: what differs in inputs and results.",
    "explain": "Show where a number of a run comes from, down to sources.",
    "catalog": "Look up chips, systems, links, sites, prices and models.",
    "validate": "Predictions against published measurements; --claims: reports against us.",
    "calibrate": "Fit the operator coefficients again and write the fit report.",
    "audit": "Recompute what reports claim; say where they contradict themselves.",
    "import": "Read files of other tools into an overlay.",
}


class Verbs(click.Group):
    """A group whose commands are modules of this package; `--help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the guide."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one verb."""
        if cmd_name not in VERBS:
            near = close_matches(cmd_name, VERBS, 1)
            ctx.fail(
                f'No verb "{cmd_name}".' + (f' Did you mean "{near[0]}"?' if near else " See: suanli --help")
            )
        module = importlib.import_module(f"suanli.cli.{cmd_name}_")
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(f"suanli.cli.{cmd_name}_.command is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the verbs from the table above, so that help stays fast."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="suanli")
def cli() -> None:
    """suanli (算力): an AI service from tokens to watts to returns in one run.

    Every number carries its formula, its source and its band. Start with:

        suanli run scenarios/deepseek-day.toml
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with 0 ok, 1 infeasible, 2 bad input, 3 missing data, 4 internal error."""
    sys.exit(_run(args))


def _run(args: list[str] | None) -> int:
    try:
        code: Any = cli.main(args=args, standalone_mode=False)
    except SuanliError as error:
        click.echo(f"suanli: {error}" if "\n" not in str(error) else str(error), err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:
        click.echo("suanli: stopped", err=True)
        return 130
    except BrokenPipeError:
        sys.stdout = None  # the reader is gone; nothing is left to flush
        return 0
    except Exception as error:  # the last line of defence: a defect is reported as one, not as a traceback
        click.echo(f"suanli: internal error ({type(error).__name__}: {error}). Please report it.", err=True)
        if _debugging():
            raise
        return 4
    return code if isinstance(code, int) else 0


def _debugging() -> bool:
    import os

    return bool(os.environ.get("SUANLI_DEBUG"))


if __name__ == "__main__":
    main()
