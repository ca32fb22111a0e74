"""Load the catalogue, with private overlays in front, and look things up by id or alias."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from suanli.catalog.checks import row_problems
from suanli.catalog.fact import COLUMNS, Fact
from suanli.catalog.own import NAMES, check_own
from suanli.catalog.schema import DATA, TABLES, schema, stem
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
                if path.stem not in (*TABLES, "sources", *NAMES):
                    near = close_matches(path.stem, (*TABLES, *NAMES), 1)
                    hint = f' Did you mean "{near[0]}.csv"?' if near else " Tables: suanli catalog"
                    raise InputError(f"--catalog {folder}: {path.name} is no table.{hint}")
            check_own(folder)
        self._folders.append(DATA)
        self._tables: dict[str, dict[str, list[Fact]]] = {}
        self._aliases: dict[str, dict[str, str]] = {}
        self._spelled: dict[str, dict[str, str]] = {}
        self._models: dict[str, str] | None = None

    @property
    def overlays(self) -> tuple[Path, ...]:
        """Folders laid over the package's own, the one that wins first."""
        return tuple(self._folders[:-1])

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
        """Return the id that `name` (an id or an alias, case and separators ignored) stands for.

        Raises:
            UnknownIdError: nothing of that name; the message lists the close ones.
        """
        found = self.find(table, name)
        if found is None:
            kind = _SINGULAR.get(table, table.removesuffix("s"))
            known, aliases = self.ids(table), self.aliases(table)
            raise UnknownIdError(kind, name, known, see=f"suanli catalog {table}", aliases=aliases)
        return found

    def find(self, table: str, name: str) -> str | None:
        """Return the id that `name` stands for in a table ("models" included), None where it stands for none."""
        if table == "models":
            path = self._model_file(name)
            return None if path is None else Path(path).stem
        if name in self.table(table):
            return name
        return self.aliases(table).get(_fold(name)) or self._spelled[table].get(_squeezed(name))

    def rows(self, table: str, name: str) -> list[Fact]:
        """Return all rows of an id: adopted, alternative and rejected."""
        return self.table(table)[self.resolve(table, name)]

    def numbers(self, table: str, name: str) -> dict[str, float]:
        """Return {parameter: adopted value in coherent units} of an id's numbers; of several dates the newest."""
        known = schema()[table]
        return {
            fact.parameter: fact.si
            for fact in reversed(self.rows(table, name))
            if fact.status == "adopted"
            and (entry := known.get(stem(fact.parameter)))
            and entry.type == "number"
        }

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

    def aliases(self, table: str) -> dict[str, str]:
        """Return {name in lower case: id} of a table ("models" included): ids and their other names."""
        if table == "models":
            return {key: Path(path).stem for key, path in self._model_index().items()}
        if table not in self._aliases:
            aliases = {_fold(key): key for key in self.table(table)}
            for key, rows in self.table(table).items():
                for fact in rows:
                    if fact.parameter == "aliases" and fact.status == "adopted":
                        for alias in fact.value.split(";"):
                            aliases.setdefault(_fold(alias), key)
            self._aliases[table] = aliases
            self._spelled[table] = _by_spelling(aliases)
        return self._aliases[table]

    # -- models ---------------------------------------------------------------------------------------------------
    def model(self, name: str) -> dict[str, Any]:
        """Return the config (Hugging Face terms, with our `_suanli` block) of a model id, alias or JSON file.

        Raises:
            UnknownIdError: no such model.
        """
        if name.endswith(".json") and Path(name).is_file():
            return _read_json(Path(name))
        found = self._model_file(name)
        if found is None:
            raise UnknownIdError(
                "model", name, self.ids("models"), see="suanli catalog models", aliases=self.aliases("models")
            )
        return _read_json(Path(found))

    def _model_file(self, name: str) -> str | None:
        return self._model_index().get(_fold(name)) or self._spelled["models"].get(_squeezed(name))

    def _model_index(self) -> dict[str, str]:
        """Files by name: ids first, then aliases, then aliases without the organisation before them."""
        if self._models is None:
            index: dict[str, str] = {}
            files = [path for folder in self._folders for path in sorted((folder / "models").glob("*.json"))]
            for path in files:
                index.setdefault(_fold(path.stem), str(path))
            named = [
                (_fold(alias), str(path))
                for path in files
                for alias in _read_json(path).get("_suanli", {}).get("aliases", ())
            ]
            for alias, file in named:
                index.setdefault(alias, file)
            for alias, file in named:
                index.setdefault(alias.rpartition("/")[2], file)
            self._models = index
            self._spelled["models"] = _by_spelling(index)
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


def _squeezed(name: str) -> str:
    """A name without separators, but for those between two numbers: "RTX 4090", "rtx-4090" and "RTX4090" are one."""
    kept = re.sub(r"(?<=\d)[\W_]+(?=\d)", ".", name.casefold())
    return re.sub(r"(?!(?<=\d)\.(?=\d))[\W_]", "", kept)


def _by_spelling(names: Mapping[str, str]) -> dict[str, str]:
    spelled: dict[str, str] = {}
    for name, found in names.items():
        spelled.setdefault(_squeezed(name), found)
    return spelled


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
