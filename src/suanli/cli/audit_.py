"""`suanli audit [REPORT|SUBJECT|FILE.toml]`: recompute what reports claim and say where they contradict themselves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import json_option, print_json

if TYPE_CHECKING:
    from suanli.evidence import Across, Audit, Claim, Finding, Relation

_MARK = {"consistent": "ok", "rounding": "ok", "inconsistent": "!!", "unjudged": "??"}
_WIDTH = 26


@click.command()
@click.argument("what", metavar="[REPORT|SUBJECT|FILE.toml]", required=False)
@click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    help="List these too: consistent, rounding, unjudged. May be repeated.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write an HTML page with filters."
)
@click.option(
    "--export-rule",
    is_flag=True,
    help="Classify every chip under the export rule, and check the reports' table.",
)
@json_option
def command(
    what: str | None, verdicts: tuple[str, ...], output: Path | None, export_rule: bool, as_json: bool
) -> int:
    """Recompute what reports claim: counts, and every contradiction with both figures and its likely cause.

    \b
    suanli audit                      every report
    suanli audit s001                 one report
    suanli audit rack/cloudmatrix-384 one subject
    suanli audit my-claims.toml       a file of your own
    suanli audit --export-rule        chips under the export rule
    Exit code 1 where a contradiction is found.
    """
    from suanli.errors import InputError
    from suanli.evidence.verdict import VERDICTS

    if export_rule:
        return _export_rule(as_json)
    for verdict in verdicts:
        if verdict not in VERDICTS:
            raise InputError(f'--verdict "{verdict}": one of {", ".join(VERDICTS)}')
    found, places = _run(what)
    if output is not None:
        from suanli.report.audit import audit_page

        output.write_text(audit_page(found, places, what or "all reports"), encoding="utf-8")
        click.echo(f"{output}: {len(found.findings)} checks", err=True)
    if as_json:
        document = found.document()
        document["across"] = [place.document() for place in places]
        print_json(document)
    else:
        _show(found, places, {"inconsistent", *verdicts})
    return 1 if found.contradictions or any(place.verdict == "inconsistent" for place in places) else 0


def _run(what: str | None) -> tuple[Audit, list[Across]]:
    from suanli.evidence import across, audit, read_claims
    from suanli.evidence.across import groups

    if what is None:
        return audit(), across()
    if what.endswith(".toml"):
        claims, checks = read_claims(Path(what))
        return audit(checks, claims), []
    keep = _filter(what)
    found = audit(wanted=lambda check, claim: keep(claim))
    names = {name for _, ids in groups() for name in ids if keep(_claim(name))}
    return found, across(wanted=[(q, ids) for q, ids in groups() if any(name in names for name in ids)])


def _claim(name: str) -> Claim:
    from suanli.evidence import registry

    return registry().claim(name)


def _filter(what: str) -> Any:
    """A report ("s001", "001"), a claim id, a subject ("rack/cloudmatrix-384") or its class ("rack")."""
    from suanli.errors import UnknownIdError
    from suanli.evidence import registry, reports

    name = what.strip().lower().rstrip("/")
    report = f"s{name.removeprefix('seed-').removeprefix('s')}"
    if report in reports():
        return lambda claim: claim.report == report
    if name in registry().claims:
        return lambda claim: claim.id == name
    subjects = {claim.subject for claim in registry()}
    folded = {subject.lower() for subject in subjects}
    if name in folded or any(subject.startswith(f"{name}/") for subject in folded):
        return lambda claim: f"{claim.subject.lower()}/".startswith(f"{name}/")
    if any(subject.partition("/")[2] == name for subject in folded):
        return lambda claim: claim.subject.lower().partition("/")[2] == name
    raise UnknownIdError("report or subject", what, [*reports(), *sorted(subjects)], see="suanli audit")


def _show(found: Audit, places: list[Across], listed: set[str]) -> None:
    _counts(found)
    findings = [finding for finding in found.findings if finding.verdict in listed]
    for verdict in ("inconsistent", "unjudged", "rounding", "consistent"):
        chosen = [finding for finding in findings if finding.verdict == verdict]
        if chosen:
            click.echo(f"\n{verdict}: {len(chosen)}")
            for finding in chosen:
                click.echo(_line(finding))
    apart = [place for place in places if place.verdict == "inconsistent"]
    if places:
        click.echo(f"\nThe same quantity in several places: {len(places)}, of which {len(apart)} disagree")
    for place in apart:
        click.echo(f"!! {place.quantity} ({place.cause})")
        for name, shown, date in zip(place.claims, place.shown, place.dates, strict=True):
            click.echo(f"     {shown:<{_WIDTH}} {name}, {date}")
    slips = Counter(finding.slip for finding in found.contradictions)
    if slips:
        click.echo("\nLikely causes: " + ", ".join(f"{kind} {count}" for kind, count in slips.most_common()))


def _export_rule(as_json: bool) -> int:
    from suanli.catalog import Catalog
    from suanli.evidence.export_rule import export_rows, report_table, thresholds

    catalog = Catalog()
    chips, table = export_rows(catalog), report_table(catalog)
    broken = [row for row in table if row.breaks_own_rule or row.breaks_real_rule]
    if as_json:
        rows = [{name: getattr(row, name) for name in row.__slots__} for row in table]
        document = {"schema": "suanli/export-rule/1", "cites": thresholds(catalog).cites}
        print_json(document | {"chips": [chip.document() for chip in chips], "report_table": rows})
        return 1 if broken else 0
    click.echo(f"{'chip':<26}{'TPP':>8}{'PD':>8}  {'October 2022':<14}{'October 2023':<14}January 2026")
    for chip in chips:
        density = "" if chip.density_per_mm2 is None else f"{chip.density_per_mm2:.2f}"
        tpp = "" if chip.tpp is None else f"{chip.tpp:,.0f}"
        status = f"{chip.october_2022:<14}{chip.october_2023:<14}{chip.january_2026}"
        click.echo(f"{chip.chip:<26}{tpp:>8}{density:>8}  {status}")
    click.echo("By number alone; the 2023 rule exempts parts not meant for data centres below TPP 4800.")
    click.echo(f"Thresholds: {'; '.join(thresholds(catalog).cites)}")
    click.echo(f"\nThe report's table of restricted parts: {len(broken)} of {len(table)} rows are wrong")
    for row in broken:
        faults = "; ".join(filter(None, (row.breaks_own_rule, row.breaks_real_rule)))
        click.echo(f"!! {row.claim} {row.part}: {faults}")
    return 1 if broken else 0


def _counts(found: Audit) -> None:
    from suanli.evidence import reports

    rows: dict[str, Counter[str]] = {}
    for finding in found.findings:
        rows.setdefault(finding.relation.claim.partition("-")[0], Counter())[finding.verdict] += 1
    click.echo(
        f"{'report':<34}{'checks':>8}{'consistent':>12}{'rounding':>10}{'inconsistent':>14}{'unjudged':>10}"
    )
    for name, counts in rows.items():
        about = reports().get(name)
        title = f"{name} {about['publisher']}, {about['date']}" if about else name
        click.echo(f"{title[:33]:<34}{_numbers(counts)}")
    if len(rows) > 1:
        click.echo(f"{'all':<34}{_numbers(sum(rows.values(), Counter()))}")


def _numbers(counts: Counter[str]) -> str:
    total = sum(counts.values())
    widths = {"consistent": 12, "rounding": 10, "inconsistent": 14, "unjudged": 10}
    return f"{total:>8}" + "".join(f"{counts[name]:>{width}}" for name, width in widths.items())


def _line(finding: Finding) -> str:
    check: Relation = finding.relation
    figures = f"printed {figure(finding.printed)}, computed {figure(finding.computed)}"
    if finding.verdict == "unjudged":
        figures = "not judged"
    cause = f"\n     {finding.cause}" if finding.cause else ""
    return f"{_MARK[finding.verdict]} {check.id} [{check.relation}] {figures}{cause}"


def figure(value: Any) -> str:
    """A value for people: five significant digits, rows in brackets."""
    if isinstance(value, list):
        return "[" + ", ".join(figure(item) for item in value) + "]"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (
            {True: "true", False: "false", None: "none"}.get(value, str(value))
            if not isinstance(value, str)
            else value
        )
    return f"{value:,.0f}" if abs(value) >= 1e5 and abs(value) < 1e15 else f"{value:.5g}"
