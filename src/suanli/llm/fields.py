"""Read the fields of a config: typed, with synonyms, all problems at once, and knowing what was not
understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from suanli.llm.silent import SILENT

_LARGEST = 10**12  # beyond any size of a model; larger numbers are slips


class Fields:
    """Typed access to a config. Every read marks the field as understood; problems are collected, not
    raised."""

    def __init__(self, config: Mapping[str, Any], place: str, problems: list[str] | None = None) -> None:
        self.config = config
        self.place = place
        self.problems: list[str] = [] if problems is None else problems
        self._used: set[str] = set()
        self._nested: dict[str, Fields] = {}

    def raw(self, *names: str) -> Any:
        """The value of the first of these fields that is there and not null; None otherwise."""
        self._used.update(names)
        for name in names:
            value = self.config.get(name)
            if value is not None:
                return value
        return None

    def name_of(self, *names: str) -> str:
        """The synonym that the config uses, for messages."""
        return next((name for name in names if self.config.get(name) is not None), names[0])

    def problem(self, name: str, text: str) -> None:
        """Note a problem with a field."""
        line = f"{self.place} {name}: {text}"
        if line not in self.problems:
            self.problems.append(line)

    def number(self, *names: str, default: int | None = None, minimum: int = 1) -> int:
        """A whole number; a missing one without default is a problem and reads as the minimum (at least
        1)."""
        value = self.raw(*names)
        if value is None and default is not None:
            return default
        if value is None:
            self.problem(names[0], "missing; the size cannot be known without it")
            return max(minimum, 1)
        if not _whole(value) or not minimum <= value <= _LARGEST:
            what = f"expected a whole number of at least {minimum}"
            self.problem(self.name_of(*names), f"{what}, got {value!r}"[:200])
            return max(minimum, 1)
        return int(value)

    def optional(self, *names: str) -> int | None:
        """A whole number above 0, or None where it is absent or null."""
        return None if self.raw(*names) is None else self.number(*names)

    def positive(self, name: str) -> float:
        """A number of at least 0; 0 where it is absent."""
        value = self.raw(name)
        if value is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
            self.problem(name, f"expected a number of at least 0, got {value!r}"[:200])
            return 0.0
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A true or false."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(name, f"expected true or false, got {value!r}"[:200])
            return default
        return value

    def items(self, name: str) -> list[Any] | None:
        """A list, or None where it is absent; Step's comma-separated form reads too."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, str):
            return [int(part) for part in value.split(",") if part.strip().isdigit()]
        if not isinstance(value, Sequence):
            self.problem(name, f"expected a list, got {value!r}"[:200])
            return None
        return list(value)

    def numbers(self, name: str) -> list[int] | None:
        """A list of whole numbers, or None where it is absent."""
        found = self.items(name)
        if found is not None and not all(_whole(item) and 0 <= item <= _LARGEST for item in found):
            self.problem(name, "expected a list of whole numbers")
            return None
        return None if found is None else [int(item) for item in found]

    def per_layer(self, name: str, layers: int) -> list[Any] | None:
        """A list with one entry a layer, or None where it is absent."""
        found = self.items(name)
        if found is not None and len(found) < layers:
            self.problem(name, f"has {len(found)} entries for {layers} layers")
            return None
        return found

    @property
    def own(self) -> Mapping[str, Any]:
        """Our `_suanli` block; empty where there is none."""
        block = self.config.get("_suanli")
        return block if isinstance(block, Mapping) else {}

    def nested(self, name: str) -> Fields:
        """The fields of an object inside, sharing the list of problems."""
        if name in self._nested:
            return self._nested[name]
        value = self.raw(name)
        if value is not None and not isinstance(value, Mapping):
            self.problem(name, f"expected an object, got {value!r}"[:200])
            value = None
        inner = Fields(value or {}, f"{self.place} {name}", self.problems)
        self._nested[name] = inner
        return inner

    def unknown(self) -> tuple[str, ...]:
        """Fields that nothing has asked for and that are not known to leave size and shape alone."""
        own = [name for name in self.config if name not in self._used and name not in SILENT]
        inner = [f"{place}.{name}" for place, fields in self._nested.items() for name in fields.unknown()]
        return tuple(sorted({*own, *inner}))


def _whole(value: object) -> bool:
    """Whether a JSON value is a finite whole number; true and false are not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or value.is_integer()
