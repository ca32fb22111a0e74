"""Plants, converters and climates of the catalogue, as the chain builds them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from suanli.catalog import Catalog
from suanli.cooling import Design, Hours, facts_needed, representative_hours
from suanli.power import CHAINS, Converter, converter_from_facts, parameters_used

PDU = "pdu-transformer-isolation"


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture(scope="session")
def converters(catalog) -> dict[str, Converter]:
    found = {}
    for name in {PDU, *(name for chain in CHAINS.values() for name in chain.converters)}:
        rows = {fact.parameter: fact for fact in catalog.rows("converters", name) if fact.status == "adopted"}
        found[name] = converter_from_facts(name, {key: rows[key].si for key in parameters_used(rows)})
    return found


@pytest.fixture(scope="session")
def facts(catalog) -> Callable[[Design], dict[str, float]]:
    return lambda design: {key: catalog.fact("coolers", *key.split("/")).si for key in facts_needed(design)}


@pytest.fixture(scope="session")
def climate(catalog) -> Callable[..., Hours]:
    def of(site: str, **options: float) -> Hours:
        def months(stem: str) -> list[float] | None:
            rows = [catalog.get("sites", site, f"{stem}_{month:02d}") for month in range(1, 13)]
            return [row.si for row in rows] if all(rows) else None

        return representative_hours(
            months("tdb_mean"),
            catalog.fact("sites", site, "daily_range_mean").si,
            wet_bulb_mean_c=months("twb_mean"),
            relative_humidity_mean=months("rh_mean"),
            altitude_m=catalog.fact("sites", site, "altitude").si,
            **options,
        )

    return of
