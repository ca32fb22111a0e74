"""Write a run folder in one move, and find one again."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suanli.errors import InputError, UnknownIdError
from suanli.result.run import Result


def write_run(result: Result, parent: str | Path, pages: Mapping[str, str] | None = None) -> Path:
    """Write `<parent>/<name>-<hash8>/` with result.json, scenario.toml and the tables; nothing is left half-written.

    Args:
        result: the run.
        parent: the folder that holds run folders; made where it does not exist.
        pages: further files {name: text}, such as the report.

    Returns:
        The folder.

    Raises:
        InputError: the parent cannot be written to.
    """
    home = Path(parent)
    target = home / f"{_slug(result.name)}-{result.hash[:8]}"
    files = {
        "result.json": json.dumps(result.archive(), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "scenario.toml": toml(result.scenario),
        "ledger.csv": _ledger(result),
        **(pages or {}),
    }
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=".writing-") as scratch:
            work = Path(scratch) / target.name
            work.mkdir()
            for name, text in files.items():
                (work / name).write_text(text, encoding="utf-8")
            if target.exists():
                shutil.rmtree(target)
            work.rename(target)
    except OSError as error:
        raise InputError(f"-o {home}: cannot write there ({error.strerror})") from None
    return target


def find_run(run: str | Path, parent: str | Path = "runs") -> Path:
    """Return the result.json of a run: a folder, a file, or the start of a folder's name or path (the newest).

    Raises:
        InputError: nothing there.
    """
    path = Path(run)
    if path.is_file():
        return path
    hits = matching_runs(run, parent)
    if hits:
        return hits[-1] / "result.json"
    known = [folder.name for folder in _folders(Path(parent))]
    raise UnknownIdError("run", str(run), known, see="suanli run SCENARIO")


def matching_runs(run: str | Path, parent: str | Path = "runs") -> list[Path]:
    """Return the run folders that a text stands for, the newest last.

    Args:
        run: a run folder, or the start of one: of a name below `parent` ("deepseek"), or of a path ("runs/deepseek").
        parent: the folder that holds run folders.
    """
    path = Path(run)
    if (path / "result.json").is_file():
        return [path]
    if path.is_file():
        return []
    hits = [folder for folder in _folders(Path(parent)) if folder.name.startswith(str(run))]
    if hits or len(path.parts) < 2:
        return hits
    return [folder for folder in _folders(path.parent) if folder.name.startswith(path.name)]


def _folders(parent: Path) -> list[Path]:
    return sorted((p for p in parent.glob("*-*") if (p / "result.json").is_file()), key=_age)


def _age(folder: Path) -> float:
    return (folder / "result.json").stat().st_mtime


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:60] or "run"


def _ledger(result: Result) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["name", "value", "unit", "low", "high", "basis", "grade", "formula", "inputs", "origin", "reason"]
    )
    for v in result.values.values():
        shown = v.text if v.text else v.value
        inputs = " ".join(v.inputs)
        writer.writerow(
            [v.name, shown, v.unit, v.low, v.high, v.basis, v.grade, v.formula, inputs, v.origin, v.reason]
        )
    return out.getvalue()


def toml(data: Mapping[str, Any]) -> str:
    """Write nested tables of strings, numbers, booleans and lists as TOML; None is left out."""
    lines: list[str] = []
    _table(data, (), lines)
    return "\n".join(lines).strip() + "\n"


def _table(data: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    plain = {
        key: value for key, value in data.items() if not isinstance(value, Mapping) and value is not None
    }
    if path and (plain or not data):
        lines.append(f"\n[{'.'.join(map(_key, path))}]")
    lines.extend(f"{_key(key)} = {_scalar(value)}" for key, value in plain.items())
    for key, value in data.items():
        if isinstance(value, Mapping):
            _table(value, (*path, key), lines)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_scalar, value))}]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    # JSON's escapes are TOML's too, but for the one control character that JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
