"""Exceptions, one tree.

::

    SuanliError                     exit code
    ├── InputError                  2   a file, flag or value that the user gave is wrong
    │   ├── UnitError               2   a quantity that cannot be read or has another dimension
    │   ├── ScenarioError           2   a scenario: every problem of the file at once
    │   └── UnknownIdError          2   no such chip, model, site, metric ...; names the close ones
    ├── InfeasibleError             1   the question is fine, the answer is no (does not fit, SLO missed)
    │   └── ShortOfMemoryError      1   weights, or one sequence beside them, do not fit
    └── NoDataError                 3   the catalogue lacks a fact that the calculation cannot do without

Anything else that reaches the command line is a defect of suanli and exits with 4.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


class SuanliError(Exception):
    """Base of all errors that suanli raises on purpose."""

    exit_code = 4


class InputError(SuanliError):
    """Something that the user gave is wrong."""

    exit_code = 2


class UnitError(InputError):
    """A quantity could not be read, or has the wrong dimension."""


class ScenarioError(InputError):
    """A scenario file has problems; all of them are listed, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


_FEW = 12  # names that can be listed whole
_HINTS = 3  # close names that a message prints


class UnknownIdError(InputError):
    """An id that is not in the catalogue (or in a result), with the close ones.

    Args:
        kind: what it should have been: "chip", "model" ...
        name: as the user wrote it.
        known: ids.
        see: a command that lists them.
        aliases: {other name: id}; a name close to one of them brings its id into the message.
        like: the part of the name that is compared, where not all of it tells ids apart.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        see: str = "",
        aliases: Mapping[str, str] | None = None,
        like: str = "",
    ) -> None:
        self.kind = kind
        self.name = name
        names = list(dict.fromkeys(known))
        meant = {**(aliases or {}), **{one: one for one in names}}
        near = close_matches(like or name, meant, count=_HINTS if aliases is None else len(meant))
        hint = list(dict.fromkeys(meant[one] for one in near))[:_HINTS]
        message = f'No {kind} "{name}".'
        if hint:
            message += f" Close: {', '.join(hint)}."
        if see:
            message += f" See: {see}"
        elif not hint or len(names) <= _FEW:
            message += f" Known: {', '.join(names)}."
        super().__init__(message)


class InfeasibleError(SuanliError):
    """The plan cannot be: says which limit binds and the smallest change that would fit."""

    exit_code = 1


class ShortOfMemoryError(InfeasibleError):
    """Weights, or the cache of one sequence beside them, do not fit."""


class NoDataError(SuanliError):
    """The catalogue lacks a fact that is needed."""

    exit_code = 3


def close_matches(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` known names that look like `name`, best first; ids match by their parts too."""
    pool = list(dict.fromkeys(known))
    folded = {key.lower().replace("_", "-"): key for key in reversed(pool)}
    wanted = name.lower().replace("_", "-")
    hits = [folded[key] for key in difflib.get_close_matches(wanted, list(folded), n=count, cutoff=0.6)]
    parts = [part for part in wanted.replace("/", "-").split("-") if part]
    if len(hits) < count and parts:
        tokens = {key: key.replace("/", "-").split("-") for key in folded}
        partial = [
            key for key, have in tokens.items() if all(any(h.startswith(p) for h in have) for p in parts)
        ]
        hits += [folded[key] for key in sorted(partial, key=len) if folded[key] not in hits]
    return hits[:count]
