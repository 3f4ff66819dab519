"""How far a melt-quench is, and how long it still takes: on a bar, and in a file that others can look at."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from ase import Atoms
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from iondiff.errors import FileError
from iondiff.files import write_json

_PAUSE = 2.0  # s between two writings of the file
NAME = "progress.json"

Watch = Callable[[Atoms], str | None]


def step_bar() -> Progress:
    """A bar of steps with the time left."""
    return Progress(
        TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )


class QuenchProgress:
    """Steps of all stages together.

    Parameters
    ----------
    folder
        ``progress.json`` in it holds `stage`, `done`, `total` (steps) and `seconds_left` (None at first).
    total
        Steps expected; more where the melt takes longer.
    show
        Whether to draw a bar.
    """

    def __init__(self, folder: Path, total: int, show: bool) -> None:
        self.path, self.total = folder / NAME, total
        self.stage, self.before, self.done = "", 0, 0
        self._bar = step_bar() if show else None
        self._task = None if self._bar is None else self._bar.add_task("steps", total=total)
        self._begin: tuple[float, int] | None = None
        self._written = 0.0

    def __enter__(self) -> QuenchProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def watch(self, stage: str, steps: int, other: Watch | None) -> Watch:
        """Begin a stage; what it returns is the `watch` of its run, in front of the user's own."""
        self.stage, self.before = stage, self.done
        self.total = max(self.total, self.done + steps)

        def look(frame: Atoms) -> str | None:
            self._move(self.before + int(frame.info["step"]))
            return None if other is None else other(frame)

        return look

    def finished(self, steps: int) -> None:
        """The stage has done its steps, here or before a kill."""
        self.done = self.before + steps
        self._write()

    def _move(self, done: int) -> None:
        # The first frame seen in this process: a resumed stage does not begin at its start.
        if self._begin is None:
            self._begin = time.monotonic(), done
        self.done = done
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=self.stage, completed=done, total=self.total)
        if time.monotonic() - self._written > _PAUSE:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        left = None
        if self._begin is not None and self.done > self._begin[1]:
            each = (self._written - self._begin[0]) / (self.done - self._begin[1])
            left = round(each * (self.total - self.done), 1)
        record = {"stage": self.stage, "done": self.done, "total": self.total, "seconds_left": left}
        with contextlib.suppress(FileError):  # a full disk is for the trajectory to report
            write_json(self.path, record)


def read_progress(folder: Path) -> dict[str, Any]:
    """What the file of a quench says now; nothing where there is none."""
    try:
        record = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
