"""Small things every room needs to write files safely and to know what a file belongs to."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.errors import FileError

SEAL = "sha256"


def write_atomically(path: str | Path, data: str | bytes) -> None:
    """Write through a temporary name and rename: a reader sees the old file or the whole new one.

    Raises
    ------
    FileError
        The disk is full or the folder is read-only; the old file is as it was, and no half file is left.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data.encode() if isinstance(data, str) else data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def unwritable(path: Path, error: OSError) -> FileError:
    """The sentence for a file that cannot be written."""
    return FileError(
        f"{path} cannot be written ({error.strerror or error}); make room or name another folder, then "
        "start again: what is finished is kept"
    )


def write_json(path: str | Path, data: Any) -> None:
    """Indented JSON, written atomically; numbers that are not finite are an error, not invalid JSON."""
    write_atomically(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with a checksum of itself under ``sha256``: a changed digit will be noticed."""
    content = {name: value for name, value in record.items() if name != SEAL}
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return {**content, SEAL: hashlib.sha256(text.encode()).hexdigest()}


def is_sealed(record: Any) -> bool:
    """Whether a record still is what :func:`sealed` made."""
    try:
        return isinstance(record, dict) and SEAL in record and sealed(record)[SEAL] == record[SEAL]
    except (ValueError, TypeError, RecursionError):
        return False


def brief(text: object, longest: int = 300) -> str:
    """What a file or an error says, on one line and no longer than a sentence can hold."""
    words = " ".join(str(text)[: 10 * longest].split())
    return words if len(words) <= longest else words[:longest] + " ..."


def read_bounded(path: str | Path, largest: int) -> bytes:
    """A file's bytes; a pipe or a device, which may never end, and a file of more bytes are an OSError."""
    path = Path(path)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    if status.st_size > largest:
        raise OSError(errno.EFBIG, f"it has {status.st_size} bytes; at most {largest} are read", str(path))
    return path.read_bytes()


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def host_fingerprint(host: Atoms) -> str:
    """Short hash of cell, species and positions (to 1e-6 Å): labels belong to one host."""
    digest = hashlib.sha256()
    digest.update((np.round(host.cell.array, 6) + 0.0).tobytes())
    digest.update(" ".join(host.get_chemical_symbols()).encode())
    digest.update((np.round(host.positions, 6) + 0.0).tobytes())
    return digest.hexdigest()[:16]
