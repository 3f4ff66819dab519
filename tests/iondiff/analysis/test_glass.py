"""The report on glasses: crystals whose every number is known, averages that must cover, mistakes that are named."""

import itertools

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.spacegroup import crystal

from iondiff.analysis.glass import bond_cutoff, glass_report
from iondiff.analysis.structure import bond_angles, coordination, polyhedra, rdf, structure_factor
from iondiff.analysis.vibrations import harmonic_vibrations
from iondiff.errors import HostError
from iondiff.potentials.classical import StillingerWeber


def quartz():
    """α-quartz, Levien, Prewitt and Weidner, Am. Mineral. 65, 920 (1980)."""
    places = [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.1191 + 2 / 3)]
    return crystal(("Si", "O"), places, spacegroup=154, cellpar=[4.916, 4.916, 5.4054, 90, 90, 120])


def lithium_phosphate():
    """γ-Li3PO4, Pnma, Yakubovich and Urusov, Crystallogr. Rep. 42, 261 (1997)."""
    places = [
        (0.1639, 0.5013, 0.3013), (0.4237, 0.75, 0.2056), (0.4115, 0.25, 0.3088),
        (0.3417, 0.0439, 0.2057), (0.0504, 0.25, 0.2937), (0.0896, 0.75, 0.1223),
    ]  # fmt: skip
    return crystal(
        ("Li", "Li", "P", "O", "O", "O"), places, spacegroup=62, cellpar=[10.490, 6.120, 4.9266, 90, 90, 90]
    )


def pyrophosphate():
    """P2O7 by hand: two regular tetrahedra (P-O 1.53 Å) with one oxygen in common, in a skewed cell."""
    ends = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.53 / np.sqrt(3)
    places = np.vstack([[0, 0, 0], ends, 2 * ends[0], 2 * ends[0] - ends[1:]])
    cell = [[11, 0, 0], [3, 12, 0], [-2, 1, 13]]
    atoms = Atoms("PO4PO3", places, cell=cell, pbc=True)
    atoms.positions += [9.5, 11.0, 12.2]  # across the boundary
    atoms.wrap()
    return atoms


def test_diamond_has_four_neighbours_six_rings_and_no_defects():
    report = glass_report(bulk("Si", cubic=True) * 2, energies_eV=[-64 * 4.3], crystal_eV=-4.5)
    row = report.metrics.iloc[0]
    assert 2.4 < report.cutoff < 3.8  # between the first two shells, 2.35 and 3.84 Å
    assert row["coordination"] == row["share_Si_4"] * 4 == 4
    assert row["angle_deg"] == pytest.approx(109.4712)
    assert row["angle_spread_deg"] == pytest.approx(0, abs=1e-5)
    assert row["rings_6"] == 1
    assert row["defects"] == 0
    assert row["first_peak_A"] == pytest.approx(2.352, abs=0.02)
    assert row["order"] == pytest.approx(1)
    assert row["excess_eV"] == pytest.approx(0.2)


def test_a_missing_atom_is_four_defects():
    atoms = bulk("Si", cubic=True) * 2
    del atoms[10]
    row = glass_report(atoms).metrics.iloc[0]
    assert row["defects"] == pytest.approx(4 / 63)
    assert row["share_Si_3"] == pytest.approx(4 / 63)


def test_quartz_is_a_net_of_corner_sharing_tetrahedra():
    atoms = quartz() * (3, 3, 2)
    report = glass_report(atoms, units=("Si", "O", 2.0), largest_ring=16)
    row = report.metrics.iloc[0]
    assert report.cutoff.keys() == {("O", "Si")}
    assert (row["coordination_Si"], row["coordination_O"], row["defects"]) == (4, 2, 0)
    assert (row["ligands_2"], row["shared_1"], row["density_g_cm3"]) == (1, 2, pytest.approx(2.65, abs=0.01))
    assert {name for name in report.metrics if name.startswith("rings_")} <= {"rings_12", "rings_16"}


def test_lithium_phosphate_has_isolated_tetrahedra():
    atoms = lithium_phosphate()
    assert atoms.symbols.formula.count() == {"Li": 12, "P": 4, "O": 16}
    assert (coordination(atoms, {("P", "O"): 2.0}, "P") == 4).all()
    assert (coordination(atoms, {("Li", "O"): 2.4}, "Li") == 4).all()
    assert bond_angles(atoms, {("P", "O"): 2.0}, ("O", "P", "O")).mean() == pytest.approx(109.5, abs=0.5)
    row = glass_report(atoms, {("P", "O"): 2.0, ("Li", "O"): 2.4}, units=("P", "O", 2.0)).metrics.iloc[0]
    assert (row["units_1"], row["ligands_1"]) == (1, 1)
    assert not any(name.startswith("shared_") for name in row.index)


def test_a_dimer_has_one_bridging_oxygen():
    atoms = pyrophosphate()
    found = polyhedra(atoms, "P", "O", 2.0)
    assert (found.units, found.ligands, found.shared) == ({2: 1}, {1: 6, 2: 1}, {1: 1})
    assert bond_angles(atoms, 2.0, ("P", "O", "P")) == pytest.approx(180)
    row = glass_report(atoms, {("P", "O"): 2.0}, units=("P", "O", 2.0)).metrics.iloc[0]
    assert row["units_2"] == 1
    assert row["ligands_2"] == pytest.approx(1 / 7)


def test_the_structure_factor_is_that_of_the_sum_over_waves():
    """|Σ exp(iq·r)|²/n over the waves of the box, averaged in shells, of a dense random packing."""
    generator = np.random.default_rng(1)
    frames = []
    for _ in range(4):
        atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * 4
        atoms.positions += generator.normal(0, 0.55, atoms.positions.shape)
        atoms.wrap()
        frames.append(atoms)
    length = frames[0].cell.lengths()[0]
    r, g = rdf(frames, 15.0, 1500)
    waves = np.array(list(itertools.product(range(-9, 10), repeat=3))) * 2 * np.pi / length
    size = np.linalg.norm(waves, axis=1)
    edges = np.array([3.0, 3.4, 3.8, 4.2])
    for low, high in itertools.pairwise(edges):
        shell = waves[(size > low) & (size < high)]
        direct = np.mean([
            (np.abs(np.exp(1j * shell @ atoms.positions.T).sum(axis=1)) ** 2).mean() / len(atoms) for atoms in frames
        ])  # fmt: skip
        ours = structure_factor(r, g, len(frames[0]) / length**3, np.linspace(low, high, 9)).mean()
        assert ours == pytest.approx(direct, abs=0.08)


def test_intervals_are_students_and_one_sample_has_none():
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        samples = []
        for _ in range(3):
            atoms = bulk("Si", cubic=True)
            atoms.set_cell(atoms.cell * (1 + generator.normal(0, 0.003)), scale_atoms=True)
            samples.append(atoms)
        table = glass_report(samples, 2.8, r_max=3.0, q_max=3.0).averages(0.8)
        low, high = table.loc["coordination", ["low", "high"]]
        assert low == high == 4
        # A mean over stretches whose average is none, up to second order.
        low, high = table.loc["density_g_cm3", ["low", "high"]]
        inside += low < 2.3290 < high
    assert abs(inside - 48) < 3 * np.sqrt(60 * 0.8 * 0.2)
    alone = glass_report(bulk("Si", cubic=True)).averages()
    assert np.isinf(alone["error"]).all()


def test_files_and_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    atoms = quartz()
    report = glass_report([atoms, atoms * (2, 1, 1)], units=("Si", "O", 2.0))
    report.write(tmp_path)
    report.plot(tmp_path / "report.svg")
    assert len(pd.read_csv(tmp_path / "samples.csv")) == 2
    assert {"g_O-Si", "g"} <= set(report.curves["rdf"])
    assert (tmp_path / "report.svg").stat().st_size > 10_000


class Spring(Calculator):
    """Two atoms on a spring of 5 eV/Å²."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        bond = self.atoms.positions[1] - self.atoms.positions[0]
        length = np.linalg.norm(bond)
        pull = 5.0 * (length - 1.2) * bond / length
        self.results = {"energy": 2.5 * (length - 1.2) ** 2, "forces": np.array([pull, -pull])}


def test_vibrations_of_a_spring_and_of_the_crystal():
    """ω² = k (1/m + 1/M); and the modes of silicon as Stillinger-Weber has them, ending near 18 THz."""
    pair = Atoms("HO", [[0, 0, 0], [0.7, 0.6, 0.7681145747868608]])
    modes = harmonic_vibrations(pair, Spring())
    inverse = (1 / pair.get_masses()).sum()
    wanted = np.sqrt(5.0 * 1.602176634e-19 * 1e20 * inverse / 1.66053906660e-27) / (2 * np.pi) / 1e12
    assert modes.frequencies_THz[-1] == pytest.approx(wanted, rel=1e-4)
    assert np.abs(modes.frequencies_THz[:5]).max() < 1e-2 * wanted
    atoms = bulk("Si", cubic=True)
    found = harmonic_vibrations(atoms, StillingerWeber().calculator())
    assert np.abs(found.frequencies_THz[:3]).max() < 1e-3
    assert 17 < found.frequencies_THz[-1] < 19
    x, density = found.density()
    assert np.trapezoid(density, x) == pytest.approx(3, rel=1e-3)
    assert found.participation.max() <= 1 + 1e-9


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: glass_report([]), "no samples"),
        (lambda: glass_report(bulk("Si"), energies_eV=[1.0, 2.0]), "energies_eV has 2 entries for 1 samples"),
        (lambda: glass_report(bulk("Si"), expected={"O": 2}), "expected names O"),
        (lambda: glass_report(bulk("Si"), units=("P", "O", 2.0)), "no P in the structure"),
        (lambda: bond_cutoff(bulk("Si", a=9.0)), "pass cutoff"),
        (lambda: glass_report(bulk("Si")).average("hardness"), "no 'hardness'"),
        (lambda: harmonic_vibrations(bulk("Si")), "need forces"),
        (lambda: glass_report(Atoms("Si2", [[0, 0, 0], [0, 0, 2.3]]), 2.8), "periodic in all"),
    ],
)
def test_mistakes_are_named(call, sentence):
    with pytest.raises(HostError, match=sentence):
        call()
