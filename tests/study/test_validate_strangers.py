"""Families that only judge: cited row by row, kept out of every fit, and nearly all of them answered."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from suanli import catalog
from suanli.catalog import Catalog
from suanli.errors import NoDataError
from suanli.serving.point import OPTIONS
from suanli.study.calibrate import serving_rows
from suanli.study.deployment.solve import Deployments
from suanli.study.validate import FAMILIES, JUDGED_ONLY, shipped
from suanli.study.validate.board import FAMILY_NAMES, FITTED_HALVES
from suanli.study.validate.families import FAMILIES as MEASURED
from suanli.study.validate.predict import pairs
from suanli.study.validate.targets import TARGETS

CATALOG = Catalog()
# Factor beyond which a row is more likely misread (a unit, a denominator) than mispredicted.
MISREAD = 30.0


def rows() -> list[dict[str, str]]:
    with (shipped.shipped_folder() / "serving_strangers.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_row_says_where_and_when() -> None:
    ids = [row["id"] for row in rows()]
    assert len(ids) == len(set(ids)) >= 80
    for row in rows():
        assert row["family"] in JUDGED_ONLY, row["id"]
        assert row["grade"] in "ABC", row["id"]
        assert re.match(r"20[12]\d", row["date"]), row["id"]
        cited = re.search(r"@[0-9a-f]{7}", row["source"]) or re.search(
            r"\w+\.(com|org)[/ ]|(issue|pull request) \d", row["source"]
        )
        assert cited, row["source"]
        options = [part.partition("=")[0] for part in row["options"].split(";") if part]
        assert set(options) <= {*OPTIONS, "power_limit_w"}, row["id"]


def test_they_are_families_of_their_own_that_nothing_is_fitted_or_targeted_on() -> None:
    assert set(JUDGED_ONLY).isdisjoint(MEASURED)
    assert set(JUDGED_ONLY) <= set(FAMILIES)
    assert set(JUDGED_ONLY).isdisjoint(serving_rows.FAMILIES)
    assert set(JUDGED_ONLY).isdisjoint(FITTED_HALVES)
    assert not any(set(target.families) & set(JUDGED_ONLY) for target in TARGETS)
    assert all(FAMILY_NAMES[family].endswith("(judged only)") for family in JUDGED_ONLY)
    for name in ("calibration", "frameworks", "power_model"):
        with (Path(catalog.__file__).parent / "data" / f"{name}.csv").open(
            encoding="utf-8", newline=""
        ) as file:
            fitted = {word for row in csv.DictReader(file) for word in re.findall(r"\w+", row["fitted_on"])}
        assert fitted
        assert fitted.isdisjoint(JUDGED_ONLY), name


def test_an_installed_package_judges_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise NoDataError("no source tree")

    monkeypatch.setattr(shipped, "shipped_folder", missing)
    assert shipped.read_strangers(CATALOG) == []


def test_nearly_all_are_answered_with_a_band_and_none_is_misread() -> None:
    strangers = shipped.read_strangers(CATALOG)
    assert {one.family for one in strangers} == set(JUDGED_ONLY)
    found = pairs(strangers, Deployments(CATALOG).answers)
    answered = [pair for pair in found if pair.predicted is not None]
    assert len(answered) >= 0.95 * len(found)
    for pair in answered:
        assert pair.low and pair.high and pair.low <= pair.predicted <= pair.high
        assert 1.0 / MISREAD < pair.predicted / pair.measured < MISREAD, pair.measurement.ids
