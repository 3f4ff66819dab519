"""Small things every room needs to write files safely and to know what a file belongs to."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms


def write_atomically(path: str | Path, data: str | bytes) -> None:
    """Write through a temporary name and rename: a reader sees the old file or the whole new one."""
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def write_json(path: str | Path, data: Any) -> None:
    """Indented JSON, written atomically; numbers that are not finite are an error, not invalid JSON."""
    write_atomically(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def host_fingerprint(host: Atoms) -> str:
    """Short hash of cell, species and positions (to 1e-6 Å): labels belong to one host."""
    digest = hashlib.sha256()
    digest.update((np.round(host.cell.array, 6) + 0.0).tobytes())
    digest.update(" ".join(host.get_chemical_symbols()).encode())
    digest.update((np.round(host.positions, 6) + 0.0).tobytes())
    return digest.hexdigest()[:16]
