"""Label files: JSON lines, the first a header that says what the labels are labels of.

``.jsonl`` while it grows (one flushed line a label, so that a kill loses at most the label under way),
``.jsonl.gz`` when it is done. A line that was cut off by a kill is dropped when the file is opened for
appending, and an error everywhere else. Every line carries a checksum, ``crc``: the CRC-32 of the line
without it; lines without one are taken as they are.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.errors import LabelError
from iondiff.files import host_fingerprint, read_bounded, write_atomically

SCHEMA = "guest-labels/1"
#: Bytes, unpacked: a million labels.
LARGEST = 512 << 20
_FLOATS = ("energy_eV", "bare_eV", "fmax", "max_displacement_A", "min_distance_A")
_VECTORS = ("position_A", "guest_force_eV_A")


@dataclass(frozen=True)
class Label:
    """One labelled point.

    Attributes
    ----------
    index
        Place in the sequence of points; makes the file's final order independent of the order of finishing.
    position_A
        Guest position, Cartesian, Å.
    energy_eV
        Relaxed energy change, tether included (:mod:`iondiff.sampling.tethered`).
    bare_eV
        The same without the energy of the springs.
    guest_force_eV_A
        Force on the held guest, minus the gradient of `energy_eV`.
    evaluations, fmax, max_displacement_A
        Calculator calls, remaining force (eV/Å) and largest host displacement (Å) of the relaxation.
    min_distance_A
        Distance to the nearest atom of the unrelaxed host, Å.
    converged
        Whether `fmax` reached the stated bound; labels that did not are kept in the file and not trained on.
    part
        Which set the point belongs to: ``"grid"`` (drawn from the grid), ``"core"`` (inside the walls),
        ``"path"`` (added at sites and passes).
    """

    index: int
    position_A: tuple[float, float, float]
    energy_eV: float
    bare_eV: float
    guest_force_eV_A: tuple[float, float, float]
    evaluations: int
    fmax: float
    max_displacement_A: float
    min_distance_A: float
    converged: bool
    part: str = "grid"


@dataclass(frozen=True)
class LabelSet:
    """Labels with the header of their file (`provenance`)."""

    labels: list[Label]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def positions(self) -> np.ndarray:
        """(n, 3), Å."""
        return np.array([label.position_A for label in self.labels]).reshape(-1, 3)

    @property
    def energies(self) -> np.ndarray:
        """(n,), eV."""
        return np.array([label.energy_eV for label in self.labels])

    @property
    def gradients(self) -> np.ndarray:
        """(n, 3), eV/Å, minus the force on the guest."""
        return -np.array([label.guest_force_eV_A for label in self.labels]).reshape(-1, 3)

    def select(self, part: str | None = None, converged: bool | None = True) -> LabelSet:
        """Labels of one part, by default only the converged ones."""
        kept = [
            label
            for label in self.labels
            if (part is None or label.part == part) and (converged is None or label.converged == converged)
        ]
        return LabelSet(kept, self.provenance)


def read_labels(path: str | Path, host: Atoms | None = None, guest: str | None = None) -> LabelSet:
    """Read and check a label file.

    Raises
    ------
    LabelError
        Missing or unreadable file, wrong schema, a damaged line (its number), a number that is not finite
        (its line and name), labels of another host or guest.
    """
    path = Path(path)
    try:
        text = _read_text(path)
    except FileNotFoundError:
        raise LabelError(
            f"label file {path} does not exist; make one with: diffusion-network label"
        ) from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise LabelError(
            f"label file {path} cannot be read ({error}); it may be cut off or corrupt"
        ) from error
    lines = text.splitlines()
    header = parse_header(lines[0] if lines else "", path)
    if host is not None and header.get("host") != host_fingerprint(host):
        raise LabelError(
            f"label file {path} was made for another host structure; use that host, or label this one"
        )
    if guest is not None and header.get("guest") != guest:
        raise LabelError(
            f"label file {path} is for guest {header.get('guest')!r}, wanted {guest!r}; label that "
            "guest, or ask for "
            "the one of the file"
        )
    labels = [parse_label(line, f"{path} line {row}") for row, line in enumerate(lines[1:], start=2)]
    return LabelSet(labels, header)


def format_header(settings: Mapping[str, Any]) -> str:
    """First line of a label file, without the newline."""
    return _with_checksum({**settings, "schema": SCHEMA})


def parse_header(line: str, path: Path) -> dict[str, Any]:
    """Header of a label file as a dictionary."""
    try:
        header = json.loads(line)
        sound = isinstance(header, dict) and _checksum_fits(header)
    except (ValueError, RecursionError):
        header, sound = None, False
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise LabelError(f"label file {path} does not start with a {SCHEMA!r} header; it is not a label file")
    if not sound:
        raise LabelError(f"label file {path}: {_CHANGED.format('its first line')}")
    return header


def parse_label(line: str, where: str) -> Label:
    """One line of a label file; `where` names it in messages."""
    try:
        record = json.loads(line)
        sound = _checksum_fits(record)
        label = Label(**record)
    except (ValueError, TypeError, RecursionError, AttributeError) as error:
        raise LabelError(
            f"{where} is not a label ({_short(error)}); the file may be cut off or corrupt"
        ) from error
    numbers: dict[str, Any] = {name: float(_finite(label, name, (), where)) for name in _FLOATS}
    numbers |= {name: tuple(_finite(label, name, (3,), where).tolist()) for name in _VECTORS}
    for name, kind in (("index", int), ("evaluations", int), ("converged", bool), ("part", str)):
        if type(getattr(label, name)) is not kind:
            raise LabelError(
                f"{where}: {name} is {_short(repr(getattr(label, name)))}; wanted {kind.__name__}"
            )
    if not sound:
        raise LabelError(f"{where}: {_CHANGED.format('the line')}")
    return replace(label, **numbers)


_CHANGED = "{} does not fit its checksum, a byte has changed; redo it, or drop its 'crc' if you edited it"


def _with_checksum(record: dict[str, Any]) -> str:
    text = json.dumps(record)
    return f'{text[:-1]}, "crc": {zlib.crc32(text.encode())}}}'


def _checksum_fits(record: dict[str, Any]) -> bool:
    """Take the checksum out of a record, and say whether it fits; so does one that is not there."""
    if "crc" not in record:
        return True
    found = record.pop("crc")
    return bool(found == zlib.crc32(json.dumps(record).encode()))


def _short(text: object, longest: int = 200) -> str:
    """A message that a file of a stranger cannot make endless."""
    words = str(text)
    return words if len(words) <= longest else words[:longest] + " ..."


def _finite(label: Label, name: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    try:
        value = np.asarray(getattr(label, name))
    except (ValueError, OverflowError):  # ragged lists
        value = np.asarray("?")
    if value.shape != shape or value.dtype.kind not in "fi":
        wanted = "3 numbers" if shape else "a number"
        raise LabelError(f"{where}: {name} is {_short(repr(getattr(label, name)))}; wanted {wanted}")
    if not np.isfinite(value).all():
        raise LabelError(
            f"{where}: {name} is {getattr(label, name)}; wanted finite numbers: remove or redo the label"
        )
    return value.astype(float)


def format_label(label: Label) -> str:
    """One line of a label file, without the newline."""
    record = asdict(label)
    rounding = {"energy_eV": 6, "bare_eV": 6, "fmax": 4, "max_displacement_A": 4, "min_distance_A": 4}
    for name, digits in rounding.items():
        record[name] = round(record[name], digits)
    record["position_A"] = [round(float(x), 6) for x in record["position_A"]]
    record["guest_force_eV_A"] = [round(float(x), 6) for x in record["guest_force_eV_A"]]
    return _with_checksum(record)


def write_labels(path: str | Path, labels: LabelSet) -> None:
    """Write the whole set, sorted by index, through a temporary name; ``.gz`` compresses."""
    path = Path(path)
    ordered = sorted(labels.labels, key=lambda label: (label.part, label.index))
    text = "\n".join([format_header(labels.provenance), *(format_label(label) for label in ordered)]) + "\n"
    data = text.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    write_atomically(path, data)


def _read_text(path: Path) -> str:
    data = read_bounded(path, LARGEST)
    if path.suffix == ".gz":
        with gzip.open(io.BytesIO(data)) as stream:
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"it unpacks to more than {LARGEST} bytes")
    return data.decode()
