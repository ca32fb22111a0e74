"""Run the checks: resolve references, compute, compare, look for the one change that would reconcile."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from suanli.errors import SuanliError
from suanli.evidence.causes import Case, cause
from suanli.evidence.claims import Claim, Registry, registry
from suanli.evidence.expression import Program, compile_expression
from suanli.evidence.number import Number, number, small_count
from suanli.evidence.quantity import conversion
from suanli.evidence.relation import Relation, relations
from suanli.evidence.verdict import VERDICTS, Outcome, evaluate, judge, plain

_LITERALS = re.compile(r"[-+]?\d[\d.]*(?:[eE][-+]?\d+)?|null|None")
_PAIR = re.compile(r"^(?:growth|change|cagr|cut)(?:_percent)?\({([^{}:/]+)}, {([^{}:/]+)}(?:, [\d.]+)?\)$")
_ADDED = re.compile(r"^{[^{}:/]+}(?: [-+] {[^{}:/]+})*$")
_SINGLE = re.compile(r"^{([^{}:/]+)}$")


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    relation: Relation
    subject: str
    printed: Any
    computed: Any
    verdict: str
    cause: str
    claim_value: Any = None
    slip: str = ""

    def document(self) -> dict[str, Any]:
        """The entry of `--json`: for a derived check, `printed` is the claim's value and `anchor` what we expect."""
        entry: dict[str, Any] = {"claim": self.relation.claim, "check": self.relation.id}
        entry |= {"relation": self.relation.relation, "expression": self.relation.expression}
        if self.relation.kind == "derived":
            entry |= {"printed": self.claim_value, "anchor": _json(self.printed)}
        else:
            entry["printed"] = _json(self.printed)
        return entry | {"computed": _json(self.computed), "verdict": self.verdict, "cause": self.cause}


@dataclass(frozen=True, slots=True)
class Audit:
    """All findings and what they were made from."""

    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many checks came out how."""
        found = Counter(finding.verdict for finding in self.findings)
        return {verdict: found.get(verdict, 0) for verdict in VERDICTS}

    @property
    def contradictions(self) -> list[Finding]:
        """The inconsistent ones."""
        return [finding for finding in self.findings if finding.verdict == "inconsistent"]

    def document(self) -> dict[str, Any]:
        """What `suanli audit --json` prints."""
        counts = {"checks": len(self.findings), **self.counts}
        return {
            "schema": "suanli/audit/1",
            "counts": counts,
            "checks": [finding.document() for finding in self.findings],
        }


def audit(
    checks: Iterable[Relation] | None = None,
    claims: Registry | None = None,
    wanted: Callable[[Relation, Claim], bool] | None = None,
) -> Audit:
    """Run checks; one that cannot be computed is unjudged with the reason, and the others still run.

    Args:
        checks: the relations; by default those that ship with suanli.
        claims: where ids are looked up; by default the registry.
        wanted: keeps a check; all by default.
    """
    source = claims or registry()
    findings = []
    for check in relations() if checks is None else checks:
        claim = source.claims.get(check.claim)
        if claim is None:
            findings.append(_unjudged(check, "", f'no claim "{check.claim}"'))
        elif wanted is None or wanted(check, claim):
            findings.append(_run(check, claim, source))
    return Audit(tuple(findings))


def _run(check: Relation, claim: Claim, source: Registry) -> Finding:
    try:
        program = compile_expression(check.expression)
        operands = [source.operand(reference) for reference in program.references]
        operands = _one_unit(program, check, source, operands)
        computed = evaluate(program, operands)
        printed = _printed(check, source)
        verdict, places = judge(
            computed,
            printed,
            bound=check.bound,
            exact=check.kind == "identity",
            about=claim.approximate,
            same=check.relation == "same" and check.kind != "identity",
            outside=check.kind == "printed" and any(_outside(source, name) for name in program.references),
        )
    except SuanliError as error:
        return _unjudged(check, claim.subject, str(error))
    except (TypeError, IndexError, ZeroDivisionError, OverflowError) as error:
        return _unjudged(check, claim.subject, f"cannot be computed: {error}")
    slip, why = "", ""
    if verdict == "inconsistent":
        case = Case(check, claim, program, operands, computed, printed, places, _labels(claim, check))
        slip, why = cause(case)
    elif verdict == "unjudged":
        why = "nothing to compare: a value is missing or the rows differ in length"
    value = (
        plain(number(claim.value))
        if claim.value
        else [claim.low, claim.high]
        if claim.low or claim.high
        else None
    )
    value = claim.value if value is None and claim.value else value
    return Finding(check, claim.subject, printed.value, computed.value, verdict, why, value, slip)


def _outside(source: Registry, reference: str) -> bool:
    figure = source.figures.get(reference)
    return figure is not None and figure.origin == "external"


def _unjudged(check: Relation, subject: str, why: str) -> Finding:
    return Finding(check, subject, None, None, "unjudged", why)


def _printed(check: Relation, source: Registry) -> Outcome:
    """What the report prints: a claim, a row, or digits (exact where they are a definition or a small count)."""
    text = check.printed.strip()
    exact = check.kind == "identity"
    if text.startswith("[") and "{" not in text:
        cells = [_literal(item, exact) for item in _LITERALS.findall(text)]
        halves = [cell.half if cell else 0.0 for cell in cells]
        wide = [cell.loose if cell else 0.0 for cell in cells]
        return Outcome([plain(cell) for cell in cells], halves, wide)
    read = _literal(text, exact)
    if read is not None:
        return Outcome(read.value, read.half, read.loose)
    program = compile_expression(text)
    return evaluate(program, [source.operand(reference, printed=True) for reference in program.references])


def _literal(text: str, exact: bool) -> Number | None:
    read = number(text)
    if read is None:
        return None
    return Number(read.value) if exact or ("." not in text and small_count(read.value)) else read


def _one_unit(program: Program, check: Relation, source: Registry, operands: list[Any]) -> list[Any]:
    """Bring amounts that are compared or added as they stand to one unit: growth, savings, sums and differences.

    An expression that scales its operands itself is left alone.

    Raises:
        UnitError: two of them measure different things.
    """
    pair, added = _PAIR.match(check.expression), _ADDED.match(check.expression)
    units = [source.unit(reference) for reference in program.references]
    if not (pair or added) or not all(units):
        return operands
    target = units[0]
    single = _SINGLE.match(check.printed.strip())
    if added and single and source.unit(single[1]):
        target = source.unit(single[1])
    return [_scaled(operand, conversion(unit, target)) for operand, unit in zip(operands, units, strict=True)]


def _scaled(operand: Any, factor: float) -> Any:
    if not isinstance(operand, Number) or factor == 1.0:
        return operand
    return Number(operand.value * factor, operand.half * factor, operand.loose * factor)


def _labels(claim: Claim, check: Relation) -> Sequence[str]:
    if not re.search(r":[^{}\[\]]+(\[-?\d*:-?\d*\])?}", check.expression):
        return []
    for name in ("years", "columns", "year", "month"):
        if name in claim.rows:
            return [str(cell) for cell in claim.rows[name]]
    return []


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return value
