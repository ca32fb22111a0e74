"""The small cited tables of tests/validation: published serving figures, one metric a row, in printed units."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from suanli.catalog import Catalog
from suanli.errors import InputError, NoDataError, SuanliError
from suanli.study.validate.measured import METRICS, Flag, Measurement, merge
from suanli.study.validate.names import chip_named, model_named
from suanli.study.validate.sanity import checked
from suanli.study.validate.strangers import JUDGED_ONLY

COLUMNS = (
    "family",
    "id",
    "model",
    "chip",
    "n_chips",
    "tp",
    "pp",
    "dp",
    "ep",
    "weights_dtype",
    "kv_dtype",
    "framework",
    "phase",
    "isl",
    "osl",
    "concurrency",
    "protocol",
    "options",
    "metric",
    "value",
    "unit",
    "doubt",
    "source",
    "date",
    "grade",
)
PATTERN = "serving_*.csv"
# Factor to SI by unit; rates per chip or per 8-chip node are taken to the whole deployment.
_UNITS = {"ms": 1e-3, "s": 1.0, "tok/s": 1.0, "W": 1.0, "1": 1.0}
_PER_CHIP = {"tok/s/chip": 1.0, "tok/s/node": 1.0 / 8.0}


def shipped_folder() -> Path:
    """Return the folder of the tables: tests/validation of the source tree.

    Raises:
        NoDataError: the package runs without its source tree.
    """
    folder = Path(__file__).parents[4] / "tests" / "validation"
    if not folder.is_dir():
        raise NoDataError(
            "The validation tables come with the source tree; from an installed package give --data DIR"
        )
    return folder


def read_shipped(folder: Path | None = None, catalog: Catalog | None = None) -> list[Measurement]:
    """Read the tables as measurements, merged and checked like the large one.

    Args:
        folder: where serving_*.csv lie; the source tree's by default.
        catalog: resolves names; the package's own by default.

    Raises:
        InputError: rows that cannot be read, all of them with file and line.
        NoDataError: no source tree.
    """
    catalog = catalog or Catalog()
    found: list[Measurement] = []
    problems: list[str] = []
    for path in sorted((folder or shipped_folder()).glob(PATTERN)):
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                problems.append(f"{path.name}:1 columns must be {','.join(COLUMNS)}")
                continue
            for row in reader:
                try:
                    found.append(_measurement(row, catalog))
                except (SuanliError, ValueError, KeyError) as error:
                    problems.append(f"{path.name}:{reader.line_num} {error}")
    if problems:
        raise InputError("\n".join(problems))
    return checked(merge(found), catalog)


def read_strangers(catalog: Catalog | None = None) -> list[Measurement]:
    """Read the families that only judge, which the large table does not hold; none without a source tree.

    Args:
        catalog: resolves names; the package's own by default.

    Raises:
        InputError: rows that cannot be read.
    """
    try:
        return [one for one in read_shipped(catalog=catalog) if one.family in JUDGED_ONLY]
    except NoDataError:
        return []


def _measurement(row: Mapping[str, str], catalog: Catalog) -> Measurement:
    if row["metric"] not in METRICS:
        raise InputError(f'metric "{row["metric"]}" is none of {", ".join(METRICS)}')
    options = {
        name: float(value)
        for name, _, value in (part.partition("=") for part in row["options"].split(";") if part)
    }
    limit_w = options.pop("power_limit_w", None)
    chips = int(row["n_chips"])
    factor = _UNITS[row["unit"]] if row["unit"] in _UNITS else _PER_CHIP[row["unit"]] * chips
    return Measurement(
        family=row["family"],
        ids=(row["id"],),
        model=model_named(catalog, row["model"]).id,
        chip=chip_named(catalog, row["chip"]),
        n_chips=chips,
        tp=int(row["tp"]),
        pp=int(row["pp"]),
        dp=int(row["dp"]),
        ep=int(row["ep"]),
        weights_dtype=row["weights_dtype"],
        kv_dtype=row["kv_dtype"] or None,
        framework=row["framework"],
        phase=row["phase"],
        isl=float(row["isl"]) if row["isl"] else None,
        osl=float(row["osl"]) if row["osl"] else None,
        concurrency=float(row["concurrency"]) if row["concurrency"] else None,
        protocol=row["protocol"],
        values={row["metric"]: float(row["value"]) * factor},
        mtp=int(options.get("mtp_draft", 0)),
        options=options,
        power_limit_w=limit_w,
        flags=(Flag(row["metric"], "doubt", row["doubt"]),) if row["doubt"] else (),
        source=row["source"],
        date=row["date"],
        grade=row["grade"],
    )
