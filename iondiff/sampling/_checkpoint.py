"""A label file that grows: opened again after a kill, checked against what this run wants."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from iondiff.errors import LabelError
from iondiff.files import read_bounded, write_atomically
from iondiff.sampling.label_files import LARGEST, Label, format_header, parse_header, parse_label

_SAME_PLACE = 1e-5  # Å; files keep six decimals
_LARGEST_HESSIAN = 4 << 30  # bytes; of more than seven thousand atoms


def hessian_path(checkpoint: Path) -> Path:
    """Where the host's Hessian is kept, beside the labels it helped to make."""
    return checkpoint.with_name(checkpoint.name + ".hessian.npy")


def write_hessian(path: Path, hessian: np.ndarray) -> None:
    """A NumPy array file with its SHA-256 behind it."""
    buffer = io.BytesIO()
    np.save(buffer, hessian)
    content = buffer.getvalue()
    write_atomically(path, content + hashlib.sha256(content).digest())


def read_hessian(path: Path) -> np.ndarray:
    """What :func:`write_hessian` wrote; a changed or missing byte is a LabelError."""
    try:
        data = read_bounded(path, _LARGEST_HESSIAN)
    except OSError as error:
        raise LabelError(f"{path} cannot be read ({error}); delete it, it will be computed again") from error
    content, digest = data[:-32], data[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise LabelError(f"{path} does not fit its checksum; delete it, it will be computed again")
    return np.load(io.BytesIO(content), allow_pickle=False)


def open_checkpoint(path: Path, settings: dict[str, Any], part: str, points: np.ndarray) -> dict[int, Label]:
    """Labels of `part` already there, by index; a last line cut off by a kill is removed from the file.

    Raises
    ------
    LabelError
        The file is not a label file, is damaged, or holds labels made with other settings or at other points.
    """
    try:
        opening = format_header(settings) + "\n"
    except TypeError as error:
        raise LabelError(
            f"calculator_kwargs and provenance must be plain data to be kept in {path} ({error})"
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = read_bounded(path, LARGEST).decode() if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(
            f"{path} cannot be read ({error}); a checkpoint is a plain .jsonl file: name another"
        ) from error
    whole = text[: text.rfind("\n") + 1]
    if not whole:
        if not opening.startswith(text):
            raise LabelError(f"{path} exists and is not a label file; name another, it would be overwritten")
        hessian_path(path).unlink(missing_ok=True)  # of labels that are gone
        write_atomically(path, opening)
        return {}
    lines = whole.splitlines()
    header = parse_header(lines[0], path)
    for name, value in parse_header(opening, path).items():
        if header.get(name) != value:
            raise LabelError(
                f"{path} holds labels made with {name} = {header.get(name)!r}, this run wants {value!r}; "
                "name another file or go on with the old settings"
            )
    labels = [parse_label(line, f"{path} line {row}") for row, line in enumerate(lines[1:], start=2)]
    done = {label.index: label for label in labels if label.part == part and 0 <= label.index < len(points)}
    for index, label in done.items():
        if np.abs(label.position_A - points[index]).max() > _SAME_PLACE:
            raise LabelError(
                f"{path} holds label {index} of part {part!r} at {list(label.position_A)} Å, this run "
                "wants it at "
                f"{np.round(points[index], 6).tolist()} Å; name another file or go on with the old points"
            )
    if whole != text:
        write_atomically(path, whole)
    return done
