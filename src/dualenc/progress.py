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
    there before.
    """

    def __init__(self, what: str, unit: str, total: float | None = None, *, per: float = 1, done: float = 0):
        self.what, self.unit, self.total, self.per = what, unit, total, per
        self.done = self.first = done
        self.start = self.last = time.monotonic()

    def advance(self, count: float = 1) -> None:
        """Note that ``count`` more are done, and print a line when it is time for one."""
        self.done += count
        now = time.monotonic()
        if now - self.last < SECONDS_BETWEEN_LINES:
            return
        self.last = now
        rate = (self.done - self.first) / (now - self.start)
        of, left = "", ""
        if self.total is not None:
            of, left = f"/{self.total / self.per:,.0f}", f", {(self.total - self.done) / rate:.0f} s left"
        print(
            f"{self.what}: {self.done / self.per:,.0f}{of} {self.unit}, {rate / self.per:,.1f} {self.unit}/s{left}",
            file=sys.stderr,
            flush=True,
        )


def reported(
    items: Iterable[Item], what: str, unit: str, total: float | None = None, done: float = 0
) -> Iterator[Item]:
    """Yield ``items`` and note each as done when the next one is asked for; time counts from the first one on."""
    progress = Progress(what, unit, total, done=done)
    for item in items:
        yield item
        progress.advance()
