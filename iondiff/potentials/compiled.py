"""The one signature through which compiled code asks any potential for energy, forces and virial.

Molecular dynamics runs thousands of steps without returning to Python. Its loop is compiled once, for every
potential: it takes the kernel as a function pointer, and the kernel's parameters as two flat arrays that only
the kernel itself can read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import float64, int64, types

_VECTORS = float64[:, ::1]
_IMAGES = int64[:, ::1]
_REALS = float64[::1]
_INTEGERS = int64[::1]

KERNEL = float64(
    _VECTORS,  # positions (n, 3), Å
    _VECTORS,  # cell (3, 3), Å; a kernel reads it only through images
    _INTEGERS,  # species (n,), index into the potential's list of elements
    _INTEGERS,  # first (n + 1,)
    _INTEGERS,  # index (m,)
    _IMAGES,  # image (m, 3); see iondiff.neighbours.neighbour_table
    _INTEGERS,  # the potential's parameters that count or point
    _REALS,  # the potential's parameters that measure
    _VECTORS,  # out: forces (n, 3), eV/Å
    _REALS,  # out: energy of each atom (n,), eV
    _VECTORS,  # out: virial (3, 3), eV: derivative of the energy by the strain; ASE's stress times volume
)
"""Returns the total energy, eV. Outputs are overwritten. Neighbours beyond the potential's own cutoff may be
listed (a skin) and must not count."""

KERNEL_POINTER = types.FunctionType(KERNEL)


class CompiledPotential(NamedTuple):
    """A kernel of signature :data:`KERNEL` with its parameters.

    Attributes
    ----------
    kernel
        Compiled for :data:`KERNEL` and nothing else.
    integers, reals
        The parameters, flat.
    """

    kernel: Callable[..., float]
    integers: np.ndarray
    reals: np.ndarray
