"""A progress line on standard error, shown only when the work takes longer than two seconds."""

from __future__ import annotations

import sys
import time

PATIENCE_S = 2.0
_EVERY_S = 0.2
_WIDTH = 30


class Progress:
    """A line "label ####.... 1,200 of 5,000  3 s left", rewritten in place on a terminal."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = label, max(total, 1)
        self._start = self._last = time.monotonic()
        self._shown = False

    def tick(self, done: int) -> None:
        """Show that so many steps are done."""
        now = time.monotonic()
        every = _EVERY_S if sys.stderr.isatty() else 10.0
        if now - self._start < PATIENCE_S or now - self._last < every:
            return
        self._last, self._shown = now, True
        filled = _WIDTH * done // self._total
        left = (now - self._start) * (self._total - done) / max(done, 1)
        bar = "#" * filled + "." * (_WIDTH - filled)
        end = "" if sys.stderr.isatty() else "\n"
        line = f"{self._label} {bar} {done:,} of {self._total:,}  {left:.0f} s left "
        sys.stderr.write(f"\r{line}" if not end else f"{line}{end}")
        sys.stderr.flush()

    def close(self) -> None:
        """Clear the line."""
        if self._shown and sys.stderr.isatty():
            sys.stderr.write("\r" + " " * 78 + "\r")
            sys.stderr.flush()
