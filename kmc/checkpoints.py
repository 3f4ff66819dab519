"""Walks that may be stopped at any moment and go on to the same bits."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmc.network import Floats, GraphError, Integers, shown

#: Seconds between two checkpoints.
INTERVAL = 5.0
_ARRAYS = ("words", "states", "windings", "durations", "variances", "ends")


class CheckpointError(GraphError):
    """A checkpoint is damaged, is of another walk, or cannot be written."""


@dataclass
class WalkState:
    """What a walk needs to go on: blocks done, where everyone is, and what was seen so far."""

    done: int
    words: Any
    states: Any
    windings: Integers
    durations: Floats
    variances: Floats
    ends: Integers


def fingerprint(*parts: Any) -> str:
    """Digest of everything that decides a walk."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def run_with_checkpoints(
    path: Path,
    identity: str,
    state: WalkState,
    blocks: int,
    advance: Callable[[WalkState, int, int], None],
) -> WalkState:
    """Walk block by block, saving now and then; continue from `path` where it holds the same walk.

    Raises
    ------
    CheckpointError
        The file is not a checkpoint, belongs to another walk, or cannot be written.
    """
    if path.exists():
        state = _load(path, identity, state)
    saved = time.monotonic()
    while state.done < blocks:
        advance(state, state.done, state.done + 1)
        state.done += 1
        if time.monotonic() - saved > INTERVAL or state.done == blocks:
            _save(path, identity, state)
            saved = time.monotonic()
    return state


def load_into(path: Path, identity: str, arrays: dict[str, Any]) -> None:
    """Overwrite arrays, in place, by those that `save_arrays` wrote.

    Raises
    ------
    CheckpointError
        The file is not a checkpoint, or belongs to another walk.
    """
    data = _read(path, identity, {name: (array.shape, array.dtype) for name, array in arrays.items()})
    for name, array in arrays.items():
        array[...] = data[name]


def _load(path: Path, identity: str, like: WalkState) -> WalkState:
    kinds = {name: (getattr(like, name).shape, getattr(like, name).dtype) for name in _ARRAYS}
    data = _read(path, identity, {"done": ((), np.dtype(np.int64)), **kinds})
    return WalkState(int(data["done"]), *(data[name] for name in _ARRAYS))


def _read(path: Path, identity: str, kinds: dict[str, tuple[tuple[int, ...], Any]]) -> dict[str, Any]:
    """Arrays of a file; what the zip's own checksums do not show, shapes and kinds of arrays do."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            found = str(data["identity"])
            arrays = {name: data[name] for name in kinds}
        shapes = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    except Exception as error:  # noqa: BLE001  a damaged archive fails in NumPy, zipfile, zlib, even in tokenize
        raise CheckpointError(
            f"{path} is not a checkpoint of a walk ({shown(str(error))}); remove it or name another file"
        ) from None
    if found != identity or shapes != kinds:
        raise CheckpointError(
            f"{path} belongs to another walk (graph, temperature, seed or length differ); "
            "remove it or name another file"
        )
    return arrays


def _save(path: Path, identity: str, state: WalkState) -> None:
    arrays = {name: getattr(state, name) for name in _ARRAYS}
    save_arrays(path, identity, arrays | {"done": np.array(state.done)})


def save_arrays(path: Path, identity: str, arrays: dict[str, Any]) -> None:
    """Write arrays under a temporary name, then rename: the file is always a whole one.

    Raises
    ------
    CheckpointError
        The disk is full or the folder read-only; nothing is left behind.
    """
    # Always the same name: what a kill leaves of it is overwritten by the next one and renamed away.
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            np.savez(stream, identity=np.array(identity), **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CheckpointError(
                f"{path} cannot be written ({error.strerror or error}); make room or name another folder"
            ) from error
        raise
