"""Progress on the terminal: one bar for each stage of a search."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from search.landscape import Progress


@contextmanager
def shown(progress: Progress | bool | None) -> Iterator[Progress | None]:
    """What a search reports to: bars for True, nothing for False and None, or the caller's own function."""
    if progress is None or progress is False:
        yield None
    elif progress is not True:
        yield progress
    else:
        with _bars() as bars:
            yield Bars(bars)


class Bars:
    """A function of (stage, done, total) that moves a bar for each stage; no total, only a count, for 0."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move the bar of `stage`."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total or None)
        self._bars.update(self._tasks[stage], completed=done, total=total or None)


def _bars() -> RichProgress:
    return RichProgress(
        TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )
