"""Energy, forces and virial of a structure: atoms in any order and on any thread, the same bits."""

import numpy as np
from numba import njit, prange

from iondiff.descriptors._compiling import inner
from iondiff.descriptors._kernels_atom import backward, combine, distribute, forward, layout
from iondiff.descriptors._simd import lanes
from iondiff.descriptors._slots import (
    DEPTH,
    E_CHANNELS,
    E_ENERGY,
    E_FUNCTIONS,
    E_LAYERS,
    E_LAYERS_AT,
    E_SCALING,
    E_WEIGHTS,
    ELEMENTS,
    MOST_FUNCTIONS,
    N_MEMBERS,
    THREADS,
    WIDEST,
)
from iondiff.potentials._kernels_network import network
from iondiff.potentials.compiled import KERNEL

BLOCK = 4096  # atoms whose gradients are held at a time


@inner
def _atom(
    i, places, positions, cell, species, first, index, image, integers, reals, work, whole, wide, net,
    functions, energies, gradients, begin, strain,
):  # fmt: skip
    """Mean energy of atom i over the members, and its gradient by the places of its neighbours.

    `gradients` is one array for the mean, or with it one a member. `strain` becomes the derivative of the mean
    by the strain.
    """
    element = integers[integers[ELEMENTS] + species[i]]
    forward(
        i, element, places, positions, cell, species, first, index, image, integers, reals, work, whole, wide
    )
    n_functions = integers[element + E_FUNCTIONS]
    n_members = integers[N_MEMBERS]
    most = integers[MOST_FUNCTIONS]
    raw = wide[places[12] : places[12] + n_functions]
    combine(element, n_functions, integers, reals, wide[places[11] : places[12]], raw)
    scaling = integers[element + E_SCALING]
    scaled = net[:most]
    by_input = net[most : 2 * most]
    by_function = net[2 * most : 3 * most]
    scratch = net[3 * most :]
    for f in range(n_functions):
        scaled[f] = (raw[f] - reals[scaling + f]) * reals[scaling + n_functions + f]
        by_function[f] = 0.0
    for f in range(functions.shape[1]):
        functions[i, f] = raw[f] if f < n_functions else 0.0
    count = first[i + 1] - first[i]
    for part in range(gradients.shape[0]):
        for m in range(begin, begin + count):
            gradients[part, m, 0] = 0.0
            gradients[part, m, 1] = 0.0
            gradients[part, m, 2] = 0.0
    each = gradients.shape[0] > 1
    mean = 0.0
    # The last round is the mean's; where members are wanted one by one, it is the mean of their gradients.
    for member in range(n_members + 1):
        if member < n_members:
            output = network(
                integers[element + E_LAYERS_AT], integers[element + E_LAYERS],
                integers[integers[element + E_WEIGHTS] + member], integers[WIDEST], integers, reals,
                scaled, scratch, by_input,
            )  # fmt: skip
            scale = reals[integers[element + E_ENERGY] + 2 * member + 1]
            energy = scale * output + reals[integers[element + E_ENERGY] + 2 * member]
            if energies.shape[0] > 0:
                energies[member, i] = energy
            mean += energy / n_members
            for f in range(n_functions):
                slope = by_input[f] * (scale * reals[scaling + n_functions + f])
                by_function[f] = slope if each else by_function[f] + slope / n_members
        if each == (member < n_members):
            distribute(element, integers[element + E_CHANNELS], places[4], integers, reals, by_function, work)
            out = gradients[member + 1 if each else 0]
            backward(element, places, places[4], integers, reals, work, whole, wide, out, begin)
    if each:
        for m in range(begin, begin + count):
            for a in range(3):
                total = 0.0
                for member in range(n_members):
                    total += gradients[member + 1, m, a]
                gradients[0, m, a] = total / n_members
    _strain(i, begin, positions, cell, first, index, image, gradients[0], strain)
    return mean


@inner
def _strain(i, begin, positions, cell, first, index, image, gradients, strain):
    """Derivative of one atom's energy by the strain, (9,): places of the neighbours times gradients."""
    for q in range(9):
        strain[q] = 0.0
    for m in range(first[i], first[i + 1]):
        j = index[m]
        g = gradients[m - first[i] + begin]
        a = float(image[m, 0])
        b = float(image[m, 1])
        c = float(image[m, 2])
        x = positions[j, 0] - positions[i, 0] + (a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0])
        y = positions[j, 1] - positions[i, 1] + (a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1])
        z = positions[j, 2] - positions[i, 2] + (a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2])
        for k in range(3):
            strain[k] += x * g[k]
            strain[3 + k] += y * g[k]
            strain[6 + k] += z * g[k]


@inner
def _scatter(start, stop, first, index, gradients, forces):
    """Forces from the gradients of atoms start to stop, in the order of the list."""
    origin = first[start]
    for i in range(start, stop):
        f0 = 0.0
        f1 = 0.0
        f2 = 0.0
        for m in range(first[i], first[i + 1]):
            j = index[m]
            g0 = gradients[m - origin, 0]
            g1 = gradients[m - origin, 1]
            g2 = gradients[m - origin, 2]
            f0 += g0
            f1 += g1
            f2 += g2
            forces[j, 0] -= g0
            forces[j, 1] -= g1
            forces[j, 2] -= g2
        forces[i, 0] += f0
        forces[i, 1] += f1
        forces[i, 2] += f2


@inner
def _gather(start, stop, first, index, atom_energies, strains, gradients, forces, virial, member_forces):
    """What atoms start to stop add to the structure, in the order of the atoms; their energy."""
    energy = 0.0
    for i in range(start, stop):
        energy += atom_energies[i]
        for a in range(3):
            for b in range(3):
                virial[a, b] += strains[i - start, 3 * a + b]
    _scatter(start, stop, first, index, gradients[0], forces)
    for member in range(member_forces.shape[0]):
        _scatter(start, stop, first, index, gradients[member + 1], member_forces[member])
    return energy


@inner
def _room(sample, n_threads, parts, positions, first, integers):
    """Scratch for so many threads, and gradients of one block of atoms."""
    n = positions.shape[0]
    most = 0
    largest = 0
    for i in range(n):
        most = max(most, first[i + 1] - first[i])
    for start in range(0, n, BLOCK):
        largest = max(largest, first[min(start + BLOCK, n)] - first[start])
    places = layout(most, lanes(sample), 1, integers)
    # Vectors that do not cross cache lines: memory comes at multiples of half a line.
    size = lanes(sample)
    raw = np.empty(n_threads * places[7] + size, sample.dtype)
    skip = (64 - raw.ctypes.data % 64) % 64 * size // 64
    work = raw[skip : skip + n_threads * places[7]].reshape(n_threads, places[7])
    whole = np.empty((n_threads, places[10]), np.int64)
    wide = np.empty((n_threads, places[14]), np.float64)
    net = np.empty((n_threads, 3 * integers[MOST_FUNCTIONS] + (2 * integers[DEPTH] + 1) * integers[WIDEST]))
    return places, work, whole, wide, net, np.empty((parts, largest, 3))


@njit(cache=True, error_model="numpy")
def run_serial(
    sample, positions, cell, species, first, index, image, integers, reals, forces, atom_energies, virial,
    functions, energies, member_forces,
):  # fmt: skip
    """The whole structure, in the precision of `sample`, on the thread that calls."""
    n = positions.shape[0]
    parts = 1 + member_forces.shape[0]
    places, work, whole, wide, net, gradients = _room(sample, 1, parts, positions, first, integers)
    strains = np.empty((min(n, BLOCK), 9))
    member_forces[:] = 0.0
    forces[:] = 0.0
    virial[:] = 0.0
    energy = 0.0
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        for i in range(start, stop):
            atom_energies[i] = _atom(
                i, places, positions, cell, species, first, index, image, integers, reals,
                work[0], whole[0], wide[0], net[0], functions, energies, gradients, first[i] - first[start],
                strains[i - start],
            )  # fmt: skip
        energy += _gather(
            start, stop, first, index, atom_energies, strains, gradients, forces, virial, member_forces
        )
    return energy


@njit(cache=True, error_model="numpy", parallel=True)
def run_parallel(
    sample, positions, cell, species, first, index, image, integers, reals, forces, atom_energies, virial,
    functions, energies, member_forces,
):  # fmt: skip
    """The same on several threads, to the same bits: no atom's numbers depend on who works them out."""
    n = positions.shape[0]
    n_threads = max(integers[THREADS], 1)
    parts = 1 + member_forces.shape[0]
    places, work, whole, wide, net, gradients = _room(sample, n_threads, parts, positions, first, integers)
    strains = np.empty((min(n, BLOCK), 9))
    member_forces[:] = 0.0
    forces[:] = 0.0
    virial[:] = 0.0
    energy = 0.0
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        for t in prange(n_threads):
            for i in range(start + t, stop, n_threads):
                atom_energies[i] = _atom(
                    i, places, positions, cell, species, first, index, image, integers, reals,
                    work[t], whole[t], wide[t], net[t], functions, energies, gradients,
                    first[i] - first[start], strains[i - start],
                )  # fmt: skip
        energy += _gather(
            start, stop, first, index, atom_energies, strains, gradients, forces, virial, member_forces
        )
    return energy


# The one signature of iondiff.potentials.compiled, in each precision, alone and with threads. Each is
# compiled when it is first asked for.


@njit(cache=True, error_model="numpy")
def double_serial(
    positions, cell, species, first, index, image, integers, reals, forces, atom_energies, virial
):
    """Double precision, one thread."""
    nothing = np.empty((0, 0), np.float64)
    return run_serial(
        np.empty(0, np.float64), positions, cell, species, first, index, image, integers, reals, forces,
        atom_energies, virial, nothing, nothing, np.empty((0, 0, 3)),
    )  # fmt: skip


@njit(cache=True, error_model="numpy")
def double_parallel(
    positions, cell, species, first, index, image, integers, reals, forces, atom_energies, virial
):
    """Double precision, several threads."""
    nothing = np.empty((0, 0), np.float64)
    return run_parallel(
        np.empty(0, np.float64), positions, cell, species, first, index, image, integers, reals, forces,
        atom_energies, virial, nothing, nothing, np.empty((0, 0, 3)),
    )  # fmt: skip


@njit(cache=True, error_model="numpy")
def mixed_serial(
    positions, cell, species, first, index, image, integers, reals, forces, atom_energies, virial
):
    """Single precision inside, one thread."""
    nothing = np.empty((0, 0), np.float64)
    return run_serial(
        np.empty(0, np.float32), positions, cell, species, first, index, image, integers, reals, forces,
        atom_energies, virial, nothing, nothing, np.empty((0, 0, 3)),
    )  # fmt: skip


@njit(cache=True, error_model="numpy")
def mixed_parallel(
    positions, cell, species, first, index, image, integers, reals, forces, atom_energies, virial
):
    """Single precision inside, several threads."""
    nothing = np.empty((0, 0), np.float64)
    return run_parallel(
        np.empty(0, np.float32), positions, cell, species, first, index, image, integers, reals, forces,
        atom_energies, virial, nothing, nothing, np.empty((0, 0, 3)),
    )  # fmt: skip


def compiled_kernel(mixed, parallel):
    """One of the four above, compiled for `KERNEL` and nothing else."""
    chosen = ((double_serial, double_parallel), (mixed_serial, mixed_parallel))[mixed][parallel]
    if not chosen.signatures:
        chosen.compile(KERNEL)
        chosen.disable_compile()
    return chosen
