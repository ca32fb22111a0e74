"""What reports claim, recomputed: a registry of facts, the relations between them, and where they contradict."""

from suanli.evidence.across import Across, across
from suanli.evidence.audit import Audit, Finding, audit
from suanli.evidence.claims import Claim, Registry, registry, reports
from suanli.evidence.relation import KINDS, Relation, relations
from suanli.evidence.userfile import read_claims

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
    "read_claims",
    "registry",
    "relations",
    "reports",
]
