"""Which earlier positions a layer looks at and keeps: full, window, chunk, selection, compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Span:
    """A set of earlier positions, the token's own included.

    Attributes:
        kind: "full" (all), "window" (the last `cap`), "chunk" (those since the last multiple of `cap`) or
            "select"
            (the best `cap` by an indexer: all are kept, `cap` are read).
        cap: most entries, after compression [1]; 0 where there is none.
        ratio: positions that one entry stands for [1].
    """

    kind: Literal["full", "window", "chunk", "select"] = "full"
    cap: int = 0
    ratio: int = 1

    def entries(self, context: ArrayLike) -> Array:
        """Entries that a token at position `context` (counted from 1) looks at [1].

        full c/r; window and select min(c/r, cap); chunk c up to cap, beyond it the mean over a chunk, (cap +
        1)/2.
        """
        c = np.asarray(context, dtype=float)
        if self.kind == "full":
            return np.asarray(c / self.ratio)
        if self.kind == "chunk":
            return np.where(c <= self.cap, c, (self.cap + 1) / 2)
        return np.asarray(np.minimum(c / self.ratio, self.cap))

    def cumulative(self, tokens: ArrayLike) -> Array:
        """Sum of `entries` over positions 1..tokens, in closed form [1].

        full s(s+1)/2r; otherwise with T = cap r: T(T+1)/2r + (s - T) m beyond T, m the entries of a late
        token.
        """
        s = np.asarray(tokens, dtype=float)
        whole = s * (s + 1) / (2 * self.ratio)
        if self.kind == "full":
            return np.asarray(whole)
        edge = float(self.cap * self.ratio)
        late = (self.cap + 1) / 2 if self.kind == "chunk" else float(self.cap)
        return np.where(s <= edge, whole, edge * (edge + 1) / (2 * self.ratio) + (s - edge) * late)

    def area(self, tokens: ArrayLike) -> Array:
        """Half-square form of `cumulative`, s^2/2r instead of s(s+1)/2r: the convention of published training
        FLOPs."""
        s = np.asarray(tokens, dtype=float)
        whole = s * s / (2 * self.ratio)
        if self.kind == "full":
            return np.asarray(whole)
        edge = float(self.cap * self.ratio)
        late = self.cap / 2 if self.kind == "chunk" else float(self.cap)
        return np.where(s <= edge, whole, edge * edge / (2 * self.ratio) + (s - edge) * late)

    def kept(self, context: ArrayLike) -> Array:
        """Entries a cache holds for a sequence of `context` tokens [1]: c/r, capped for windows and
        chunks."""
        entries = np.asarray(context, dtype=float) / self.ratio
        if self.kind in ("window", "chunk"):
            return np.asarray(np.minimum(entries, self.cap))
        return np.asarray(entries)

    def read(self, new_tokens: ArrayLike, cached_tokens: ArrayLike) -> Array:
        """Distinct entries that a block of new tokens reads: at most all, window + new - 1, or cap for each
        [1]."""
        new = np.asarray(new_tokens, dtype=float)
        whole = (new + np.asarray(cached_tokens, dtype=float)) / self.ratio
        if self.kind == "full":
            return np.asarray(whole)
        if self.kind == "select":
            return np.asarray(np.minimum(whole, new * self.cap))
        if self.kind == "chunk":
            return np.asarray(np.minimum(whole, self.entries(new + cached_tokens) + new - 1))
        return np.asarray(np.minimum(whole, self.cap + new - 1))

    def growth(self, context: ArrayLike = 0.0) -> Array:
        """Entries a cache of `context` tokens grows by with one more token [1]: 1/r, 0 where a window or
        chunk is full."""
        c = np.asarray(context, dtype=float)
        if self.kind in ("window", "chunk"):
            return np.where(c / self.ratio < self.cap, 1.0 / self.ratio, 0.0)
        return np.full(c.shape, 1.0 / self.ratio)


FULL = Span()


def attended(spans: tuple[Span, ...], context: ArrayLike) -> Array:
    """Entries that a token at position `context` looks at, over all spans [1]."""
    total = np.zeros(())
    for span in spans:
        total = total + span.entries(context)
    return total


def attended_pairs(spans: tuple[Span, ...], new_tokens: ArrayLike, cached_tokens: ArrayLike) -> Array:
    """Query-key pairs of `new_tokens` tokens that follow `cached_tokens` cached ones: F(c + q) - F(c) [1]."""
    cached = np.asarray(cached_tokens, dtype=float)
    end = cached + np.asarray(new_tokens, dtype=float)
    total = np.zeros(())
    for span in spans:
        total = total + span.cumulative(end) - span.cumulative(cached)
    return total
