"""Read the measured table: rows, families, merge, sanity flags, in one call."""

from __future__ import annotations

from pathlib import Path

from suanli.catalog import Catalog
from suanli.study.validate.families import Skipped, measurements
from suanli.study.validate.measured import Measurement, merge, read_rows
from suanli.study.validate.sanity import checked


def read(
    data: Path, catalog: Catalog | None = None, families: tuple[str, ...] = ()
) -> tuple[list[Measurement], list[Skipped]]:
    """Return the measured configurations of a data folder, merged and flagged, and the rows left out with the reason.

    Args:
        data: the folder (with measured/measured_inference.csv).
        catalog: resolves names; the package's own by default.
        families: only these; all by default.

    Raises:
        NoDataError: the folder has no such table.
    """
    catalog = catalog or Catalog()
    rows = [row for row in read_rows(data) if not families or row["source_family"] in families]
    found, skipped = measurements(rows, catalog)
    return checked(merge(found), catalog), skipped
