"""Potential files: one ``.nnp``, a zip of plain arrays and a JSON header; nothing in it is ever executed.

The header's schema says what is inside: a guest's potential, or one (or a committee of them) for all atoms.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from iondiff.descriptors import DescriptorSet
from iondiff.errors import PotentialError
from iondiff.files import read_bounded, write_atomically
from iondiff.potentials import _hdnnp_file
from iondiff.potentials.committee import Committee
from iondiff.potentials.guest import GuestNNP, KernelCorrection
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.n2p2 import read_directory

SCHEMA = "guest-nnp/1"
_MOST_ARRAYS = 1000
_LARGEST = _LARGEST_FILE = 512 * 1024 * 1024  # bytes, unpacked and as it lies there; more is refused


Potential = GuestNNP | HDNNP | Committee


def save(potential: Potential, path: str | Path) -> None:
    """Write a potential; the same potential gives the same bytes."""
    header, arrays = (
        _pack_guest(potential) if isinstance(potential, GuestNNP) else _hdnnp_file.pack(potential)
    )
    arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def _pack_guest(potential: GuestNNP) -> tuple[dict[str, Any], dict[str, Any]]:
    header = {
        "schema": SCHEMA,
        "units": {"length": "Angstrom", "energy": "eV"},
        "guest": potential.guest,
        "functions": potential.functions.to_dict(),
        "layers": list(potential.layers),
        "energy_shift": potential.energy_shift,
        "energy_scale": potential.energy_scale,
        "wall_A": potential.wall_A,
        "summary": potential.summary,
    }
    arrays: dict[str, Any] = {name: getattr(potential, name) for name in ("centre", "width", "weights")}
    if potential.correction is not None:
        header["correction"] = {"support": potential.correction.support, "host": potential.correction.host}
        arrays["correction_centres"] = potential.correction.centres
        arrays["correction_coefficients"] = potential.correction.coefficients
    return header, arrays


def load(path: str | Path, units: tuple[str, str] = ("Angstrom", "eV")) -> Any:
    """Read a potential: a file of this suite, or a directory of n2p2 or RuNNer.

    Parameters
    ----------
    path
        A ``.nnp`` file, or a directory with ``input.nn``, ``scaling.data`` and ``weights.*.data``.
    units
        Length and energy in the files of a directory, which do not say so themselves; ``("bohr", "hartree")``
        is the other common choice. Files of this suite know theirs.

    Returns
    -------
    GuestNNP, HDNNP or Committee
        In eV and Å, whatever the units of the files.

    Raises
    ------
    PotentialError
        Missing, cut off, of another kind, or holding what no potential can hold.
    """
    path = Path(path)
    if path.is_dir() and (path / "input.nn").exists():
        return read_directory(path, units)
    if path.is_dir():
        raise PotentialError(f"potential directory {path} cannot be read: it has no input.nn")
    if not path.exists():
        raise PotentialError(f"potential file {path} does not exist; train one with: diffusion-network train")
    try:
        return _read(io.BytesIO(read_bounded(path, _LARGEST_FILE)))
    except PotentialError as error:
        raise PotentialError(f"potential file {path}: {error}") from error
    except Exception as error:  # a damaged archive fails in NumPy, zipfile, zlib, even in tokenize
        reason = " ".join(repr(error).split())[:300]  # the error may quote the whole file
        raise PotentialError(
            f"potential file {path} cannot be read ({reason}); it may be cut off or corrupt"
        ) from error


def _read(content: io.BytesIO) -> Potential:
    with zipfile.ZipFile(content) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
    if len(entries) > _MOST_ARRAYS:
        raise PotentialError(f"it holds {len(entries)} arrays; at most {_MOST_ARRAYS} are read")
    if size > _LARGEST:
        raise PotentialError(f"it unpacks to {size} bytes; at most {_LARGEST} are read")
    content.seek(0)
    with np.load(content, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(arrays["header"].tobytes().decode())
    schema = header["schema"]
    if schema not in (SCHEMA, _hdnnp_file.SCHEMA):
        raise PotentialError(
            f"its schema is {schema!r}; this version reads {SCHEMA!r} and {_hdnnp_file.SCHEMA!r}"
        )

    def numbers(name: str) -> np.ndarray:
        return np.ascontiguousarray(arrays[name].astype(float, casting="same_kind"))

    if schema == _hdnnp_file.SCHEMA:
        return _hdnnp_file.unpack(header, arrays, numbers)
    return _unpack_guest(header, numbers)


def _unpack_guest(header: dict[str, Any], numbers: Callable[[str], np.ndarray]) -> GuestNNP:
    correction = None
    if "correction" in header:
        correction = KernelCorrection(
            numbers("correction_centres"),
            numbers("correction_coefficients"),
            float(header["correction"]["support"]),
            str(header["correction"]["host"]),
        )
    return GuestNNP(
        str(header["guest"]),
        DescriptorSet.from_dict(header["functions"]),
        numbers("centre"),
        numbers("width"),
        tuple(int(n) for n in header["layers"]),
        numbers("weights"),
        float(header["energy_shift"]),
        float(header["energy_scale"]),
        float(header["wall_A"]),
        correction,
        dict(header["summary"]),
    )
