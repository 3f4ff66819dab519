"""A run folder: one run at a time, a log, and a record of which stages are done and of what."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import IO, Any

from iondiff.errors import RunError
from iondiff.files import file_hash, is_sealed, read_bounded, sealed, write_json

_LARGEST_RECORD = 1 << 20  # bytes


class RunFolder:
    """Context manager that holds a run folder for this process.

    Raises
    ------
    RunError
        The folder cannot be made or written, or another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None
        self._log: IO[str] | None = None
        self._held = False

    def __enter__(self) -> RunFolder:
        try:
            (self.path / "stages").mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / "run.lock").open("a+", encoding="utf-8")
            self._take(self._lock)
            self._log = (self.path / "run.log").open("a", encoding="utf-8")
        except OSError as error:
            self._release()
            raise RunError(f"run folder {self.path} cannot be written: {error.strerror or error}") from error
        except RunError:
            self._release()
            raise
        return self

    def _take(self, lock: IO[str]) -> None:
        try:
            # The kernel drops the lock with the process, so a killed run leaves none behind.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(200).strip() or "another process"
            raise RunError(
                f"run folder {self.path} is held by {holder}; wait for it or name another folder"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        lock.flush()
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        for stream in (self._log, self._lock):
            with contextlib.suppress(OSError):
                if stream is not None and stream is self._lock and self._held:
                    stream.truncate(0)
            with contextlib.suppress(OSError):  # a full disk: closing writes what is left
                if stream is not None:
                    stream.close()
        self._log = self._lock = None
        self._held = False

    def log(self, text: str) -> None:
        """Add a line with the time of day to ``run.log``; no result depends on it, so it may fail."""
        if self._log is not None:
            with contextlib.suppress(OSError):
                self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {' '.join(text.split())}\n")
                self._log.flush()

    def _record(self, stage: str) -> dict[str, Any] | None:
        """A stage's record; None where there is none, or where it is not what was written."""
        try:
            record = json.loads(read_bounded(self.path / "stages" / f"{stage}.json", _LARGEST_RECORD))
        except (OSError, ValueError, RecursionError):
            return None
        return record if is_sealed(record) else None

    def is_done(self, stage: str, key: str, outputs: tuple[str, ...]) -> bool:
        """Whether the stage was finished from the same inputs and its outputs are still what it wrote."""
        record = self._record(stage)
        if record is None or record["key"] != key:
            return False
        return not self.changed(outputs, record)

    def state(self, stage: str, outputs: tuple[str, ...]) -> str:
        """``"done"``, ``"open"``, or ``"damaged"``: finished once, but its outputs are not what it wrote."""
        record = self._record(stage)
        if record is None:
            return "open"
        return "damaged" if self.changed(outputs, record) else "done"

    def changed(self, outputs: tuple[str, ...], record: dict[str, Any]) -> list[str]:
        """Those of a stage's outputs that are missing or not the bytes that it wrote."""
        return [
            name
            for name in outputs
            if not (self.path / name).is_file() or file_hash(self.path / name) != record["outputs"].get(name)
        ]

    def damaged(self) -> list[str]:
        """Outputs of finished stages that are there and not the bytes that were written."""
        found = []
        for path in sorted((self.path / "stages").glob("*.json")):
            record = self._record(path.stem)
            if record is not None:
                there = tuple(name for name in record["outputs"] if (self.path / name).is_file())
                found += self.changed(there, record)
        return found

    def mark_done(self, stage: str, key: str, outputs: tuple[str, ...], seconds: float | None) -> None:
        """Record a finished stage."""
        record: dict[str, Any] = {"key": key, "outputs": {n: file_hash(self.path / n) for n in outputs}}
        if seconds is not None:
            record["seconds"] = round(seconds, 3)
        write_json(self.path / "stages" / f"{stage}.json", sealed(record))

    def seconds(self) -> dict[str, float]:
        """Wall seconds of every finished stage."""
        records = {
            path.stem: self._record(path.stem) for path in sorted((self.path / "stages").glob("*.json"))
        }
        return {name: record["seconds"] for name, record in records.items() if record and "seconds" in record}
