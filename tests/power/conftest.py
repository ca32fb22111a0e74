"""Converters of the catalogue, as the chain builds them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from suanli.catalog import Catalog
from suanli.power import CHAINS, Converter, converter_from_facts, parameters_used


@pytest.fixture(scope="session")
def build() -> Callable[[str], Converter]:
    catalog = Catalog()

    def of(name: str) -> Converter:
        rows = {fact.parameter: fact for fact in catalog.rows("converters", name) if fact.status == "adopted"}
        return converter_from_facts(name, {key: rows[key].si for key in parameters_used(rows)})

    return of


@pytest.fixture(scope="session")
def converters(build) -> dict[str, Converter]:
    return {name: build(name) for chain in CHAINS.values() for name in chain.converters}
