"""Sine-transformed increments, atom by atom in chunks: spectra of ions, of blocks of time, of the cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

Floats = npt.NDArray[np.float64]
#: Pairs of axes of a tensor, diagonal first.
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
#: Chunks of atoms hold about this many numbers.
CHUNK_NUMBERS = 1_500_000

#: Increments of some atoms: (atoms, 3, m), Å.
Increments = Callable[[slice], Floats]


@dataclass(frozen=True)
class Spectra:
    """Second moments of transformed increments.

    Attributes
    ----------
    own
        (components, frequencies), Å²: summed over atoms. Components are PAIRS or, alone, a third of the
        trace.
    common
        The same of the sum over atoms.
    n_atoms
        How many.
    """

    own: Floats
    common: Floats
    n_atoms: int

    def relative(self, *, to_centre: bool) -> Floats:
        """Mean over atoms, (components, ...); to_centre: of their motion about their mean, over N − 1."""
        if not to_centre:
            return self.own / self.n_atoms
        return (self.own - self.common / self.n_atoms) / (self.n_atoms - 1)


def chunks(n_atoms: int, m: int, numbers: int = CHUNK_NUMBERS) -> Iterator[slice]:
    """Slices of atoms that are small enough."""
    size = max(1, numbers // (3 * max(m, 1)))
    for start in range(0, n_atoms, size):
        yield slice(start, min(start + size, n_atoms))


def transform(series: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Orthonormal sine transform (kind I) along the last axis."""
    return np.asarray(fft.dst(series, type=1, norm="ortho", axis=-1))


def whole(increments: Increments, parts: Iterable[slice], m: int, *, tensor: bool) -> Spectra:
    """Spectra (components, m) of the whole length."""
    own = np.zeros((6 if tensor else 1, m))
    total = np.zeros((3, m))
    n_atoms = 0
    for part in parts:
        n_atoms += part.stop - part.start
        moved = transform(increments(part))
        own += _moments(moved, tensor=tensor)
        total += moved.sum(axis=0)
    return Spectra(own, _moments(total[None], tensor=tensor), n_atoms)


def in_blocks(
    increments: Increments, parts: Iterable[slice], m: int, shapes: list[tuple[int, int]], *, tensor: bool
) -> list[Spectra]:
    """For every (blocks, modes): spectra (components, blocks, modes) of that many blocks of equal length.

    In single precision: they only make an error bar.
    """
    own = [np.zeros((6 if tensor else 1, *shape)) for shape in shapes]
    total = [np.zeros((3, *shape)) for shape in shapes]
    n_atoms = 0
    for part in parts:
        n_atoms += part.stop - part.start
        moved = increments(part)
        for k, (blocks, modes) in enumerate(shapes):
            length = m // blocks
            cut = moved[:, :, : blocks * length].reshape(-1, 3, blocks, length).astype(np.float32)
            low = transform(cut)[..., :modes]
            own[k] += _moments(low, tensor=tensor)
            total[k] += low.sum(axis=0)
    return [
        Spectra(one, _moments(sums[None], tensor=tensor), n_atoms)
        for one, sums in zip(own, total, strict=True)
    ]


def mean_leakage(m: int) -> Floats:
    """Share (m,) of a constant among the frequencies: what subtracting a mean takes from each of them."""
    return np.asarray(transform(np.full(m, 1.0 / np.sqrt(m))) ** 2)


def _moments(moved: Floats, *, tensor: bool) -> Floats:
    if not tensor:
        return np.asarray(np.einsum("ia...,ia...->...", moved, moved)[None] / 3.0, dtype=np.float64)
    return np.stack([np.einsum("i...,i...->...", moved[:, a], moved[:, b]) for a, b in PAIRS])
