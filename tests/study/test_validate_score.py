"""Statistics, predictions of each protocol, the page and the grid, against a stand-in for the estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.errors import InputError
from suanli.study.deployment.request import Answer, Interval, Request
from suanli.study.validate.board import Comparison, board, lines, write_board
from suanli.study.validate.figure import Series, scatter
from suanli.study.validate.grid import answers, changes, questions, table
from suanli.study.validate.measured import Flag, Measurement
from suanli.study.validate.predict import SATURATION, pairs
from suanli.study.validate.score import Pair, score, spearman
from suanli.study.validate.shipped import COLUMNS, read_shipped
from suanli.study.validate.targets import TARGETS, verdicts

BASE = Measurement(
    family="INFX",
    ids=("1",),
    model="llama-3.1-70b",
    chip="nvidia-h200-sxm",
    n_chips=8,
    tp=8,
    pp=1,
    dp=1,
    ep=1,
    weights_dtype="fp8",
    kv_dtype="bf16",
    framework="vllm 0.19.0",
    phase="mixed",
    isl=1000.0,
    osl=101.0,
    concurrency=10.0,
    protocol="closed_loop",
    values={"tpot_s": 0.02, "ttft_s": 0.5},
)


def band(value: float) -> Interval:
    return Interval(value, value / 1.5, value * 1.5)


def linear(request: Request) -> Answer:
    """A toy server: a step takes 10 ms + 1 ms a sequence, a prompt token 10 us; what follows is exact arithmetic."""
    batch = min(request.concurrency, 100.0 * (request.n_chips or 1))
    step, prompt = 0.010 + 0.001 * batch, 1e-5 * request.isl * request.concurrency
    quantities = {"tpot_s": band(step), "ttft_s": band(prompt)}
    if request.phase != "prefill":
        quantities["output_tokens_per_s"] = band(batch / step)
    else:
        quantities["input_tokens_per_s"] = band(1e5)
    return Answer("ok", quantities=quantities, basis="calibrated")


def linear_all(requests: Sequence[Request]) -> list[Answer]:
    return [linear(request) for request in requests]


def pair(measured: float, predicted: float | None, **changes: object) -> Pair:
    one = replace(BASE, **changes)  # type: ignore[arg-type]
    low, high = (None, None) if predicted is None else (predicted / 1.5, predicted * 1.5)
    return Pair(one, "tpot_s", measured, predicted, low, high, "calibrated")


def test_statistics_by_hand() -> None:
    found = score([pair(1.0, 1.1), pair(1.0, 0.8), pair(1.0, 2.0), pair(1.0, None)])
    assert (found.rows, found.answered) == (4, 3)
    assert found.median == pytest.approx(0.2)
    assert found.mean == pytest.approx((0.1 + 0.2 + 1.0) / 3)
    assert found.bias == pytest.approx(0.1)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.width == pytest.approx(1.5)


def test_nothing_answered_is_unknown_not_zero() -> None:
    found = score([pair(1.0, None)])
    assert found.median is None
    assert found.coverage is None


# Spearman 1904 as in any textbook: ties share their mean rank.
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([106, 100, 86, 101, 99, 103, 97, 113, 112, 110], [7, 27, 2, 50, 28, 29, 20, 12, 6, 17], -29 / 165),
        ([1, 1, 2], [1, 2, 3], math.sqrt(3) / 2),
    ],
)
def test_spearman(first: list[float], second: list[float], expected: float) -> None:
    assert spearman(first, second) == pytest.approx(expected)


@given(st.lists(st.floats(0.001, 1e6), min_size=3, max_size=30, unique=True))
@settings(deadline=None)
def test_rank_does_not_change_under_growing_maps(values: list[float]) -> None:
    assert spearman(values, [4.0 * value for value in values]) == pytest.approx(1.0)
    assert spearman([1.0] * len(values), values) is None


@given(st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=40))
@settings(deadline=None)
def test_scores_are_bounded_and_scale_free(points: list[tuple[float, float]]) -> None:
    found = score([pair(measured, predicted) for measured, predicted in points])
    scaled = score([pair(3 * measured, 3 * predicted) for measured, predicted in points])
    assert found.median is not None
    assert found.median == pytest.approx(scaled.median)
    assert 0 <= (found.coverage or 0) <= 1
    assert found.median <= (found.p90 or 0) + 1e-12


def test_rank_groups_differ_in_layout_and_concurrency_only() -> None:
    same = [pair(0.01 * n, 0.01 * n, concurrency=float(n)) for n in (1, 2, 3, 4)]
    other = [pair(0.5, 0.1 * n, isl=float(n)) for n in (1, 2, 3)]
    found = score([*same, *other])
    assert (found.rank, found.rank_groups) == (pytest.approx(1.0), 1)


def test_closed_loop_and_offline_are_asked_as_measured() -> None:
    seen: list[Request] = []

    def spy(requests: Sequence[Request]) -> list[Answer]:
        seen.extend(requests)
        return linear_all(requests)

    offline = replace(BASE, protocol="offline", concurrency=None, values={"output_tokens_per_s": 1.0})
    found = pairs([BASE, offline], spy)
    assert seen[0].concurrency == 10.0
    assert seen[1].concurrency == SATURATION
    assert [(one.metric, one.predicted) for one in found[:2]] == [
        ("tpot_s", pytest.approx(0.02)),
        ("ttft_s", pytest.approx(0.1)),
    ]


def test_a_static_batch_is_prompts_then_steps() -> None:
    one = replace(BASE, protocol="static", values={"output_tokens_per_s": 1.0, "e2e_s": 1.0})
    found = {entry.metric: entry for entry in pairs([one], linear_all)}
    # 10 prompts of 1,000 tokens: 0.1 s; then 100 steps of 20 ms.
    assert found["e2e_s"].predicted == pytest.approx(2.1)
    assert found["output_tokens_per_s"].predicted == pytest.approx(10 * 101 / 2.1)
    rate = found["output_tokens_per_s"]
    assert rate.low < rate.predicted < rate.high  # type: ignore[operator]


def test_a_published_speed_is_an_input_and_not_judged() -> None:
    one = replace(
        BASE, protocol="production", phase="decode", values={"tpot_s": 0.05, "output_tokens_per_s": 800.0}
    )
    found = pairs([one], linear_all)
    # 50 ms is reached at 40 sequences: 40/0.05 = 800 tok/s.
    assert [entry.metric for entry in found] == ["output_tokens_per_s"]
    assert found[0].predicted == pytest.approx(800.0, rel=1e-3)


def test_rows_without_answer_keep_their_reason() -> None:
    found = pairs([BASE], lambda requests: [Answer("infeasible", "does not fit") for _ in requests])
    assert [(entry.predicted, entry.reason) for entry in found] == [(None, "does not fit")] * 2
    without = pairs([replace(BASE, osl=None)], linear_all)
    assert {entry.reason for entry in without} == {"lengths are not stated"}


def test_doubted_rows_stay_in_and_are_shown_apart() -> None:
    doubted = replace(BASE, flags=(Flag("", "memory", "x"),), concurrency=20.0)
    found = lines([*pairs([BASE, doubted], linear_all)])
    tpot = [line for line in found if line.metric == "tpot_s"]
    assert sum(line.all.rows for line in tpot) == 2
    assert sum(line.clean.rows for line in tpot) == 1


def test_targets_name_families_and_statistics_that_exist() -> None:
    from suanli.study.validate import FAMILIES

    for target in TARGETS:
        assert set(target.families) <= set(FAMILIES), target.text
        assert target.statistic == "answered_share" or hasattr(score([pair(1.0, 1.0)]), target.statistic)


def test_verdicts_by_hand() -> None:
    judged = [n for n in range(1, 200) if replace(BASE, concurrency=float(n)).half == "judge"][:10]
    good = [pair(1.0, 1.05, concurrency=float(n)) for n in judged]
    found = {one.target.text: one for one in verdicts(good)}
    assert found["INFX + AICGAP, judged half: TPOT median"].met is True
    assert found["INFX + AICGAP, judged half: answered"].reached == 1.0
    assert found["NEURON: token time"].met is None
    bad = {one.target.text: one for one in verdicts([replace(one, predicted=1.5) for one in good])}
    assert bad["INFX + AICGAP, judged half: TPOT median"].met is False


def test_the_page_holds_every_part(tmp_path: Path) -> None:
    many = [replace(BASE, concurrency=float(n), values={"tpot_s": 0.01 + 0.001 * n}) for n in range(1, 12)]
    found = pairs(many, linear_all)
    compared = Comparison(found, "made-up rows")
    files = write_board(compared, tmp_path / "docs" / "validation.md")
    text = files[0].read_text(encoding="utf-8")
    for heading in (
        "## Targets",
        "## By family",
        "## Where the error sits",
        "## Largest errors",
        "## Not answered",
    ):
        assert heading in text
    assert "made-up rows" in text
    plot = tmp_path / "docs" / "figures" / "validation-infx-tpot_s.svg"
    assert plot in files
    assert len([e for e in ElementTree.parse(plot).iter() if e.tag.endswith("circle")]) == len(many)
    assert board(compared, [plot.name]) == text


def test_a_plot_keeps_its_points_inside_and_escapes_text() -> None:
    points = [(1e-3, 2e-3), (5.0, 4.0), (900.0, 1200.0)]
    root = ElementTree.fromstring(scatter("a < b & c", "ms", [Series("x & y", points)]))
    for circle in (e for e in root.iter() if e.tag.endswith("circle")):
        assert 62 <= float(circle.attrib["cx"]) <= 408
        assert 30 <= float(circle.attrib["cy"]) <= 374


def test_the_grid_notices_changes_and_only_changes() -> None:
    rows = answers(linear)
    record = table(rows)
    assert len(rows) == len({name for name, _ in questions()})
    assert changes(record, rows) == []
    slower = [dict(rows[0], tpot_s=f"{float(rows[0]['tpot_s']) * 1.01:.6g}"), *rows[1:]]
    found = changes(record, slower)
    assert [(one.question, one.field) for one in found] == [(rows[0]["question"], "tpot_s")]
    assert {one.now for one in changes(record, rows[1:])} == {"gone"}
    refused = [dict(rows[0], status="infeasible"), *rows[1:]]
    assert [one.field for one in changes(record, refused)] == ["status"]


def test_the_shipped_tables_read_and_say_where_they_are_from() -> None:
    found = read_shipped()
    assert {one.family for one in found} >= {
        "DSEEK",
        "SGLEP",
        "CM384",
        "TRTLLM06",
        "TRTLLM1",
        "INFX",
        "AICGAP",
        "NEURON",
        "XJD",
    }
    assert all(one.source and one.grade for one in found)
    # Closed-loop rows that ship are judged rows: constants of frameworks are fitted on the other half.
    assert all(
        one.half == "judge"
        for one in found
        if one.protocol == "closed_loop" and one.family in ("INFX", "AICGAP")
    )


# SGLang, "Deploying DeepSeek with PD disaggregation and large-scale EP", 2025-05-05: 22,282 tok/s a node of 8.
def test_a_published_rate_per_node_is_taken_to_the_unit() -> None:
    rows = [
        one
        for one in read_shipped()
        if one.family == "SGLEP" and one.chip == "nvidia-h100-sxm" and one.phase == "decode"
    ]
    assert any(one.values["output_tokens_per_s"] == pytest.approx(22282 / 8 * 72, rel=1e-4) for one in rows)


def test_a_broken_shipped_table_names_file_and_line(tmp_path: Path) -> None:
    header = ",".join(COLUMNS)
    (tmp_path / "serving_x.csv").write_text(f"{header}\n{'a,' * 24}A\n", encoding="utf-8")
    (tmp_path / "serving_y.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_shipped(tmp_path, Catalog())
    assert "serving_x.csv:2" in str(caught.value)
    assert "serving_y.csv:1 columns must be" in str(caught.value)
