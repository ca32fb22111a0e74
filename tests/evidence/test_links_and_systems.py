"""The catalogue cites claims that exist, and what the coverage page names exists and runs."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from click.testing import CliRunner

from suanli.catalog import Catalog
from suanli.cli.main import VERBS
from suanli.evidence import claims_of, registry
from suanli.evidence.links import cited, dangling, unreasoned
from suanli.evidence.systems import STATES, System, systems, systems_page

ROOT = Path(__file__).parents[2]
CATALOG = Catalog()


def test_catalogue_cites_claims_that_exist() -> None:
    assert not dangling(CATALOG)


def test_no_adopted_value_contradicts_a_better_one_without_a_reason() -> None:
    assert not unreasoned(CATALOG)


def test_the_claims_of_an_entry() -> None:
    found = claims_of(CATALOG, "chips", "huawei-ascend-910b", "memory_bandwidth")
    assert {link.claim.id for link in found} >= {"s000-910b-membw", "s001-910b-bandwidth"}
    assert all(link.reason for link in found)
    rejected = next(link for link in found if link.claim.id == "s000-910b-membw")
    assert rejected.fact.status == "rejected" and cited(rejected.fact) == ["s000-910b-membw"]


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "systems.md").read_text(encoding="utf-8") == systems_page()


@pytest.mark.parametrize("row", systems(), ids=lambda row: row.system[:40])
def test_coverage(row: System) -> None:
    assert row.state in STATES and row.note
    for pattern in row.claims.split(", "):
        assert any(fnmatch.fnmatch(name, pattern) for name in registry().claims), pattern
    assert bool(row.shows) == (row.state in ("works", "partly"))
    if row.shows:
        _exists(row.shows)


def _exists(shows: str) -> None:
    if not shows.startswith("suanli "):
        path = ROOT / shows
        assert path.is_file(), shows
        if path.suffix == ".toml":
            from suanli.scenario import load

            assert load(path).name
        else:
            assert "def test_" in path.read_text(encoding="utf-8")
        return
    verb, *rest = shows.split()[1:]
    if verb == "catalog":
        table, name = rest
        assert CATALOG.model(name) if table == "models" else CATALOG.rows(table, name), shows
    elif verb == "audit":
        from suanli.cli.audit_ import command

        result = CliRunner().invoke(command, [*rest, "--json"], standalone_mode=False)
        assert result.exception is None and '"checks"' in result.output, shows
    else:
        assert verb in VERBS, shows
