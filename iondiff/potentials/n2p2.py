"""Directories of n2p2 and RuNNer: ``input.nn``, ``scaling.data`` and ``weights.*.data``.

The files do not say their units; the caller does, and what was assumed is kept in :attr:`HDNNP.units`.
Conventions (n2p2's manual, checked against its numbers): elements and the inputs of a network are sorted, see
:meth:`SymmetryFunction.order`; ``mean_energy`` and ``conv_energy`` turn the network's output into an energy;
``conv_length`` cancels, since every symmetry function is a pure number; ``normalize_nodes`` divides the sum
that enters a node by the number of nodes below.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from iondiff.descriptors import Descriptor, ElementDescriptor, Scaling, SymmetryFunction, sort_functions
from iondiff.errors import PotentialError
from iondiff.files import file_hash
from iondiff.potentials._n2p2_functions import by_atomic_number, read_functions
from iondiff.potentials._n2p2_networks import layers_and_activations, read_weights
from iondiff.potentials._n2p2_text import Settings, fail, number, read_lines, unit_factors, whole
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.network import Network

_UNSUPPORTED = {
    "use_electrostatics": "charges (3G, 4G)", "electrostatic_type": "charges (3G, 4G)",
    "use_vdw": "van der Waals terms", "use_atom_spins": "spins",
}  # fmt: skip


def read_directory(path: str | Path, units: tuple[str, str] = ("Angstrom", "eV")) -> HDNNP:
    """A potential from a directory of n2p2 or RuNNer.

    Parameters
    ----------
    path
        The directory.
    units
        Of the files: a length and an energy, for example ``("bohr", "hartree")``.

    Raises
    ------
    PotentialError
        A file is missing or malformed; the message holds the file and the line.
    """
    path = Path(path)
    length, energy = unit_factors(units)
    settings = Settings(path / "input.nn")
    _refuse_unsupported(settings)
    species = _species(settings)
    functions = sort_functions(read_functions(settings, species, length))
    per_element = {s: tuple(f for f in functions if f.centre == s) for s in species}
    for symbol, own in per_element.items():
        if not own:
            raise PotentialError(
                f"{settings.path} has no symmetry functions of {symbol}; wanted at least one"
            )
    descriptor = _descriptor(settings, path / "scaling.data", per_element)
    networks = tuple(_network(settings, path, symbol, len(per_element[symbol])) for symbol in species)
    scale, shift = _normalisation(settings)
    files = ["input.nn", "scaling.data", *(weights_name(s) for s in species)]
    return HDNNP(
        descriptor,
        networks,
        _atom_energies(settings, species) * energy,
        scale * energy,
        shift * energy,
        (str(units[0]), str(units[1])),
        {"files": {name: file_hash(path / name) for name in files}, "source": "n2p2/RuNNer files"},
    )


def _refuse_unsupported(settings: Settings) -> None:
    for keyword in ("nnp_type", "nnp_generation", "nnp_type_gen", "nnp_gen"):
        for words, line in settings.all(keyword):
            if words and not words[0].startswith("2"):
                fail(
                    settings.path,
                    line,
                    f"{keyword} is {words[0]}; only short-range potentials (2G-HDNNP) are read",
                )
    for keyword, what in _UNSUPPORTED.items():
        for _, line in settings.all(keyword):
            fail(settings.path, line, f"{keyword}: potentials with {what} are not read")


def _species(settings: Settings) -> tuple[str, ...]:
    words, line = settings.one("elements")
    species = by_atomic_number(words, settings.path, line)
    if "number_of_elements" in settings:
        claimed = settings.whole("number_of_elements")
        if claimed != len(species):
            fail(
                settings.path,
                line,
                f"{len(species)} elements, but number_of_elements is {claimed}; which one?",
            )
    return species


def _normalisation(settings: Settings) -> tuple[float, float]:
    """Scale and shift of the network's output, in the file's unit of energy."""
    names = ("mean_energy", "conv_energy", "conv_length")
    present = [name for name in names if name in settings]
    if not present:
        return 1.0, 0.0
    if len(present) < len(names):
        missing = [name for name in names if name not in settings]
        raise PotentialError(
            f"{settings.path} has {', '.join(present)} but not {', '.join(missing)}; wanted all or none"
        )
    scale = settings.number("conv_energy")
    if scale <= 0:
        fail(settings.path, settings.one("conv_energy")[1], f"conv_energy is {scale}; wanted above 0")
    return 1.0 / scale, settings.number("mean_energy")


def _atom_energies(settings: Settings, species: tuple[str, ...]) -> np.ndarray:
    energies = np.zeros(len(species))
    for words, line in settings.all("atom_energy"):
        if len(words) < 2 or words[0] not in species:
            fail(settings.path, line, f"atom_energy {' '.join(words)}; wanted an element and its energy")
        energies[species.index(words[0])] = number(words[1], settings.path, line, "atom_energy")
    return energies


def _descriptor(
    settings: Settings, path: Path, per_element: dict[str, tuple[SymmetryFunction, ...]]
) -> Descriptor:
    """Functions with their scaling; every line of scaling.data belongs to one of them."""
    mode = {
        (False, False): "none", (True, False): "scale", (False, True): "centre", (True, True): "scale-centre",
    }["scale_symmetry_functions" in settings, "center_symmetry_functions" in settings]  # fmt: skip
    if mode == "none" and "scale_symmetry_functions_sigma" in settings:
        mode = "sigma"
    low, high = settings.number("scale_min_short", 0.0), settings.number("scale_max_short", 1.0)
    table = _scaling_table(path, per_element, mode)
    elements = []
    for symbol, functions in per_element.items():
        rows, line = table[symbol]
        try:
            scaling = Scaling(mode, rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3], low, high)
        except PotentialError as error:
            fail(path, line, f"functions of {symbol} from here on: {error}")
        elements.append(ElementDescriptor(symbol, functions, scaling))
    return Descriptor(tuple(elements))


def _scaling_table(
    path: Path, per_element: dict[str, tuple[SymmetryFunction, ...]], mode: str
) -> dict[str, tuple[np.ndarray, int]]:
    """Minimum, maximum, mean and sigma of every function, and the line where each element begins."""
    wanted = [(i + 1, k + 1, s) for i, s in enumerate(per_element) for k in range(len(per_element[s]))]
    found: dict[str, list[list[float]]] = {symbol: [] for symbol in per_element}
    begins: dict[str, int] = {}
    at = 0
    for line, text in enumerate(read_lines(path, "scaling file"), start=1):
        words = text.split("#")[0].split()
        if not words or (len(words) == 2 and at == len(wanted)):  # RuNNer ends with a range of energies
            continue
        if at == len(wanted):
            fail(path, line, f"more lines than the {len(wanted)} symmetry functions of input.nn")
        if len(words) not in (5, 6) or (mode == "sigma" and len(words) == 5):
            fail(path, line, f"{len(words)} columns; wanted element, function, min, max, mean, sigma")
        element, function, symbol = wanted[at]
        indices = tuple(whole(word, path, line, "an index") for word in words[:2])
        if indices != (element, function):
            fail(
                path,
                line,
                f"element {indices[0]}, function {indices[1]}; wanted element {element} ({symbol}), function "
                f"{function} of {len(per_element[symbol])}: scaling.data and input.nn do not belong together",
            )
        row = [number(word, path, line, "a statistic") for word in words[2:]]
        found[symbol].append(row + [0.0] * (4 - len(row)))
        begins.setdefault(symbol, line)
        at += 1
    if at < len(wanted):
        raise PotentialError(
            f"{path} has {at} lines of numbers and input.nn {len(wanted)} symmetry functions; wanted as many"
        )
    return {symbol: (np.array(found[symbol]), begins[symbol]) for symbol in per_element}


def weights_name(symbol: str) -> str:
    """Of the file of one element."""
    return f"weights.{atomic_numbers[symbol]:03d}.data"


def _network(settings: Settings, path: Path, symbol: str, n_inputs: int) -> Network:
    hidden, activations = layers_and_activations(settings, symbol)
    layers = (n_inputs, *hidden, 1)
    network = read_weights(path / weights_name(symbol), layers, activations)
    if "normalize_nodes" not in settings:
        return network
    weights = tuple(w / n for w, n in zip(network.weights, layers[:-1], strict=True))
    biases = tuple(b / n for b, n in zip(network.biases, layers[:-1], strict=True))
    return Network(weights, biases, network.activations)
