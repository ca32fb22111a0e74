"""Load the catalogue, with private overlays in front, and look things up by id or alias."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from suanli.catalog.checks import row_problems
from suanli.catalog.fact import COLUMNS, Fact
from suanli.catalog.schema import DATA, TABLES
from suanli.errors import InputError, NoDataError, UnknownIdError, close_matches

_SINGULAR = {"switches": "switch"}


class Catalog:
    """Facts by table, id and parameter. `overlays` are folders of the same form; the first match wins.

    An adopted row of an overlay hides the adopted row of the package for the same (id, parameter); a model file
    hides the package's model of the same id.
    """

    def __init__(self, overlays: Sequence[str | Path] = ()) -> None:
        self._folders = [Path(folder) for folder in overlays]
        for folder in self._folders:
            if not folder.is_dir():
                raise InputError(f"--catalog {folder}: no such folder")
            for path in sorted(folder.glob("*.csv")):
                if path.stem not in (*TABLES, "sources"):
                    near = close_matches(path.stem, TABLES, 1)
                    hint = f' Did you mean "{near[0]}.csv"?' if near else " Tables: suanli catalog"
                    raise InputError(f"--catalog {folder}: {path.name} is no table.{hint}")
        self._folders.append(DATA)
        self._tables: dict[str, dict[str, list[Fact]]] = {}
        self._aliases: dict[str, dict[str, str]] = {}
        self._models: dict[str, str] | None = None

    # -- tables ---------------------------------------------------------------------------------------------------
    def table(self, table: str) -> dict[str, list[Fact]]:
        """Return {id: rows} of a table, overlay rows first.

        Raises:
            UnknownIdError: no such table.
        """
        if table not in self._tables:
            if table not in TABLES:
                raise UnknownIdError("table", table, [*TABLES, "models"], see="suanli catalog")
            rows: dict[str, list[Fact]] = {}
            for folder in self._folders:
                path = folder / f"{table}.csv"
                if not path.is_file():
                    continue
                if folder == DATA:
                    facts = [fact for _, fact in _read(path, table, "suanli")]
                else:
                    facts = _read_checked(path, table, str(folder))
                for fact in facts:
                    rows.setdefault(fact.id, []).append(fact)
            self._tables[table] = rows
        return self._tables[table]

    def ids(self, table: str) -> list[str]:
        """Return the ids of a table ("models" included), in file order."""
        if table == "models":
            return sorted(
                {path.stem for folder in self._folders for path in (folder / "models").glob("*.json")}
            )
        return list(self.table(table))

    def resolve(self, table: str, name: str) -> str:
        """Return the id that `name` (an id or an alias, case and "_" ignored) stands for.

        Raises:
            UnknownIdError: nothing of that name; the message lists the close ones.
        """
        rows = self.table(table)
        if name in rows:
            return name
        aliases = self._alias_map(table)
        key = _fold(name)
        if key in aliases:
            return aliases[key]
        raise UnknownIdError(
            _SINGULAR.get(table, table.removesuffix("s")), name, rows, see=f"suanli catalog {table}"
        )

    def rows(self, table: str, name: str) -> list[Fact]:
        """Return all rows of an id: adopted, alternative and rejected."""
        return self.table(table)[self.resolve(table, name)]

    def get(self, table: str, name: str, parameter: str) -> Fact | None:
        """Return the adopted fact, or None where the catalogue has none."""
        for fact in self.rows(table, name):
            if fact.parameter == parameter and fact.status == "adopted":
                return fact
        return None

    def fact(self, table: str, name: str, parameter: str) -> Fact:
        """Return the adopted fact.

        Raises:
            NoDataError: the catalogue has no adopted value for it.
            UnknownIdError: no such id.
        """
        found = self.get(table, name, parameter)
        if found is None:
            raise NoDataError(
                f"The catalogue has no {parameter} for {self.resolve(table, name)}. "
                f"Give it in an overlay: --catalog DIR with {table}.csv"
            )
        return found

    def latest(self, table: str, name: str, parameter: str) -> Fact | None:
        """Return the adopted fact with the latest period among "parameter:PERIOD" rows (or the undated one)."""
        dated = [
            fact
            for fact in self.rows(table, name)
            if fact.status == "adopted" and fact.parameter.partition(":")[0] == parameter
        ]
        return max(dated, key=lambda fact: fact.parameter, default=None)

    def _alias_map(self, table: str) -> dict[str, str]:
        if table not in self._aliases:
            aliases: dict[str, str] = {}
            for key, rows in self.table(table).items():
                aliases.setdefault(_fold(key), key)
                for fact in rows:
                    if fact.parameter == "aliases" and fact.status == "adopted":
                        for alias in fact.value.split(";"):
                            aliases.setdefault(_fold(alias.strip()), key)
            self._aliases[table] = aliases
        return self._aliases[table]

    # -- models ---------------------------------------------------------------------------------------------------
    def model(self, name: str) -> dict[str, Any]:
        """Return the config (Hugging Face terms, with our `_suanli` block) of a model id, alias or JSON file.

        Raises:
            UnknownIdError: no such model.
        """
        if name.endswith(".json") and Path(name).is_file():
            return _read_json(Path(name))
        index = self._model_index()
        if _fold(name) not in index:
            raise UnknownIdError("model", name, self.ids("models"), see="suanli catalog models")
        return _read_json(Path(index[_fold(name)]))

    def _model_index(self) -> dict[str, str]:
        if self._models is None:
            index: dict[str, str] = {}
            files = [path for folder in self._folders for path in sorted((folder / "models").glob("*.json"))]
            for path in files:
                index.setdefault(_fold(path.stem), str(path))
            for path in files:
                for alias in _read_json(path).get("_suanli", {}).get("aliases", ()):
                    index.setdefault(_fold(alias), str(path))
            self._models = index
        return self._models

    # -- sources --------------------------------------------------------------------------------------------------
    def source(self, source: str) -> dict[str, str]:
        """Return title, publisher, date and where of a source id; empty where the id is not on record."""
        for folder in self._folders:
            found = _sources(folder / "sources.csv").get(source)
            if found:
                return found
        return {}


def _fold(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _read_checked(path: Path, table: str, origin: str) -> list[Fact]:
    """Read rows of a user's own; every problem of the file at once."""
    try:
        numbered = list(_read(path, table, origin))
    except UnicodeDecodeError:
        raise InputError(f"{path.name}: not UTF-8 text") from None
    problems = [
        f"{path.name}:{line} {fact.id} {problem}" for line, fact in numbered for problem in row_problems(fact)
    ]
    if problems:
        raise InputError("\n".join(problems))
    return [fact for _, fact in numbered]


def _read(path: Path, table: str, origin: str) -> Iterator[tuple[int, Fact]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, None)
        if header is None or tuple(header) != COLUMNS:
            raise InputError(f"{path.name}:1 columns must be {','.join(COLUMNS)}")
        for row in reader:
            if not row:
                continue
            if len(row) != len(COLUMNS):
                raise InputError(f"{path.name}:{reader.line_num} has {len(row)} fields, not {len(COLUMNS)}")
            key, parameter, value, low, high, unit, as_of, source, locator, grade, status, note = row
            fact = Fact(
                table,
                key,
                parameter,
                value,
                low,
                high,
                unit,
                as_of,
                source,
                locator,
                grade,
                status,
                note,
                origin,
            )
            yield reader.line_num, fact


@lru_cache(maxsize=256)
def _read_text(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path.name}:{error.lineno} not valid JSON: {error.msg}") from None


def _read_json(path: Path) -> dict[str, Any]:
    found = _read_text(path)
    if not isinstance(found, dict):
        raise InputError(f"{path.name}: expected a JSON object")
    return found


@lru_cache(maxsize=8)
def _sources(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}
