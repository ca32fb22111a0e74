"""Points files: what passes through, what is refused at once, what becomes a row with a reason."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InputError
from suanli.interop.points import (
    ANSWER_COLUMNS,
    CHUNK,
    COLUMNS,
    EXTRA_COLUMNS,
    PointRow,
    answer_fields,
    answer_rows,
    common_reasons,
    extra_fields,
    mixed_prices,
    read_points,
    request_of,
    write_answers,
)
from suanli.study.deployment.request import QUANTITIES, Answer, Interval, Request

GOOD = {
    "id": "a",
    "model": "qwen3-32b",
    "chip": "h100_sxm",
    "n_chips": "4",
    "isl": "1024",
    "osl": "512",
    "concurrency": "16",
}


def write(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def solved(requests: Sequence[Request]) -> list[Answer]:
    """A stand-in for the estimate: TTFT is the prompt length, so that rows can be told apart."""
    bands = [Interval(one.isl, one.isl / 2, one.isl * 2) for one in requests]
    return [Answer("ok", quantities={"ttft_s": band}, basis="family") for band in bands]


def test_a_row_as_a_question(tmp_path: Path) -> None:
    points = read_points(write(tmp_path / "p.csv", [GOOD]))
    request = points.rows[0].request
    assert request == Request(
        model="qwen3-32b", chip="h100_sxm", n_chips=4, isl=1024.0, osl=512.0, concurrency=16.0
    )
    assert points.remarks == ()


def test_empty_means_choose_or_default(tmp_path: Path) -> None:
    points = read_points(write(tmp_path / "p.csv", [{"model": "m", "chip": "c"}]))
    assert points.rows[0].request == Request(model="m", chip="c")


def test_extra_columns_pass_through_in_place(tmp_path: Path) -> None:
    columns = ("site", *COLUMNS, "note")
    source = write(tmp_path / "p.csv", [GOOD | {"site": "x,y", "note": 'say "hi"'}], columns)
    points = read_points(source)
    counts = write_answers(tmp_path / "out.csv", points, answer_rows(points, solved))
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        header, row = list(csv.reader(file))
    assert header == [*columns, *ANSWER_COLUMNS, *EXTRA_COLUMNS]
    found = dict(zip(header, row, strict=True))
    assert (found["site"], found["note"], found["n_chips"]) == ("x,y", 'say "hi"', "4")
    assert (found["status"], found["ttft_s"], found["ttft_s_low"], found["basis"]) == (
        "ok",
        "1024",
        "512",
        "family",
    )
    assert found["power_w"] == ""
    assert counts == {"ok": 1}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"n_chips": "four"}, 'n_chips "four" is not a number'),
        ({"tp": "1.5"}, "tp must be a whole number"),
        ({"ep": "0"}, "ep must be a whole number of at least 1"),
        ({"isl": "0"}, "isl must be at least 1 token"),
        ({"osl": "-3"}, "osl must be at least 1 token"),
        ({"osl": "1.5"}, "osl must be 1 or at least 2 tokens"),
        ({"concurrency": "-1"}, "concurrency must be above 0"),
        ({"concurrency": "nan"}, "concurrency nan is not finite"),
        ({"isl": "inf"}, "isl inf is not finite"),
        ({"phase": "warmup"}, 'phase "warmup" is none of mixed, prefill, decode'),
        ({"model": ""}, "model is empty"),
    ],
)
def test_a_bad_row_has_a_reason_and_its_line(tmp_path: Path, changes: dict[str, str], word: str) -> None:
    points = read_points(write(tmp_path / "p.csv", [GOOD, GOOD | changes, GOOD]))
    write_answers(tmp_path / "out.csv", points, answer_rows(points, solved))
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok", "unsupported", "ok"]
    assert rows[1]["reason"].startswith("line 3: ")
    assert word in rows[1]["reason"]
    assert all(rows[1][name] == "" for name in QUANTITIES)


def test_all_problems_of_a_row_at_once() -> None:
    request, problems = request_of({"model": "", "chip": "", "tp": "x", "isl": "0"})
    assert request is None
    assert len(problems) == 4


def test_a_row_of_another_length(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("model,chip,isl\nm,c\nm,c,10,20\nm,c,10\n", encoding="utf-8")
    rows = read_points(path).rows
    assert rows[0].problem == "line 2: 2 fields, the header has 3"
    assert rows[1].problem == "line 3: 4 fields, the header has 3"
    assert rows[2].request is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty", "model,chip"]),
        ("mdel,chip\nx,y\n", ['column model is missing; is "mdel" meant?']),
        ("a;b\n1;2\n", ["column model is missing", "column chip is missing", "separated by commas"]),
        ("model,chip,isl,isl\nm,c,1,2\n", ["column isl is there twice"]),
    ],
)
def test_a_file_that_cannot_be_read_says_everything(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_points(path)
    for word in words:
        assert word in str(caught.value)


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_points(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"model,chip\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_points(tmp_path / "b.csv")


def test_a_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes("\ufeffmodel, chip\r\nm,c\r\n\r\n,\r\nn,d\r\n".encode())
    assert [row.request.model for row in read_points(path).rows if row.request] == ["m", "n"]


def test_a_misspelled_column_is_pointed_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.csv", [{"model": "m", "chip": "c", "n_chip": "8"}], ("model", "chip", "n_chip")
    )
    assert 'Did you mean "n_chips"?' in read_points(path).remarks[0]


def test_answers_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    columns = (*COLUMNS, "status", "tag")
    points = read_points(write(tmp_path / "p.csv", [GOOD | {"status": "old", "tag": "t"}], columns))
    write_answers(tmp_path / "out.csv", points, answer_rows(points, solved))
    header = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert header.count("status") == 1
    assert "tag" in header


def test_the_output_is_whole_or_untouched(tmp_path: Path) -> None:
    points = read_points(write(tmp_path / "p.csv", [GOOD, GOOD]))
    target = tmp_path / "out.csv"
    target.write_text("before", encoding="utf-8")

    def broken(requests: Sequence[Request]) -> list[Answer]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_answers(target, points, answer_rows(points, broken))
    assert target.read_text(encoding="utf-8") == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "p.csv"]
    with pytest.raises(InputError, match="cannot be written"):
        write_answers(tmp_path / "no" / "out.csv", points, answer_rows(points, solved))


def test_unknown_is_empty_never_zero() -> None:
    fields = answer_fields(Answer("infeasible", "does not fit"))
    assert fields[:2] == ["infeasible", "does not fit"]
    assert set(fields[2:]) == {""}
    assert len(fields) == len(ANSWER_COLUMNS)


def test_a_heading_means_the_same_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("Model,CHIP,Site,ISL,Prefix_Hit_Share\nm,c,x,10,0.5\n", encoding="utf-8")
    points = read_points(path)
    request = points.rows[0].request
    assert request is not None
    assert (request.model, request.isl, request.options) == ("m", 10.0, {"prefix_hit_share": 0.5})
    write_answers(tmp_path / "out.csv", points, answer_rows(points, solved))
    header = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.startswith("Model,CHIP,Site,ISL,Prefix_Hit_Share,status,reason,")
    path.write_text("model,chip,Model\nm,c,n\n", encoding="utf-8")
    with pytest.raises(InputError, match="column model is there twice"):
        read_points(path)


def test_columns_of_the_user_with_names_of_ours_stay_his(tmp_path: Path) -> None:
    points = read_points(write(tmp_path / "p.csv", [GOOD | {"notes": "mine"}], (*COLUMNS, "notes")))
    assert any("notes passes through" in remark for remark in points.remarks)
    write_answers(tmp_path / "out.csv", points, answer_rows(points, solved))
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        header, row = list(csv.reader(file))
    assert header.count("notes") == 1
    assert row[header.index("notes")] == "mine"
    # An answer of ours is answered again as the question was, all columns of ours replaced.
    first = write_answers_of(tmp_path, GOOD)
    again = read_points(first)
    write_answers(tmp_path / "again.csv", again, answer_rows(again, solved))
    assert (tmp_path / "again.csv").read_text(encoding="utf-8") == first.read_text(encoding="utf-8")


def write_answers_of(folder: Path, row: dict[str, str]) -> Path:
    points = read_points(write(folder / "one.csv", [row]))
    write_answers(folder / "first.csv", points, answer_rows(points, solved))
    return folder / "first.csv"


def test_the_layout_and_the_basis_of_the_price_come_back() -> None:
    from suanli.study.deployment.solve import Deployments

    found = Deployments().answer(Request("qwen3-32b", "h100_sxm", n_chips=16, isl=1000.0, osl=100.0))
    told = dict(zip(EXTRA_COLUMNS, extra_fields(found), strict=True))
    sizes = [int(told[name]) for name in ("layout_tp", "layout_pp", "layout_dp", "replicas")]
    assert sizes[0] * sizes[1] * sizes[2] * sizes[3] == 16
    assert told["price_basis"].startswith("rent")
    assert told["bottleneck"] and float(told["largest_batch"]) > 0.0
    assert "framework" in told["notes"]
    assert set(extra_fields(Answer("infeasible", "no"))) == {""}


def test_common_reasons_are_counted_without_their_lines() -> None:
    row = PointRow(2, (), None)
    reasons = ["line 2: isl is bad", "line 9: isl is bad", "too big", "x", "y"]
    answers = [(row, Answer("unsupported", reason)) for reason in reasons]
    assert common_reasons([*answers, (row, Answer("ok"))]) == [("isl is bad", 2), ("too big", 1), ("x", 1)]


def test_prices_on_two_bases_are_said() -> None:
    row = PointRow(2, (), None)
    rent, owned = (row, Answer("ok", price_basis="rent, x")), (row, Answer("ok", price_basis="owned: y"))
    assert mixed_prices([rent, rent, (row, Answer("infeasible"))]) == ""
    assert "one basis" in mixed_prices([rent, owned])


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), min_size=1, max_size=6))
@settings(deadline=None)
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]) -> None:
    """Whatever stands in extra columns comes out as it went in (CSV itself ends a lone CR as a line)."""
    folder = tmp_path_factory.mktemp("points")
    safe = [tuple(t.replace("\r", "").replace("\x00", "") for t in pair) for pair in texts]
    rows = [GOOD | {"x": first, "y": second} for first, second in safe]
    points = read_points(write(folder / "p.csv", rows, (*COLUMNS, "x", "y")))
    write_answers(folder / "out.csv", points, answer_rows(points, solved))
    with (folder / "out.csv").open(newline="", encoding="utf-8") as file:
        found = [(row["x"], row["y"]) for row in csv.DictReader(file)]
    assert found == safe


def test_rows_keep_their_order_and_progress_is_told(tmp_path: Path) -> None:
    lengths = [(7 * n) % 1009 + 1 for n in range(CHUNK + 20)]
    rows = [GOOD | {"isl": str(isl), "tp": str(2 ** (isl % 3))} for isl in lengths]
    points = read_points(write(tmp_path / "p.csv", [*rows, GOOD | {"isl": "0"}]))
    seen: list[int] = []
    found: list[tuple[PointRow, Answer]] = answer_rows(points, solved, seen.append)
    assert [answer.quantities["ttft_s"].value for _, answer in found[:-1]] == lengths
    assert found[-1][1].status == "unsupported"
    assert seen == [CHUNK + 1, CHUNK + 21]
