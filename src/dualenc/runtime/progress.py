"""Progress of long work: plain lines with rate and time left, as a log and a terminal can hold them."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

SECONDS_BETWEEN_LINES = 5

Item = TypeVar("Item")


class Progress:
    """Print ``collection.tsv: 40/200 MB, 8.1 MB/s, 20 s left`` on stderr every few seconds.

    ``total``, None if it is not known, and all counts are in units of which ``per`` make one ``unit``; ``done`` were
    done before. Where some take longer than others, ``work`` says how long all of them take, in any unit, and gives the
    time left.
    """

    def __init__(
        self,
        what: str,
        unit: str,
        total: float | None = None,
        *,
        per: float = 1,
        done: float = 0,
        work: float | None = None,
    ):
        self.what, self.unit, self.total, self.per = what, unit, total, per
        self.done = self.first = done
        self.work, self.worked = work, 0.0
        self.start = self.last = time.monotonic()

    def advance(self, count: float = 1, work: float = 0) -> None:
        """Note that ``count`` more are done, which were so much ``work``, and print a line when it is time for one."""
        self.done += count
        self.worked += work
        now = time.monotonic()
        if now - self.last < SECONDS_BETWEEN_LINES:
            return
        self.last = now
        seconds = now - self.start
        rate = (self.done - self.first) / seconds / self.per
        of = "" if self.total is None else f"/{self.total / self.per:,.0f}"
        shown = f"{rate:,.1f}" if rate >= 1 else f"{rate:.2g}"
        print(
            f"{self.what}: {self.done / self.per:,.0f}{of} {self.unit}, {shown} {self.unit}/s{self._left(seconds)}",
            file=sys.stderr,
            flush=True,
        )

    def _left(self, seconds: float) -> str:
        if self.total is None:
            return ""
        if self.work is None:
            left = (self.total - self.done) / (self.done - self.first)
        else:
            left = (self.work - self.worked) / self.worked
        return f", {left * seconds:.0f} s left"


def reported(
    items: Iterable[Item], what: str, unit: str, total: float | None = None, done: float = 0
) -> Iterator[Item]:
    """Yield ``items`` and note each as done when the next one is asked for; time counts from the first one on."""
    progress = Progress(what, unit, total, done=done)
    for item in items:
        yield item
        progress.advance()
