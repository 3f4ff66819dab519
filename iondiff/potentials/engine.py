"""The door to the compiled engine of high-dimensional neural network potentials.

`compile` turns a potential (or several that share their symmetry functions: a committee) into a plan: two
flat arrays. `evaluate` runs it on a structure; :meth:`Plan.compiled` hands it to loops that are compiled
themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np

from iondiff.descriptors import _slots as slot
from iondiff.descriptors._sheet import Sheet
from iondiff.descriptors.channels import write_channels
from iondiff.errors import PotentialError
from iondiff.neighbours import neighbour_table
from iondiff.potentials import _kernels_hdnnp
from iondiff.potentials._kernels_network import LETTERS
from iondiff.potentials.compiled import CompiledPotential
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.network import Network

PRECISIONS = ("double", "mixed")
_ALONE = 48  # fewer atoms than these do not wake the other threads
Neighbours = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """A potential laid out for the kernels.

    Attributes
    ----------
    species
        Chemical symbols; kernels want indices into them.
    cutoff
        Å.
    integers, reals
        Flat parameters; see :mod:`iondiff.descriptors._slots`.
    n_functions
        Number of symmetry functions of each element.
    n_members
        Potentials in the committee.
    minimum, maximum
        Range of each function in the training set, a row an element, (n_species, most functions).
    """

    species: tuple[str, ...]
    cutoff: float
    integers: np.ndarray
    reals: np.ndarray
    n_functions: tuple[int, ...]
    n_members: int
    minimum: np.ndarray
    maximum: np.ndarray

    def with_precision(self, precision: str) -> Plan:
        """The same plan in "double" or "mixed" (single inside, sums in double)."""
        if precision not in PRECISIONS:
            raise PotentialError(f"precision is {precision!r}; wanted one of {', '.join(PRECISIONS)}")
        integers = self.integers.copy()
        integers[slot.PRECISION] = PRECISIONS.index(precision)
        return replace(self, integers=integers)

    def with_threads(self, threads: int) -> Plan:
        """The same plan for so many threads, or with 0 for Numba's number of them; results do not depend on it."""
        integers = self.integers.copy()
        integers[slot.THREADS] = threads
        return replace(self, integers=integers)

    @property
    def threads(self) -> int:
        """How many threads a call takes now."""
        return int(self.integers[slot.THREADS]) or numba.get_num_threads()

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters, for compiled loops."""
        plan = self.with_threads(self.threads)
        kernel = _kernels_hdnnp.compiled_kernel(bool(plan.integers[slot.PRECISION]), plan.threads > 1)
        return CompiledPotential(kernel, plan.integers, plan.reals)


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` found.

    Attributes
    ----------
    energy
        eV; of a committee the mean.
    atom_energies
        (n,), eV.
    forces
        (n, 3), eV/Å.
    virial
        (3, 3), eV: derivative of the energy by the strain.
    functions
        (n, most functions): unscaled symmetry functions, a row an atom, filled up with zeros.
    member_energies
        (n_members, n), eV.
    member_forces
        (n_members, n, 3), eV/Å; (0, n, 3) of a single potential, whose they are, and where not asked for.
    """

    energy: float
    atom_energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    functions: np.ndarray
    member_energies: np.ndarray
    member_forces: np.ndarray


def compile(potential: HDNNP | Sequence[HDNNP], precision: str = "double") -> Plan:  # noqa: A001 - engine.compile
    """Lay a potential out for the kernels; of a committee, the symmetry functions are computed once.

    Raises
    ------
    PotentialError
        The members of a committee differ in their symmetry functions or scaling.
    """
    members = (potential,) if isinstance(potential, HDNNP) else tuple(potential)
    _check_members(members)
    lead = members[0]
    sheet = Sheet(slot.HEADER, slot.REALS_HEADER)
    records = write_channels(lead.descriptor, sheet)
    widest = depth = 0
    for e, record in enumerate(records):
        networks = [member.networks[e] for member in members]
        record[slot.E_LAYERS] = len(networks[0].layers) - 1
        record[slot.E_LAYERS_AT] = _write_layers(sheet, networks[0])
        record[slot.E_WEIGHTS] = sheet.add_whole([_write_weights(sheet, network) for network in networks])
        record[slot.E_ENERGY] = sheet.add_real(x for m in members for x in (m.offsets()[e], m.energy_scale))
        widest = max(widest, *networks[0].layers)
        depth = max(depth, record[slot.E_LAYERS])
    at = [sheet.add_whole(record.get(k, 0) for k in range(slot.E_SIZE)) for record in records]
    sheet.whole[slot.ELEMENTS] = sheet.add_whole(at)
    sheet.whole[slot.N_MEMBERS] = len(members)
    sheet.whole[slot.WIDEST] = (widest + 15) // 8 * 8
    sheet.whole[slot.DEPTH] = depth
    integers, reals = sheet.arrays()
    counts = tuple(len(element) for element in lead.descriptor.elements)
    ranges = np.zeros((2, len(counts), max(counts)))
    for e, element in enumerate(lead.descriptor.elements):
        ranges[0, e, : counts[e]] = element.scaling.minimum
        ranges[1, e, : counts[e]] = element.scaling.maximum
    plan = Plan(lead.species, lead.cutoff, integers, reals, counts, len(members), ranges[0], ranges[1])
    return plan.with_precision(precision)


def _check_members(members: tuple[HDNNP, ...]) -> None:
    if not members:
        raise PotentialError("the committee is empty; wanted at least one potential")
    lead = members[0]
    for number, member in enumerate(members[1:], start=2):
        same = member.species == lead.species and all(
            a.functions == b.functions
            and np.array_equal(a.scaling.shift, b.scaling.shift)
            and np.array_equal(a.scaling.factor, b.scaling.factor)
            for a, b in zip(lead.descriptor.elements, member.descriptor.elements, strict=True)
        )
        shapes = [(n.layers, n.activations) for n in member.networks]
        if not same or shapes != [(n.layers, n.activations) for n in lead.networks]:
            raise PotentialError(
                f"member {number} of the committee has other symmetry functions, scaling or layers than "
                "the first; wanted potentials trained on one descriptor"
            )


def _padded(matrix: np.ndarray) -> np.ndarray:
    """Rows filled up with zeros to whole vectors of eight."""
    return np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % 8)))


def _blocks(network: Network) -> list[np.ndarray]:
    """W, b and the transpose of W, of every layer in turn, as the kernels read them."""
    blocks = []
    for weights, biases in zip(network.weights, network.biases, strict=True):
        blocks += [_padded(weights), _padded(biases[None]), _padded(weights.T)]
    return [block.ravel() for block in blocks]


def _write_layers(sheet: Sheet, network: Network) -> int:
    starts = np.cumsum([0] + [len(block) for block in _blocks(network)])
    numbers: list[int] = []
    for k, letter in enumerate(network.activations):
        sizes = network.layers[k : k + 2]
        numbers += [*sizes, LETTERS.index(letter), *starts[3 * k : 3 * k + 3]]
    return sheet.add_whole(numbers)


def _write_weights(sheet: Sheet, network: Network) -> int:
    return sheet.add_real(np.concatenate(_blocks(network)))


def evaluate(
    plan: Plan,
    positions: np.ndarray,
    cell: np.ndarray,
    pbc: np.ndarray,
    species: np.ndarray,
    neighbours: Neighbours | None = None,
    precision: str | None = None,
    *,
    member_forces: bool = True,
) -> Evaluation:
    """Energy, forces and virial of a structure.

    Parameters
    ----------
    plan
        From :func:`compile`.
    positions, cell, pbc
        (n, 3) and (3, 3), Å, rows of the cell are vectors; (3,) booleans.
    species
        (n,) indices into ``plan.species``.
    neighbours
        As of :func:`iondiff.neighbours.neighbour_table`, with at least the plan's cutoff; made where absent.
    precision
        "double" or "mixed"; what the plan says where absent.
    member_forces
        Of a committee: the forces of every member too, each a way back of its own. Without them a committee
        costs little more than one potential; the energies of the members come in any case.

    Raises
    ------
    PotentialError
        Shapes or species that do not fit, or numbers that are not finite.
    """
    if precision is not None:
        plan = plan.with_precision(precision)
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    cell = np.ascontiguousarray(cell, dtype=np.float64)
    species = np.ascontiguousarray(species, dtype=np.int64)
    n = len(positions)
    if positions.shape != (n, 3) or species.shape != (n,) or cell.shape != (3, 3):
        raise PotentialError(
            f"positions {positions.shape}, species {species.shape} and cell {cell.shape}; wanted (n, 3), "
            "(n,) and (3, 3)"
        )
    if n and (species.min() < 0 or species.max() >= len(plan.species)):
        raise PotentialError(
            f"species go from {species.min()} to {species.max()}; wanted 0 to {len(plan.species) - 1}"
        )
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
        where = f"the position of atom {bad[0]}" if len(bad) else "the cell"
        raise PotentialError(f"{where} is not finite; look at what moved it there")
    first, index, image = neighbours or neighbour_table(
        positions, cell, np.asarray(pbc, dtype=np.bool_), plan.cutoff
    )
    plan = plan.with_threads(1 if n < _ALONE else plan.threads)
    forces, atom_energies, virial = np.empty((n, 3)), np.empty(n), np.empty((3, 3))
    functions = np.empty((n, max(plan.n_functions)))
    members = np.empty((plan.n_members, n))
    each = np.empty((plan.n_members if member_forces and plan.n_members > 1 else 0, n, 3))
    run = _kernels_hdnnp.run_serial if plan.threads == 1 else _kernels_hdnnp.run_parallel
    energy = run(
        np.empty(0, np.float32 if plan.integers[slot.PRECISION] else np.float64), positions, cell, species,
        first, index, image, plan.integers, plan.reals, forces, atom_energies, virial, functions, members,
        each,
    )  # fmt: skip
    return Evaluation(float(energy), atom_energies, forces, virial, functions, members, each)
