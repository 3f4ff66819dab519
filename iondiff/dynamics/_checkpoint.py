"""Checkpoints: everything that decides the rest of a run, in one file that is whole or not there."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from iondiff.dynamics._integrators import State
from iondiff.errors import DynamicsError
from iondiff.files import is_sealed, read_bounded, sealed, write_atomically

_SCHEMA = "iondiff-md-checkpoint/1"
_LARGEST = 16 << 30  # bytes


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
    head["arrays"] = _digest(arrays)
    head = sealed(head)
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def _digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of all arrays but the head, with their names, types and shapes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        if name != "head":
            value = np.ascontiguousarray(arrays[name])
            digest.update(f"{name} {value.dtype.str} {np.shape(arrays[name])} ".encode())
            digest.update(value.tobytes())
    return digest.hexdigest()


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
        with np.load(io.BytesIO(read_bounded(path, _LARGEST)), allow_pickle=False) as archive:
            if sum(entry.file_size for entry in archive.zip.infolist()) > _LARGEST:
                raise ValueError(f"it unpacks to more than {_LARGEST} bytes")  # noqa: TRY301
            arrays = {name: archive[name] for name in archive.files}
        head = json.loads(arrays["head"].tobytes())
        # What follows goes into compiled loops, which look at no shapes: nothing but what was written gets there.
        if not is_sealed(head) or head["arrays"] != _digest(arrays):
            raise ValueError("its checksum is not that of what was written")  # noqa: TRY301
        if head["schema"] != _SCHEMA:
            raise ValueError(f"its schema is {head['schema']!r}; this version reads {_SCHEMA!r}")  # noqa: TRY301
        state = State(*(arrays[f"state_{name}"] for name in State._fields))
        memory = {name[7:]: value for name, value in arrays.items() if name.startswith("memory_")}
        written = None
        if head["trajectory"] is not None:
            place = head["trajectory"]
            frames = {name[6:]: value for name, value in arrays.items() if name.startswith("frame_")}
            pending = [{name: values[k] for name, values in frames.items()} for k in range(place["pending"])]
            written = (int(place["offset"]), int(place["frames"]), pending)
        log = arrays["log"]
    except Exception as error:  # a damaged archive fails in NumPy, zipfile, zlib, even in tokenize
        reason = " ".join(str(error).split())[:300]
        raise DynamicsError(
            f"{path} is not a checkpoint of a run, or is damaged ({reason}); remove it together with its "
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
