"""How long a step takes and what it draws: the interface between hardware physics and the event loop."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StepModel:
    """Step time of one replica: t(n, b, C, Q, k) = f(n) + a(b) + g(b) C + [k > 0] (p + h Q ceil(k/G)/k).

    n new tokens of the step (prompt chunks, decodes and drafts), b sequences decoding, C the KV tokens they attend to
    together, Q the query-key pairs of its k prompt chunks, which G attention groups compute side by side, the fullest
    last: it has ceil(k/G) of them, and the part of f that is a group's own takes as long as if all groups had as many.
    f, a and g are tables, linear between their points and beyond the last two. The sum is a time; where products of
    prompts and of decodes take different factors, a corrects f and may be below 0.

    Attributes:
        tokens: n of the table of f, rising [token].
        step_s: f: weights, matrix products, exchange and overhead [s].
        batch: b of the table of g, rising [1].
        read_s: g: attention time per KV token [s].
        launch_s: a: time of b sequences whatever they attend to, at 0 that of a step without decodes [s]; None is 0.
        pair_s: h: attention time per query-key pair of a prompt [s].
        power_w: power while a step of `tokens` runs [W].
        idle_w: power while nothing runs [W].
        advance: tokens that a sequence gains in a decode step, above 1 with speculative decoding [token].
        drafts: draft tokens verified beside the regular one, per sequence [token].
        prompt_step_s: p: what a step with prompt chunks takes more [s].
        groups: G: attention groups that compute prompts of their own [1].
        own_s: part of f that each group does for its own tokens [s]; None is 0.
        late_steps: decode steps that pass between a token's step and its delivery [1].
    """

    tokens: Array
    step_s: Array
    batch: Array
    read_s: Array
    launch_s: Array | None = None
    pair_s: float = 0.0
    power_w: Array | None = None
    idle_w: float = 0.0
    advance: float = 1.0
    drafts: int = 0
    prompt_step_s: float = 0.0
    groups: int = 1
    own_s: Array | None = None
    late_steps: float = 0.0

    def __post_init__(self) -> None:
        for name, grid, value in (
            ("step_s", self.tokens, self.step_s),
            ("read_s", self.batch, self.read_s),
            ("launch_s", self.batch, np.zeros(self.batch.shape) if self.launch_s is None else self.launch_s),
            ("own_s", self.tokens, np.zeros(self.tokens.shape) if self.own_s is None else self.own_s),
        ):
            if grid.ndim != 1 or grid.shape != value.shape or grid.size == 0:
                raise InputError(f"StepModel.{name}: needs one value for each point of its grid")
            below = name != "launch_s" and np.any(value < 0.0)
            if np.any(np.diff(grid) <= 0.0) or not np.all(np.isfinite(value)) or below:
                raise InputError(
                    f"StepModel.{name}: the grid must rise and values be finite and not negative"
                )
        if self.advance < 1.0 or self.drafts < 0:
            raise InputError("StepModel: advance is at least 1 token a step, drafts at least 0")
        if self.groups < 1 or self.late_steps < 0.0 or self.prompt_step_s < 0.0:
            raise InputError("StepModel: groups is at least 1, late_steps and prompt_step_s at least 0")
        if np.any(self.step_time_s(self.batch * (1 + self.drafts), self.batch) < 0.0):
            raise InputError("StepModel.launch_s: a decode step takes less than no time")

    def step_time_s(
        self,
        tokens: ArrayLike,
        batch: ArrayLike = 0,
        context_tokens: ArrayLike = 0.0,
        pairs: ArrayLike = 0.0,
        prompts: ArrayLike = 0,
    ) -> Array:
        """Evaluate the step time.

        Args:
            tokens: n, new tokens [token].
            batch: b, sequences decoding [1].
            context_tokens: C, KV tokens they attend to [token].
            pairs: Q, query-key pairs of prompts [1].
            prompts: k, prompt chunks [1].

        Returns:
            Time of the step [s], broadcast over the arguments.
        """
        read = line(batch, self.batch, self.read_s) * np.asarray(context_tokens, dtype=float)
        if self.launch_s is not None:
            read = read + line(batch, self.batch, self.launch_s)
        chunks, rows = np.asarray(prompts, dtype=float), np.asarray(tokens, dtype=float)
        share = np.ceil(chunks / self.groups) / np.maximum(chunks, 1.0)
        added = self.prompt_step_s + self.pair_s * np.asarray(pairs, dtype=float) * share
        if self.own_s is not None and self.groups > 1:
            new = rows - np.asarray(batch, dtype=float) * (1 + self.drafts)
            wide = rows + np.floor(np.maximum(new, 0.0) * (self.groups * share - 1.0))
            added = added + line(wide, self.tokens, self.own_s) - line(rows, self.tokens, self.own_s)
        return np.asarray(line(rows, self.tokens, self.step_s) + read + np.where(chunks > 0, added, 0.0))

    def scaled(self, factor: float) -> StepModel:
        """Return the model with all times of steps multiplied by a number above 0 [1]; power stays."""
        launch, own = (None if one is None else factor * one for one in (self.launch_s, self.own_s))
        return replace(
            self,
            step_s=factor * self.step_s,
            read_s=factor * self.read_s,
            launch_s=launch,
            own_s=own,
            pair_s=factor * self.pair_s,
            prompt_step_s=factor * self.prompt_step_s,
        )

    def dense(self, most_tokens: int, most_batch: int) -> tuple[Array, Array, Array, Array, Array]:
        """Tabulate f, g, power, a and the groups' own part at every whole n and b, as the event loop reads them.

        Args:
            most_tokens: largest n.
            most_batch: largest b.

        Returns:
            (f, g, power, a, own): f [s], power [W] and own [s] for n = 0 ... most_tokens, g and a [s] for
            b = 0 ... most_batch.
        """
        n, b = np.arange(most_tokens + 1.0), np.arange(most_batch + 1.0)
        power = (
            np.full(n.shape, self.idle_w) if self.power_w is None else np.interp(n, self.tokens, self.power_w)
        )
        launch = np.zeros(b.shape) if self.launch_s is None else line(b, self.batch, self.launch_s)
        own = np.zeros(n.shape) if self.own_s is None else line(n, self.tokens, self.own_s)
        return line(n, self.tokens, self.step_s), line(b, self.batch, self.read_s), power, launch, own

    def speculative(self, advance: float, drafts: int) -> StepModel:
        """Return the model with speculative decoding: each sequence verifies `drafts` tokens and gains `advance`.

        Args:
            advance: mean tokens a step and sequence, at least 1 [token]; rounded to 1/1024, so that sums are exact.
            drafts: draft tokens.

        Raises:
            InputError: more tokens gained than verified.
        """
        if not 1.0 <= advance <= 1.0 + drafts:
            raise InputError(
                f"speculative decoding: tokens a step must lie in 1 ... {1 + drafts}, not {advance:g}"
            )
        return replace(self, advance=round(advance * 1024.0) / 1024.0, drafts=drafts)

    @classmethod
    def constant(cls, step_s: float, per_token_s: float = 0.0) -> StepModel:
        """Return a degenerate model, t = step_s + per_token_s n, for queueing theory.

        Args:
            step_s: time of any step [s].
            per_token_s: more for each token [s].
        """
        n = np.array([0.0, 1.0])
        return cls(n, step_s + per_token_s * n, np.array([0.0]), np.array([0.0]))


def line(x: ArrayLike, grid: Array, value: Array) -> Array:
    """Interpolate linearly, and go on beyond the last point with the slope of the last two.

    Args:
        x: where [1].
        grid: rising points [1].
        value: their values [1].

    Returns:
        Values at x; the first value below the first point.
    """
    at = np.asarray(x, dtype=float)
    found = np.interp(at, grid, value)
    if grid.size > 1:
        slope = (value[-1] - value[-2]) / (grid[-1] - grid[-2])
        found = np.where(at > grid[-1], value[-1] + slope * (at - grid[-1]), found)
    return np.asarray(found)
