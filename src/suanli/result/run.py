"""The result of a run: its scenario, every value by name, and warnings; written as and read from JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suanli import __version__
from suanli.errors import InputError, UnknownIdError
from suanli.result.metrics import metrics
from suanli.result.value import Value

SCHEMA = "suanli/result/1"


@dataclass(frozen=True, slots=True)
class Result:
    """What one run found.

    Attributes:
        scenario: the resolved scenario, as a scenario file would write it.
        values: every value of the ledger by name, in the order of the chain.
        warnings: what the user should know about these numbers.
    """

    scenario: Mapping[str, Any]
    values: Mapping[str, Value]
    warnings: tuple[str, ...] = ()
    version: str = field(default=__version__)

    def __getitem__(self, name: str) -> Value:
        """Return a value by its dotted name.

        Raises:
            UnknownIdError: no such value; the message lists the close ones.
        """
        if name not in self.values:
            raise UnknownIdError("value", name, self.values, see="suanli explain RUN")
        return self.values[name]

    @property
    def name(self) -> str:
        """The scenario's name."""
        return str(self.scenario["name"])

    @property
    def hash(self) -> str:
        """Hash of all inputs: scenario, the catalogue rows that were used, and the version."""
        rows = [
            (v.name, v.value, v.text, v.low, v.high, v.origin)
            for v in self.values.values()
            if v.basis == "catalogue"
        ]
        text = json.dumps([self.version, self.scenario, rows], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def metrics(self) -> dict[str, Value]:
        """Return the values that are metrics of the contract, in the order of the chain."""
        return {name: self.values[name] for name in metrics() if name in self.values}

    def document(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "scenario": {"name": self.name, "hash": self.hash[:16]},
            "metrics": {name: value.as_metric() for name, value in self.metrics().items()},
            "warnings": list(self.warnings),
        }

    def archive(self) -> dict[str, Any]:
        """Return the document with the resolved scenario and the whole ledger, as result.json holds it."""
        ledger = [value.as_entry() for value in self.values.values()]
        return {**self.document(), "inputs": dict(self.scenario), "ledger": ledger}

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read a result.json.

        Raises:
            InputError: not a result of this tool.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            values = [Value.from_entry(entry) for entry in document["ledger"]]
            return cls(document["inputs"], by_name(values), tuple(document["warnings"]), document["version"])
        except FileNotFoundError:
            raise InputError(f"{path}: no such result. Make one with: suanli run SCENARIO") from None
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a suanli result ({error})") from None


def by_name(values: Iterable[Value]) -> dict[str, Value]:
    """Index values by name."""
    return {value.name: value for value in values}
