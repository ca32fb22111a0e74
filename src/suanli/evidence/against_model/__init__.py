"""Claims whose other side is our own chain: printed, computed, verdict."""

from __future__ import annotations

from suanli.catalog import Catalog
from suanli.evidence.against_model import machines, models, plant
from suanli.evidence.against_model.row import Comparison, ModelRow
from suanli.evidence.claims import Registry, registry

COMPARISONS: tuple[Comparison, ...] = (*models.ROWS, *machines.ROWS, *plant.ROWS)


def model_rows(catalog: Catalog | None = None, claims: Registry | None = None) -> list[ModelRow]:
    """Compute every comparison of a claim with the layers that can compute it.

    Args:
        catalog: the catalogue; the package's own by default.
        claims: the registry; ours by default.

    Returns:
        One row each; a comparison that cannot be computed is unjudged and says what is missing.
    """
    source, known = catalog or Catalog(), claims or registry()
    return [comparison.run(source, known) for comparison in COMPARISONS]


__all__ = ["COMPARISONS", "ModelRow", "model_rows"]
