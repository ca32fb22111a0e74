"""What a recommendation says: as many rows as it names, limits by their own name, prices on one basis."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest

from suanli.study.deployment.solve import Deployments
from suanli.study.recommend import Question, Recommendation, read_limit, recommend
from suanli.study.recommend.constraints import Binding
from suanli.study.recommend.words import best_lines, count, limit_lines

KNOWN = Deployments()
SMALL = Question("qwen3-8b", ("nvidia-h200-sxm",), 1000, 200, read_limit(8, None, None), 2.0, 0.02)
ONE = replace(SMALL, limit=read_limit(1, None, None), modes=("aggregated",))


MIXED = replace(SMALL, chips=("nvidia-h200-sxm", "huawei-ascend-910c"), limit=read_limit(2, None, None))
RENTED = replace(MIXED, chips=("nvidia-h200-sxm", "nvidia-b200-sxm"))
CASES = {"small": SMALL, "one chip": ONE, "rent and owned": MIXED, "rented": RENTED}


@lru_cache(maxsize=4)
def found(case: str) -> Recommendation:
    return recommend(CASES[case], KNOWN)


@pytest.mark.parametrize("number", [3, 4, 5, 7, 10, 11, 23])
def test_as_many_rows_are_shown_as_were_asked_for(number: int) -> None:
    answer = found("small")
    assert len(answer.front) > 23
    # Whichever row is the best, ends and best are shown, in the order of the front.
    for best in answer.front:
        shown = replace(answer, best=best).selection(number)
        assert len(shown) == number
        assert shown[0] is answer.front[0] and shown[-1] is answer.front[-1]
        assert any(row is best for row in shown)
        places = [next(at for at, row in enumerate(answer.front) if row is one) for one in shown]
        assert places == sorted(set(places))
    assert answer.selection(1000) == list(answer.front)


def test_rows_and_points_of_the_front_are_told_apart() -> None:
    answer = found("small")
    assert answer.on_front > len(answer.front)
    assert answer.rows_words == f"{len(answer.front)} rows for {answer.on_front} points of the front"
    assert replace(answer, on_front=len(answer.front)).rows_words == f"{len(answer.front)} rows"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("chips", "number of chips"), ("price", "budget"), ("rent", "budget"), ("power", "power")],
)
def test_what_binds_is_what_was_limited(kind: str, name: str) -> None:
    idle = [Binding("memory", 0.3, 0.0, None, ""), Binding("chips", 1.0, 0.2, None, "")]
    assert limit_lines(idle, 8, kind)[0] == f"Binding: the {name} alone."  # type: ignore[arg-type]
    busy = [Binding("TPOT", 1.0, 0.1, 0.3, ""), idle[1]]
    assert limit_lines(busy, 8, kind)[1].endswith(f"next binds the {name}.")  # type: ignore[arg-type]


def test_one_of_a_thing_is_singular() -> None:
    assert [count(n, "chip") for n in (0, 1, 2, 2048)] == ["0 chips", "1 chip", "2 chips", "2,048 chips"]
    answer = found("one chip")
    assert "(aggregated, 1 chip)" in best_lines(answer.best)[0]
    first = min(answer.front, key=lambda row: row.requests)
    assert first.requests == 1
    assert best_lines(first)[0].endswith(" 1 request in flight.")
    assert "1 meets the objectives" in replace(answer, met=1).scope
    assert read_limit(1, None, None).text == "1 chip"


def test_a_prefill_pipeline_computes_prompts_in_every_stage() -> None:
    answer = found("small")
    row = next(row for row in answer.front if len(row.pools) == 2)
    before = row.pools[0]
    staged = replace(before, placement=replace(before.placement, pp=4, tp=1))
    assert "in each of its stages" in " ".join(best_lines(replace(row, pools=(staged, row.pools[1]))))
    plain = replace(before, placement=replace(before.placement, pp=1))
    assert "stage" not in " ".join(best_lines(replace(row, pools=(plain, row.pools[1]))))


def test_prices_on_different_bases_are_warned_of() -> None:
    bases = [KNOWN.cost(chip) for chip in ("nvidia-h200-sxm", "nvidia-b200-sxm", "huawei-ascend-910c")]
    assert [one and one.basis[:4] for one in bases] == ["rent", "rent", "owne"]
    mixed = found("rent and owned")
    warning = next(text for text in mixed.remarks if "different bases" in text)
    assert "nvidia-h200-sxm: rent" in warning and "huawei-ascend-910c: owned" in warning
    assert warning in mixed.document()["warnings"]
    assert not any("different bases" in text for text in found("rented").remarks)
