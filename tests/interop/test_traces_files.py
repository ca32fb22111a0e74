"""Trace files of other tools: recognised by content, bad rows counted and named with their lines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from suanli.errors import InputError, NoDataError
from suanli.interop.traces import read_trace

TRACES = Path(__file__).parents[3] / "shared" / "data" / "traces"

FILES = {
    "Azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
    "2023-11-16 18:15:50.9951690,396,109\n",
    "Vidur": "arrived_at,num_prefill_tokens,num_decode_tokens\n1.0,374,44\n5.314579,396,109\n",
    "BurstGPT": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,374,44,418,Conversation log\n9.314579,GPT-4,396,109,505,API log\n",
    "arrival and length": "arrival_s,input_tokens,output_tokens\n0.5,374,44\n4.814579,396,109\n",
    "Mooncake": '{"timestamp": 1000, "input_length": 374, "output_length": 44, "hash_ids": [0]}\n'
    '{"timestamp": 5314.579, "input_length": 396, "output_length": 109, "hash_ids": [0]}\n',
    "LLMServingSim": '{"input_toks": 374, "output_toks": 44, "arrival_time_ns": 0, "input_tok_ids": []}\n'
    '{"input_toks": 396, "output_toks": 109, "arrival_time_ns": 4314579000, "input_tok_ids": []}\n',
    "ShareGPT length pairs": "[[374, 44], [396, 109]]\n",
}


def write(folder: Path, text: str, name: str = "trace.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", FILES)
def test_formats(kind: str, tmp_path: Path) -> None:
    read = read_trace(write(tmp_path, FILES[kind]))
    assert read.kind == kind
    assert read.trace.input_tokens.tolist() == [374, 396]
    assert read.trace.output_tokens.tolist() == [44, 109]
    assert read.timed == (kind != "ShareGPT length pairs")
    if read.timed:
        np.testing.assert_allclose(read.trace.arrival_s, [0.0, 4.314579], atol=1e-6)


def test_sessions_follow(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 0, "input_length": 10, "output_length": 2, "session_id": "a"},
        {"timestamp": 5, "input_length": 12, "output_length": 3, "session_id": "b", "priority": 1},
        {"timestamp": 9, "input_length": 30, "output_length": 2, "session_id": "a", "delay": 1500},
    ]
    trace = read_trace(write(tmp_path, "\n".join(map(json.dumps, rows)))).trace
    assert trace.follows.tolist() == [-1, -1, 0]
    assert np.isnan(trace.arrival_s[2])
    assert trace.delay_s[2] == 1.5
    assert trace.priority.tolist() == [0, 1, 0]


HEAD = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
BAD = {
    HEAD + "0,10,5\n1,10\n": (3, "2 fields instead of 3"),
    HEAD + "0,10,5\n-1,10,5\n": (3, "negative arrival"),
    HEAD + "0,10,5\n1,10,0\n": (3, "an answer of 0 tokens"),
    HEAD + "0,10,5\n1,0,5\n": (3, "a prompt of 0 tokens"),
    HEAD + "0,10,5\n\n1,ten,5\n": (4, "num_prefill_tokens is not a number"),
    HEAD + "0,10,5\n1,1.5,5\n": (3, "not a whole number"),
    HEAD + "0,10,5\nnan,10,5\n": (3, "not a finite time"),
    HEAD + "0,10,5\n1,900,200\n": (3, "more than the model's context of 1000"),
    HEAD + '0,10,5\n{"timestamp": 1}\n': (3, "mixed"),
    '{"timestamp": 0, "input_length": 5, "output_length": 5}\n{"timestamp": 0, "input_len': (2, "cut off"),
    '{"timestamp": 0, "input_length": 5, "output_length": 5}\n{"timestamp": 0, "input_length": 5}': (
        2,
        "no field output_length",
    ),
    '{"timestamp": 0, "input_length": 5, "output_length": 5}\n1,2,3\n': (2, "not valid JSON"),
    '{"timestamp": 0, "input_length": 5, "output_length": 5}\n'
    '{"timestamp": 0, "input_length": 5, "output_length": 5, "hash_ids": [1, 2]}\n': (2, "2 hash_ids for 5"),
}


@pytest.mark.parametrize("text", BAD)
def test_bad_rows_are_named_or_left_out(text: str, tmp_path: Path) -> None:
    line, words = BAD[text]
    path = write(tmp_path, text)
    with pytest.raises(InputError, match="--on-bad-rows skip") as error:
        read_trace(path, context_tokens=1000)
    assert f"trace.txt:{line} " in str(error.value)
    assert words in str(error.value)
    read = read_trace(path, on_bad_rows="skip", context_tokens=1000)
    assert [row.line for row in read.bad] == [line]
    assert len(read.trace) == 1
    assert "1 of 2 rows were left out" in read.notes[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (HEAD, "no requests"),
        ("arrived_at,num_prefill_tokens\n0,1\n", "no column num_decode_tokens"),
        ("a,b\n1,2\n", "no known trace format"),
        ('{"prompt": "x"}\n', "no known JSONL trace"),
        ('{"prompt": \n', "not valid JSON"),
        (HEAD + "0,0,0\n", "a prompt of 0 tokens"),
    ],
)
def test_files_that_cannot_be_read(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        read_trace(write(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="no such trace"):
        read_trace(tmp_path / "none.csv")


def test_unsorted_rows_are_sorted_and_said(tmp_path: Path) -> None:
    read = read_trace(write(tmp_path, HEAD + "5,1,1\n3,2,2\n9,3,3\n"))
    assert read.trace.input_tokens.tolist() == [2, 1, 3]
    assert read.trace.arrival_s.tolist() == [0.0, 2.0, 6.0]
    assert any("not in order" in note for note in read.notes)


def test_public_traces() -> None:
    azure, mooncake = TRACES / "azure_llm_2023_conv.csv", TRACES / "mooncake_fast25_synthetic.jsonl"
    if not azure.is_file():
        pytest.skip("needs shared/data/traces")
    # Counts and span as the data's own README states them.
    read = read_trace(azure)
    assert (read.kind, len(read.trace)) == ("Azure", 19_366)
    assert read.trace.duration_s == pytest.approx(3_502, abs=1.0)
    read = read_trace(mooncake)
    assert (read.kind, len(read.trace)) == ("Mooncake", 3_993)
    assert read.trace.block_tokens == 512
