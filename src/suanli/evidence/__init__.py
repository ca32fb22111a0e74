"""What reports claim, recomputed: a registry of facts, the relations between them, and where they contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suanli.evidence.across import Across, across
from suanli.evidence.audit import Audit, Finding, audit
from suanli.evidence.claims import Claim, Registry, registry, reports
from suanli.evidence.relation import KINDS, Relation, relations
from suanli.evidence.userfile import read_claims

if TYPE_CHECKING:
    from suanli.catalog import Catalog
    from suanli.evidence.against_model import ModelRow
    from suanli.evidence.links import Linked

__all__ = [
    "KINDS",
    "Across",
    "Audit",
    "Claim",
    "Finding",
    "Registry",
    "Relation",
    "across",
    "audit",
    "claims_of",
    "model_rows",
    "read_claims",
    "registry",
    "relations",
    "reports",
]


def model_rows(catalog: Catalog | None = None) -> list[ModelRow]:
    """Compute every comparison of a claim with our own layers, for `suanli validate --claims`.

    Args:
        catalog: the catalogue; the package's own by default.

    Returns:
        One row each: printed, computed, verdict, and how or what is missing.
    """
    from suanli.evidence.against_model import model_rows as rows

    return rows(catalog)


def claims_of(catalog: Catalog, table: str, name: str, parameter: str | None = None) -> list[Linked]:
    """List the claims behind the rows of a catalogue entry, for `suanli catalog TABLE ID`.

    Args:
        catalog: the catalogue.
        table: its table.
        name: the entry's id or alias.
        parameter: one parameter; all by default.

    Returns:
        Pairs of catalogue row and claim; `reason` says what became of it.
    """
    from suanli.evidence.links import claims_of as found

    return found(catalog, table, name, parameter)
