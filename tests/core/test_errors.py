"""Errors: one tree, one exit code each, close names that a hasty user would have meant."""

from __future__ import annotations

import pytest

from suanli import errors
from suanli.errors import ScenarioError, SuanliError, UnknownIdError, close_matches


def test_exit_codes_are_those_of_the_design() -> None:
    codes = {
        "InputError": 2,
        "UnitError": 2,
        "ScenarioError": 2,
        "UnknownIdError": 2,
        "InfeasibleError": 1,
        "NoDataError": 3,
        "SuanliError": 4,
    }
    found = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, SuanliError)
    }
    assert {name: found[name] for name in codes} == codes
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, SuanliError):
            assert name in (errors.__doc__ or ""), f"{name} is not in the tree of the docstring"


def test_scenario_errors_keep_every_line() -> None:
    error = ScenarioError(["a.toml:1 x: wrong", "a.toml:2 y: wrong"])
    assert error.problems == ("a.toml:1 x: wrong", "a.toml:2 y: wrong")
    assert str(error).splitlines() == list(error.problems)


def test_unknown_id_says_what_was_close_and_where_to_look() -> None:
    error = UnknownIdError("chip", "h200_smx", ["nvidia-h200-sxm", "amd-mi300x"], see="suanli catalog chips")
    assert str(error) == 'No chip "h200_smx". Close: nvidia-h200-sxm. See: suanli catalog chips'
    assert str(UnknownIdError("chip", "zzz", ["nvidia-h200-sxm"])) == 'No chip "zzz". Known: nvidia-h200-sxm.'


def test_other_names_of_an_id_are_searched_and_bring_the_id() -> None:
    known, aliases = ["nvidia-h200-sxm", "amd-mi300x"], {"h200": "nvidia-h200-sxm", "mi300x": "amd-mi300x"}
    error = UnknownIdError("chip", "h2000", known, see="suanli catalog chips", aliases=aliases)
    assert str(error) == 'No chip "h2000". Close: nvidia-h200-sxm. See: suanli catalog chips'
    part = UnknownIdError("model", "org/h2000-instruct", known, aliases=aliases, like="h2000")
    assert "Close: nvidia-h200-sxm." in str(part)


@pytest.mark.parametrize(
    ("name", "known", "first"),
    [
        ("tpd", ["tdp", "power"], "tdp"),
        ("H200", ["nvidia-h200-sxm", "nvidia-h100-sxm"], "nvidia-h200-sxm"),
        ("nvidia_h800_sxm", ["nvidia-h100-sxm", "nvidia-h800-sxm"], "nvidia-h800-sxm"),
        ("mean_input_token", ["mean_output_tokens", "mean_input_tokens"], "mean_input_tokens"),
        ("qwen3 32b".replace(" ", "-"), ["qwen3-8b", "qwen3-32b"], "qwen3-32b"),
    ],
)
def test_close_names(name: str, known: list[str], first: str) -> None:
    assert close_matches(name, known)[0] == first


def test_close_names_are_known_few_and_without_repeats() -> None:
    known = [f"nvidia-h{n}00-sxm" for n in range(1, 10)]
    found = close_matches("nvidia-h900-smx", known)
    assert 1 <= len(found) <= 3 and set(found) <= set(known) and len(set(found)) == len(found)
    assert close_matches("nothing-like-it", ["abc"]) == []
    assert close_matches("", ["abc"]) == []
    assert close_matches("x", []) == []
