"""docs/your-own-measurements.md can be followed: its files ship, its commands run, its answers are what they print."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from cli_case import Cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your-own-measurements.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"\d[\d,]*\.?\d*")


def commands() -> list[tuple[list[str], str]]:
    """The commands of the page, each with the answer that is printed below it."""
    found: list[tuple[list[str], str]] = []
    for block in re.findall(r"^```\n(\$ .*?)^```$", PAGE, re.M | re.S):
        for part in block.split("$ ")[1:]:
            command, _, answer = part.replace("\\\n", " ").partition("\n")
            words = shlex.split(command)[1:]
            if "..." in words:
                words = [*found[-1][0], *words[words.index("...") + 1 :]]
            found.append((words, answer))
    return found


@pytest.fixture
def example(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def test_the_commands_of_the_page_print_its_answers(suanli: Cli, example: Path) -> None:
    listed = commands()
    assert [words[0] for words, _ in listed] == ["import", "estimate", "estimate", "import"]
    for words, answer in listed:
        done = suanli(*words)
        assert done.code == 0, done.err
        printed = [line.strip() for line in done.out.splitlines()]
        for line in filter(None, map(str.strip, answer.splitlines())):
            said = NUMBER.findall(line)
            alike = [one for one in printed if NUMBER.sub("#", one).split() == NUMBER.sub("#", line).split()]
            assert alike, f"{shlex.join(words)} prints no line like: {line}"
            # Constants move a little from one version to the next: the page may lag by so much.
            numbers = [float(one.replace(",", "")) for one in said]
            assert any(
                [float(one.replace(",", "")) for one in NUMBER.findall(line)]
                == pytest.approx(numbers, rel=0.05, abs=3.0)
                for line in alike
            ), f"{shlex.join(words)} prints {alike}, the page {line}"


def test_the_example_results_say_that_they_are_made_up() -> None:
    files = sorted((ROOT / "examples" / "vllm-bench").glob("*.json"))
    assert len(files) == 3
    for path in files:
        fields = json.loads(path.read_text(encoding="utf-8"))
        assert fields["note"].startswith("made up for the documentation")
        # What vLLM writes belongs together: tokens over time, requests over time.
        assert fields["output_throughput"] * fields["duration"] == pytest.approx(
            fields["total_output_tokens"], rel=1e-3
        )
        each = fields["mean_ttft_ms"] + 499 * fields["mean_tpot_ms"]
        rounds = fields["completed"] / fields["max_concurrency"]
        assert fields["duration"] * 1e3 == pytest.approx(rounds * each, rel=0.05)
    assert "no\nmachine was measured" in (ROOT / "examples" / "vllm-bench" / "README.md").read_text(
        encoding="utf-8"
    )
