"""Read a scenario: TOML with `extends`, overrides, and every problem reported with its place, all at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from suanli.catalog import Catalog
from suanli.errors import InputError, ScenarioError, close_matches
from suanli.scenario.checks import catalogue_problems
from suanli.scenario.schema import Scenario

_Origins = dict[tuple[str, ...], str]


def load(path: str | Path, overrides: Sequence[str] = (), catalog: Catalog | None = None) -> Scenario:
    """Read a scenario file, its parents (`extends`) and `a.b=value` overrides.

    Args:
        path: a TOML file.
        overrides: what `--set` gives, "serving.chip=nvidia-h200-sxm".
        catalog: where given, names of chips, models, sites ... are looked up in it too.

    Raises:
        ScenarioError: every problem of the file, one line each with file, line and field.
    """
    data, origins = _read(Path(path))
    return parse(data, overrides, origins=origins, place=Path(path).name, catalog=catalog)


def load_variants(
    path: str | Path, overrides: Sequence[str] = (), catalog: Catalog | None = None
) -> dict[str, Scenario]:
    """Read a scenario with its `[variants.NAME]` tables, each laid over the base; without any, the base alone.

    Args:
        path: a TOML file.
        overrides: what `--set` gives; they apply to every variant.
        catalog: where given, names of chips, models, sites ... are looked up in it too.

    Returns:
        {name: scenario}; the name of a lone scenario is its own.

    Raises:
        ScenarioError: every problem of the file and of its variants.
    """
    data, origins = _read(Path(path))
    place = Path(path).name
    base = parse(data, overrides, origins=origins, place=place, catalog=catalog)
    if not base.variants:
        return {base.name: base}
    trunk = {key: value for key, value in data.items() if key != "variants"}
    found: dict[str, Scenario] = {}
    problems: list[str] = []
    for name, over in base.variants.items():
        moved = origins | {key[2:]: line for key, line in origins.items() if key[:2] == ("variants", name)}
        try:
            found[name] = parse(_merge(trunk, over), overrides, origins=moved, place=place, catalog=catalog)
        except ScenarioError as error:
            problems += [f"variant {name}: {problem}" for problem in error.problems]
    if problems:
        raise ScenarioError(problems)
    return found


def parse(
    data: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    origins: Mapping[tuple[str, ...], str] | None = None,
    place: str = "scenario",
    catalog: Catalog | None = None,
) -> Scenario:
    """Check scenario data (as read from TOML) and return the scenario.

    Args:
        data: nested tables.
        overrides: "a.b=value" items, applied last.
        origins: "file:line" of each key path, for messages.
        place: what to print where a key has no known line.
        catalog: where given, names of chips, models, sites ... are looked up in it too.

    Raises:
        ScenarioError: every problem at once.
    """
    known = dict(origins or {})
    merged = _copy(data)
    problems = [problem for item in overrides if (problem := _override(merged, item, known))]
    try:
        scenario = Scenario.model_validate(merged)
    except ValidationError as error:
        problems += [_line(issue, known, place) for issue in error.errors()]
    if catalog is not None:
        found = catalogue_problems(merged, catalog)
        problems += [f"{_where(path, known, place)}: {problem}" for path, problem in found]
    if problems:
        raise ScenarioError(problems)
    return scenario


def _read(path: Path, seen: tuple[Path, ...] = (), place: str = "") -> tuple[dict[str, Any], _Origins]:
    if path.resolve() in seen:
        circle = " -> ".join(p.name for p in (*seen, path))
        raise ScenarioError([f"{place}a circle: {circle}; take the line out of one of them"])
    if not path.is_file():
        near = close_matches(
            path.name, [p.name for p in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        )
        hint = f" Close: {', '.join(near)}." if near else ""
        raise InputError(f"{place}{path}: no such scenario file.{hint}")
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        where = f"{path.name}:{found[1]}" if found else path.name
        detail = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise ScenarioError([f"{where} not valid TOML: {detail}"]) from None
    except UnicodeDecodeError:
        raise ScenarioError([f"{path.name}: not UTF-8 text"]) from None
    if not data:
        raise ScenarioError([f"{path.name}: empty. Start from a file in scenarios/"])
    origins = {key: f"{path.name}:{line}" for key, line in _key_lines(text).items()}
    parent = data.pop("extends", None)
    if parent is None:
        return data, origins
    place = f"{origins.get(('extends',), path.name)} extends: "
    if not isinstance(parent, str):
        raise ScenarioError([f"{place}expected a file name, got {parent!r}"])
    base, base_origins = _read(path.parent / parent, (*seen, path.resolve()), place)
    # What was published for the parent's case was not published for this one.
    base.pop("published", None)
    return _merge(base, data), base_origins | origins


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = _copy(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _copy(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in data.items()}


def _override(data: dict[str, Any], item: str, origins: _Origins) -> str:
    path, equals, text = item.partition("=")
    keys = tuple(part.strip() for part in path.split("."))
    if not equals or not all(keys):
        return f'--set {item}: write it as section.field=value, e.g. --set llm.kv_dtype="fp8"'
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table = data
    for key in keys[:-1]:
        below = table.setdefault(key, {})
        if not isinstance(below, dict):
            return f"--set {item}: {key} is a value, not a section"
        table = below
    table[keys[-1]] = value
    origins[keys] = f"--set {path.strip()}"
    return ""


_HEADER = re.compile(r"^\s*\[([^\[\]]+)\]\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*((?:[A-Za-z0-9_-]+|\"[^\"]+\")(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]+\"))*)\s*=")


def _key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of every key; keys inside an inline table share the line of the table."""
    section: tuple[str, ...] = ()
    lines: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = tuple(part.strip().strip('"') for part in header[1].split("."))
            lines.setdefault(section, number)
        elif key := _KEY.match(line):
            parts = re.findall(r"\"([^\"]+)\"|([A-Za-z0-9_-]+)", key[1])
            lines[section + tuple(a or b for a, b in parts)] = number
    return lines


def _line(issue: Any, origins: Mapping[tuple[str, ...], str], place: str) -> str:
    path = tuple(str(part) for part in issue["loc"])
    return f"{_where(path, origins, place)}: {_explain(issue, path)}"


def _where(path: tuple[str, ...], origins: Mapping[tuple[str, ...], str], place: str) -> str:
    where = next((origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins), place)
    field = ".".join(path)
    return where if where == f"--set {field}" else f"{where} {field}" if field else where


def _explain(issue: Any, path: tuple[str, ...]) -> str:
    kind, given = issue["type"], issue.get("input")
    if kind == "extra_forbidden":
        near = close_matches(path[-1], _fields(path[:-1]), 1)
        return "no such field." + (
            f' Did you mean "{near[0]}"?' if near else f" Known: {', '.join(_fields(path[:-1]))}"
        )
    if kind in ("missing", "model_type", "dict_type"):
        return (
            "missing; it has no default"
            if kind == "missing"
            else f"expected a table of fields, got {given!r}"
        )
    if kind in ("value_error", "assertion_error"):
        return str(issue["ctx"]["error"])
    if kind == "literal_error":
        options = issue["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        near = close_matches(str(given), options, 1)
        return f'"{given}" is not one of {", ".join(options)}' + (
            f'. Did you mean "{near[0]}"?' if near else ""
        )
    bounds = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
    if kind in bounds:
        words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
        return f"{given} must be {words[bounds[kind]]} {issue['ctx'][bounds[kind]]:g}"
    message = str(issue["msg"])
    return f"{message[:1].lower()}{message[1:]}, got {given!r}"


def _fields(path: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Scenario
    for part in path:
        found = model.model_fields.get(part)
        inner = (
            [a for a in _unwrap(found.annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
            if found
            else []
        )
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def _unwrap(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", None) or (annotation,)
