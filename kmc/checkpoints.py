"""Walks that may be stopped at any moment and go on to the same bits."""

from __future__ import annotations

import hashlib
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmc.network import Floats, GraphError, Integers

#: Seconds between two checkpoints.
INTERVAL = 5.0
_ARRAYS = ("words", "states", "windings", "durations", "ends")


@dataclass
class WalkState:
    """What a walk needs to go on: blocks done, where everyone is, and what was seen so far."""

    done: int
    words: Any
    states: Any
    windings: Integers
    durations: Floats
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
    GraphError
        The file is not a checkpoint, or belongs to another walk.
    """
    if path.exists():
        state = _load(path, identity)
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
    GraphError
        The file is not a checkpoint, or belongs to another walk.
    """
    data = _read(path, identity, tuple(arrays))
    for name, array in arrays.items():
        array[...] = data[name]


def _load(path: Path, identity: str) -> WalkState:
    data = _read(path, identity, ("done", *_ARRAYS))
    return WalkState(int(data["done"]), *(data[name] for name in _ARRAYS))


def _read(path: Path, identity: str, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            if str(data["identity"]) != identity:
                raise GraphError(
                    f"{path} belongs to another walk (graph, temperature, seed or length differ); "
                    "remove it or name another file"
                )
            return {name: data[name] for name in names}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(
            f"{path} is not a checkpoint of a walk ({error}); remove it or name another file"
        ) from None


def _save(path: Path, identity: str, state: WalkState) -> None:
    arrays = {name: getattr(state, name) for name in _ARRAYS}
    save_arrays(path, identity, arrays | {"done": np.array(state.done)})


def save_arrays(path: Path, identity: str, arrays: dict[str, Any]) -> None:
    """Write arrays under a temporary name, then rename: the file is always a whole one."""
    with tempfile.NamedTemporaryFile(
        prefix=path.name, suffix=".part", dir=path.parent, delete=False
    ) as stream:
        try:
            np.savez(stream, identity=np.array(identity), **arrays)
        except BaseException:
            Path(stream.name).unlink(missing_ok=True)
            raise
    Path(stream.name).replace(path)
