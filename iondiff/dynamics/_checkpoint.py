"""Checkpoints: everything that decides the rest of a run, in one file that is whole or not there."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from iondiff.dynamics._integrators import State
from iondiff.errors import DynamicsError
from iondiff.files import write_atomically

_SCHEMA = "iondiff-md-checkpoint/1"


def save(
    path: Path,
    identity: dict[str, Any],
    state: State,
    memory: dict[str, np.ndarray],
    log: np.ndarray,
    written: tuple[int, int, list[dict[str, Any]]] | None,
) -> None:
    """Write a checkpoint; `written` is the writer's position."""
    arrays: dict[str, np.ndarray] = {f"state_{name}": value for name, value in state._asdict().items()}
    arrays |= {f"memory_{name}": value for name, value in memory.items()}
    arrays["log"] = log
    head: dict[str, Any] = {"schema": _SCHEMA, "identity": identity, "trajectory": None}
    if written is not None:
        offset, frames, pending = written
        head["trajectory"] = {"offset": offset, "frames": frames, "pending": len(pending)}
        for name in pending[0] if pending else ():
            arrays[f"frame_{name}"] = np.stack([frame[name] for frame in pending])
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def load(
    path: Path, identity: dict[str, Any]
) -> tuple[State, dict[str, np.ndarray], np.ndarray, tuple[int, int, list[dict[str, Any]]] | None]:
    """Read it back.

    Raises
    ------
    DynamicsError
        No checkpoint, or of another run; the sentence names what differs.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        head = json.loads(arrays["head"].tobytes())
        if head["schema"] != _SCHEMA:
            raise DynamicsError(
                f"checkpoint {path} has schema {head['schema']!r}; this version reads {_SCHEMA!r}"
            )
        state = State(*(arrays[f"state_{name}"] for name in State._fields))
        memory = {name[7:]: value for name, value in arrays.items() if name.startswith("memory_")}
        written = None
        if head["trajectory"] is not None:
            place = head["trajectory"]
            frames = {name[6:]: value for name, value in arrays.items() if name.startswith("frame_")}
            pending = [{name: values[k] for name, values in frames.items()} for k in range(place["pending"])]
            written = (int(place["offset"]), int(place["frames"]), pending)
        log = arrays["log"]
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DynamicsError(
            f"{path} is not a checkpoint of a run, or is damaged ({error}); remove it together with its "
            "trajectory to start anew"
        ) from error
    theirs = head["identity"]
    differ = sorted(name for name in {*identity, *theirs} if identity.get(name) != theirs.get(name))
    if differ:
        details = ", ".join(
            f"{name} ({theirs.get(name)!r} there, {identity.get(name)!r} here)" for name in differ
        )
        raise DynamicsError(
            f"checkpoint {path} belongs to another run, which differs in {details}; remove it together with "
            "its trajectory, or name other files"
        )
    return state, memory, log, written
