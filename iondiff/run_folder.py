"""A run folder: one run at a time, and a record of which stages are done and of what."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import IO, Any

from iondiff.errors import RunError
from iondiff.files import file_hash, write_json


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

    def __enter__(self) -> RunFolder:
        try:
            (self.path / "stages").mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / "run.lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise RunError(f"run folder {self.path} cannot be written: {error.strerror or error}") from error
        try:
            # The kernel drops the lock with the process, so a killed run leaves none behind.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "another process"
            self._lock.close()
            raise RunError(
                f"run folder {self.path} is held by {holder}; wait for it or name another folder"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._lock.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()

    def _record(self, stage: str) -> dict[str, Any] | None:
        try:
            record = json.loads((self.path / "stages" / f"{stage}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return None
        return record if isinstance(record, dict) else None

    def is_done(self, stage: str, key: str, outputs: tuple[str, ...]) -> bool:
        """Whether the stage was finished from the same inputs and its outputs are still what it wrote."""
        record = self._record(stage)
        if record is None or record.get("key") != key:
            return False
        return self.state(stage, outputs) == "done"

    def state(self, stage: str, outputs: tuple[str, ...]) -> str:
        """``"done"``, ``"open"``, or ``"damaged"``: finished once, but its outputs are not what it wrote."""
        record = self._record(stage)
        if record is None:
            return "open"
        hashes = record.get("outputs", {})
        whole = all(
            (self.path / name).exists() and file_hash(self.path / name) == hashes.get(name)
            for name in outputs
        )
        return "done" if whole else "damaged"

    def mark_done(self, stage: str, key: str, outputs: tuple[str, ...], seconds: float) -> None:
        """Record a finished stage."""
        hashes = {name: file_hash(self.path / name) for name in outputs}
        record = {"key": key, "outputs": hashes, "seconds": round(seconds, 3)}
        write_json(self.path / "stages" / f"{stage}.json", record)

    def seconds(self) -> dict[str, float]:
        """Wall seconds of every finished stage."""
        records = {
            path.stem: self._record(path.stem) for path in sorted((self.path / "stages").glob("*.json"))
        }
        return {name: record["seconds"] for name, record in records.items() if record}
