"""Crystals in more atoms than they have are trained in their smallest cells, and nothing else changes."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list

from iondiff.training import read_training_config, setup
from iondiff.training.cells import Cell, smallest_cell
from iondiff.training.dataset import label
from iondiff.training.gather import gather
from iondiff.training.settings import DataSection


def labelled(atoms, generator):
    """Made-up labels: as many copies, as much energy."""
    atoms.calc = SinglePointCalculator(
        atoms, energy=-3.0 * len(atoms) + generator.normal(), forces=generator.normal(size=(len(atoms), 3)),
        stress=0.01 * generator.normal(size=6),
    )  # fmt: skip
    return atoms


def repeated(atoms, repeat):
    """The same crystal, labels and all, in a larger cell."""
    big, copies = atoms.repeat(repeat), int(np.prod(repeat))
    r = atoms.calc.results
    big.calc = SinglePointCalculator(
        big, energy=copies * r["energy"], forces=np.tile(r["forces"], (copies, 1)), stress=r["stress"]
    )
    return big


def crystals(count=6, seed=0):
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
        atoms.symbols[0] = "Au"
        atoms.set_cell(
            atoms.cell.array @ (np.eye(3) + 0.04 * generator.normal(size=(3, 3))), scale_atoms=True
        )
        atoms.rattle(0.1, rng=generator)
        made.append(labelled(atoms, generator))
    return made


@pytest.mark.parametrize("repeat", [(2, 1, 1), (1, 3, 2), (3, 3, 3)])
def test_a_repeated_crystal_is_found_again(repeat):
    """Any order of atoms, any origin; the volume, the labels of an atom and the distances stay."""
    generator = np.random.default_rng(1)
    small = crystals(1)[0]
    big = repeated(small, repeat)
    order = generator.permutation(len(big))
    forces = big.calc.results["forces"][order]
    shuffled = big[order]
    shuffled.positions += generator.normal(size=3)
    shuffled.wrap()
    shuffled.calc = SinglePointCalculator(shuffled, **{**big.calc.results, "forces": forces})
    whole = label(shuffled, DataSection(), "a")
    cell = smallest_cell(whole)
    copies = int(np.prod(repeat))
    assert cell.copies == copies
    assert len(cell.structure.atoms) == 4
    assert cell.structure.atoms.get_volume() == pytest.approx(small.get_volume())
    assert cell.structure.energy == pytest.approx(small.calc.results["energy"])
    np.testing.assert_allclose(cell.structure.virial, small.get_volume() * small.calc.results["stress"])
    np.testing.assert_allclose(cell.whole(cell.structure.targets), whole.targets, atol=1e-12)
    around = [cell.structure.atoms.repeat(3), small.repeat(3)]
    pairs = [np.sort(a.get_all_distances(mic=True).ravel()) for a in around]
    np.testing.assert_allclose(*[p[p < 4.0] for p in pairs], atol=1e-6)


def test_what_is_no_repetition_stays():
    """One atom moved, one force changed, one element exchanged, one weight raised, or no periods."""
    small = crystals(1)[0]

    def fresh():
        return repeated(small, (2, 1, 1))

    moved, pushed, other, dear, alone = (fresh() for _ in range(5))
    moved.positions[3] += 0.01
    moved.calc = fresh().calc
    pushed.calc.results["forces"][3] += 0.1
    other.symbols[3] = "Ag"
    dear.arrays["weight"] = np.array([1.0] * 7 + [2.0])
    alone.pbc = (True, True, False)
    for atoms in (moved, pushed, other, dear, alone):
        if not atoms.calc.results:
            atoms.calc = fresh().calc
        cell = smallest_cell(label(atoms, DataSection(), "a"))
        assert cell.copies == 1
        assert len(cell.structure.atoms) == 8
    assert smallest_cell(label(fresh(), DataSection(), "a")).copies == 2


def test_the_loss_and_its_slope_do_not_change(monkeypatch):
    """Some structures repeated, some not: the same numbers with and without the smaller cells."""
    data = crystals(8)
    data = [repeated(a, (2, 1, 1)) if k % 2 else a for k, a in enumerate(data)]
    config = read_training_config(
        {
            "data": {"validation_fraction": 0.0},
            "descriptors": {
                "radial": [{"count": 4, "cutoff": 5.0}],
                "angular": [{"zetas": [1], "cutoff": 4.0}],
            },
            "network": {"hidden": [5]},
            "loss": {"force_weight": 0.1, "stress_weight": 0.05},
        }
    )
    gathered, _ = gather(config, data, None)
    found = []
    for reduce in (smallest_cell, lambda s: Cell(s, 1, np.arange(len(s.atoms)))):
        monkeypatch.setattr(setup, "smallest_cell", reduce)
        made = setup.Setup.of(config, gathered, lambda *_: None)
        if found:  # the same scaling of the inputs
            made.problem.shift, made.problem.factor, scale = found[0][3:]
            made.problem.targets = [t * made.problem.scale / scale for t in made.problem.targets]
            made.problem.scale = scale
        importance = made.importance(gathered.train, config)
        weights = made.problem.layout.initial(np.random.default_rng(2))
        loss, slope = made.problem.gradient(weights, gathered.train, importance)
        found.append(
            (loss, slope, made.outputs(weights), made.problem.shift, made.problem.factor, made.problem.scale)
        )
    assert sum(len(o) for o in found[0][2]) == sum(3 * len(a) + 7 for a in data)
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-5 * np.abs(found[1][1]).max())
    for a, b in zip(found[0][2], found[1][2], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())


def test_noise_that_hides_some_translations_makes_no_cell_of_other_contents():
    """Forces of equivalent atoms that differ by about what is tolerated: whole orbits, or the structure as it is."""
    seen = set()
    for seed in range(60):
        generator = np.random.default_rng(seed)
        atoms = bulk("Ni", cubic=True).repeat(3)
        atoms.calc = SinglePointCalculator(
            atoms, energy=-600.0, forces=generator.normal(0.0, 10.0 ** generator.uniform(-2.9, -2.4), (108, 3)),
            stress=np.zeros(6),
        )  # fmt: skip
        cell = smallest_cell(label(atoms, DataSection(), "a"))
        small = cell.structure.atoms
        assert len(small) * cell.copies == 108
        assert (np.bincount(cell.place) == cell.copies).all()
        assert small.get_volume() / len(small) == pytest.approx(atoms.get_volume() / 108)
        near = neighbor_list("d", small, 3.0)
        assert len(near) == 12 * len(small)
        assert near.min() == pytest.approx(2.489, abs=0.01)
        seen.add(cell.copies)
    assert {1, 108} <= seen
