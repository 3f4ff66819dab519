"""The door: the physics that every step has to keep, the two ways to get forces, and mistakes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.constraints import FixAtoms, FixBondLength
from ase.io import read
from ase.md.verlet import VelocityVerlet

from iondiff.analysis import diffusivity
from iondiff.dynamics import Ensemble, Ramp, run, run_replicas
from iondiff.dynamics._drivers import make_driver
from iondiff.dynamics._integrators import State
from iondiff.dynamics._loop import COLUMNS
from iondiff.dynamics._setup import make_rules, make_state
from iondiff.dynamics.ensembles import as_ensemble
from iondiff.errors import CalculatorError, DynamicsError, HostError, IondiffError, MDUnstable, PotentialError
from iondiff.potentials.classical import LennardJones, StillingerWeber

TRICLINIC = np.array([[1.0, 0.02, -0.03], [0.15, 0.97, 0.01], [-0.08, 0.12, 1.02]])
STOCHASTIC = ["nvt", "langevin", "npt", "npt-anisotropic", "npt-flexible"]


def silicon(repeat=1, rattle=0.05):
    atoms = bulk("Si", cubic=True) * (repeat, repeat, repeat)
    atoms.set_cell(atoms.cell.array @ TRICLINIC, scale_atoms=True)
    atoms.rattle(rattle, seed=1)
    return atoms


def go(atoms=None, potential=None, ensemble="nvt", timestep_fs=1.0, n_steps=50, **more):
    options = {"temperature": 900.0, "seed": 3, "every": 10} | more
    return run(
        silicon() if atoms is None else atoms,
        potential or StillingerWeber(),
        ensemble,
        timestep_fs,
        n_steps,
        **options,
    )


def test_nve_is_what_ase_does():
    atoms = silicon()
    result = go(atoms, ensemble="nve", n_steps=0)
    ours = go(result.atoms, ensemble="nve", n_steps=100, every=1)
    other = result.atoms.copy()
    other.calc = StillingerWeber().calculator()
    dynamics = VelocityVerlet(other, 1.0 * units.fs)
    dynamics.run(100)
    assert np.abs(ours.atoms.positions - other.positions).max() < 1e-10
    assert ours.log["potential_eV"].iloc[-1] == pytest.approx(other.get_potential_energy(), abs=1e-9)


@pytest.mark.parametrize("ensemble", ["nve", "nose-hoover", *STOCHASTIC])
def test_a_calculator_drives_the_same_integrators(ensemble):
    class Foreign(Calculator):
        """The same energies, from a calculator that this package knows nothing about."""

        implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012
        inner = StillingerWeber().calculator()

        def calculate(self, atoms=None, properties=None, system_changes=None):
            super().calculate(atoms, properties or ["energy"], system_changes or [])
            self.results = {
                name: self.inner.get_property(name, self.atoms) for name in self.implemented_properties
            }

    compiled = go(ensemble=ensemble, n_steps=60)
    driven = go(potential=Foreign(), ensemble=ensemble, n_steps=60)
    assert np.abs(compiled.atoms.positions - driven.atoms.positions).max() < 1e-9
    assert np.allclose(compiled.atoms.cell.array, driven.atoms.cell.array, atol=1e-9)
    assert np.allclose(compiled.log.to_numpy(), driven.log.to_numpy(), atol=1e-7)
    assert compiled.neighbour_builds >= 1


@pytest.mark.parametrize("ensemble", ["nve", "nose-hoover"])
def test_time_can_be_turned_round(ensemble):
    """Atoms and, where there is one, the chain: both turn and go home."""
    atoms = silicon()
    flat = Ramp(((0.0, 900.0),))
    bounds = (None, (0.5, 2.0), 1.0)
    rules = make_rules(atoms, as_ensemble(ensemble), 1.0, 1.0, flat, flat, True, bounds)
    state = make_state(atoms, rules, 900 * units.kB, 1)
    driver = make_driver(StillingerWeber(), atoms, 0.5, needs_stress=False)
    driver.begin(state)
    start = State(*(array.copy() for array in state))
    log = np.zeros((600, COLUMNS))
    driver.advance(state, rules, 300, 1, log)
    assert np.abs(state.positions - start.positions).max() > 0.05
    state.velocities[:] *= -1
    state.chain[1] *= -1
    driver.advance(state, rules, 300, 1, log)
    assert np.abs(state.positions - start.positions).max() < 1e-8
    assert np.abs(state.velocities + start.velocities).max() < 1e-8
    assert np.abs(state.chain[1]).max() < 1e-8


@pytest.mark.parametrize("ensemble", ["nve", "nose-hoover", *STOCHASTIC])
def test_the_centre_of_mass_rests(ensemble):
    atoms = silicon()
    atoms.symbols[:] = "Si"
    atoms.set_masses(np.linspace(10, 60, len(atoms)))
    result = go(atoms, ensemble=ensemble, n_steps=200)
    assert np.abs(result.atoms.get_momenta().sum(axis=0)).max() < 1e-12
    if "npt" not in ensemble:
        moved = result.atoms.get_masses() @ (result.atoms.positions - atoms.positions)
        assert np.abs(moved).max() / atoms.get_masses().sum() < 1e-12


def test_the_conserved_energy_error_falls_with_the_square_of_the_step():
    def spread(step):
        return (
            go(ensemble="nve", timestep_fs=step, n_steps=int(200 / step), every=1).log["conserved_eV"].std()
        )

    assert 3.2 < spread(2.0) / spread(1.0) < 4.8


@pytest.mark.parametrize("ensemble", ["nvt", "langevin", "nose-hoover"])
def test_energy_less_heat_is_conserved(ensemble):
    log = go(silicon(2), ensemble=ensemble, n_steps=500).log
    energy = log["potential_eV"] + log["kinetic_eV"]
    assert np.ptp(energy) > 1.0
    assert np.ptp(log["conserved_eV"]) < 0.1


def test_atoms_at_rest_are_warmed_to_the_temperature_and_others_are_left():
    start = go(n_steps=0)
    assert start.log["temperature_K"][0] == pytest.approx(900.0)
    atoms = silicon()
    atoms.set_velocities(start.atoms.get_velocities() * 0.5)
    assert go(atoms, n_steps=0).log["temperature_K"][0] == pytest.approx(225.0)
    assert np.allclose(atoms.get_velocities(), start.atoms.get_velocities() * 0.5)  # left as they were


def test_fixed_atoms_stay_and_the_others_have_their_temperature():
    atoms = silicon(2)
    atoms.set_constraint(FixAtoms([0, 5, 17]))
    for ensemble in ("langevin", "nvt", "nve"):
        result = go(atoms, ensemble=ensemble, n_steps=100)
        moved = np.abs(result.atoms.positions - atoms.positions).max(axis=1)
        assert not moved[[0, 5, 17]].any()
        assert (np.delete(moved, [0, 5, 17]) > 0.01).all()
        assert len(result.atoms.constraints) == 1
    assert go(atoms, n_steps=0).log["temperature_K"][0] == pytest.approx(900.0)


def test_a_ramp_by_rate_has_its_own_length_and_is_followed():
    ramp = Ramp.rate(1000.0, 500.0, 1e15)
    assert ramp.duration_ps == pytest.approx(0.5)
    result = go(temperature=ramp, n_steps=None, ensemble=Ensemble("bussi", thermostat_fs=5.0), every=50)
    assert result.steps == 500
    assert result.log["target_K"].iloc[-1] == pytest.approx(500.0)
    assert result.log["target_K"].iloc[5] == pytest.approx(750.0)
    table = go(temperature=Ramp.table([(0, 300), (0.02, 900), (0.1, 900)]), n_steps=None, every=10)
    assert table.log["target_K"].tolist() == pytest.approx([300, 600, 900, *[900] * 8])
    pair = go(temperature=(300, 700), n_steps=100, every=50)
    assert pair.log["target_K"].tolist() == pytest.approx([300, 500, 700])


def test_the_cell_follows_the_pressure():
    soft = Ensemble("bussi", "isotropic", 20.0, 50.0)
    squeezed = go(silicon(2), ensemble=soft, n_steps=1500, pressure_GPa=(0.0, 8.0))
    assert squeezed.log["volume_A3"].iloc[-1] < 0.97 * squeezed.log["volume_A3"].iloc[0]
    for name in ("npt-anisotropic", "npt-flexible", "npt"):
        cell = go(ensemble=name, n_steps=200).atoms.cell.array
        strain = np.linalg.solve(silicon().cell.array, cell) - np.eye(3)
        assert np.allclose(strain, strain.T, atol=5e-4)  # no rotation but that of products of small strains
        off, diagonal = strain[np.triu_indices(3, 1)], np.diag(strain)
        assert (np.abs(off) > 1e-9).all() == (name == "npt-flexible")
        assert (np.ptp(diagonal) > 1e-9) == (name != "npt")


def test_same_seed_same_run_other_seed_other_run():
    assert np.array_equal(go().atoms.positions, go().atoms.positions)
    assert not np.array_equal(go().atoms.positions, go(seed=4).atoms.positions)


def test_a_step_far_too_long_stops_with_its_reason_and_keeps_everything(tmp_path):
    with pytest.raises(MDUnstable, match=r"atom \d+ \(Si\) moves|temperature is|not finite") as caught:
        go(
            silicon(2, 0.1), ensemble="nve", timestep_fs=25.0, n_steps=5000, every=5, log_every=1,
            trajectory=tmp_path / "a.iontraj", unstable_frames=tmp_path / "label.extxyz",
        )  # fmt: skip
    error = caught.value
    good = error.last_good
    good.calc = StillingerWeber().calculator()
    assert np.isfinite(good.get_forces()).all()
    assert error.step == good.info["step"] == error.result.steps
    assert error.result.log["step"].iloc[-1] == error.step
    assert len(error.result.frames()) == error.step // 5 + 1
    images = read(tmp_path / "label.extxyz", ":")
    assert images[0].info["origin"] == "last_good"
    assert np.allclose(images[0].positions, good.positions, atol=1e-7)
    assert isinstance(error, IondiffError)


def test_bounds_of_temperature_and_volume_and_a_watcher_stop_a_run():
    with pytest.raises(MDUnstable, match="above the bound of 950 K"):
        go(n_steps=500, ensemble="langevin", max_temperature=950.0)
    with pytest.raises(MDUnstable, match=r"the volume is 0\.9"):
        go(silicon(2), ensemble=Ensemble("bussi", "isotropic", 20.0, 20.0), n_steps=5000, pressure_GPa=30.0,
           volume_bounds=(0.98, 1.2))  # fmt: skip
    with pytest.raises(MDUnstable, match="far from training") as caught:
        go(watch=lambda atoms: "far from training" if atoms.info["step"] == 30 else None)
    assert caught.value.step == 30


class Broken(Calculator):
    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=None, system_changes=None):
        super().calculate(atoms, properties or ["energy"], system_changes or [])
        self.runs = getattr(self, "runs", 0) + 1
        if self.runs > 3:
            raise RuntimeError("SCF did not converge")
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


def overlapping():
    atoms = silicon()
    atoms.positions[5] = atoms.positions[2] + 0.1 + atoms.cell.array[0]
    return atoms


def no_cell():
    atoms = silicon()
    return Atoms(atoms.symbols, atoms.positions)


def flat_cell():
    return Atoms("Si2", [[0, 0, 0], [2.4, 0, 0]], cell=[5, 5, 0], pbc=True)


def with_bond():
    atoms = silicon()
    atoms.set_constraint(FixBondLength(0, 1))
    return atoms


def fixed():
    atoms = silicon()
    atoms.set_constraint(FixAtoms([0]))
    return atoms


def not_finite():
    atoms = silicon()
    atoms.positions[3, 1] = np.nan
    return atoms


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"atoms": no_cell()}, HostError, "no periodic cell"),
        ({"atoms": flat_cell()}, HostError, "do not span"),
        ({"atoms": Atoms(cell=[5, 5, 5], pbc=True)}, HostError, "no atoms"),
        ({"atoms": "POSCAR"}, HostError, "wanted ASE Atoms"),
        ({"atoms": not_finite()}, HostError, "not finite"),
        ({"atoms": overlapping()}, HostError, r"atoms 2 \(Si\) and 5 \(Si\) overlap: they are 0.173 Å apart"),
        ({"atoms": bulk("NaCl", "rocksalt", 5.6)}, PotentialError, "holds Cl, Na.*knows Si"),
        ({"atoms": with_bond()}, DynamicsError, "FixBondLength"),
        ({"atoms": fixed(), "ensemble": "npt"}, DynamicsError, "1 atoms are fixed while the cell moves"),
        ({"ensemble": "nvp"}, DynamicsError, "ensemble is 'nvp'; wanted"),
        ({"ensemble": "nvt", "temperature": None}, DynamicsError, "without a temperature"),
        ({"ensemble": "nve", "temperature": (300, 400)}, DynamicsError, "ramp without a thermostat"),
        ({"temperature": -5}, DynamicsError, "goes down to -5"),
        ({"temperature": "hot"}, DynamicsError, "wanted a number, a pair"),
        ({"temperature": float("nan")}, DynamicsError, "wanted a number, a pair"),
        ({"pressure_GPa": 3}, DynamicsError, "but the cell is fixed"),
        ({"timestep_fs": 0}, DynamicsError, "timestep_fs is 0; wanted a positive number"),
        ({"timestep_fs": float("inf")}, DynamicsError, "timestep_fs"),
        ({"n_steps": 1.5}, DynamicsError, "n_steps is 1.5"),
        ({"n_steps": None}, DynamicsError, "n_steps is not given"),
        ({"every": 0}, DynamicsError, "every is 0"),
        ({"seed": -1}, DynamicsError, "seed is -1"),
        ({"trajectory": "no/such/folder/a.iontraj"}, DynamicsError, "folder of"),
        ({"potential": 7}, DynamicsError, "potential is int"),
        ({"potential": Broken()}, CalculatorError, "at step 3 .RuntimeError: SCF did not converge"),
        ({"potential": Broken(), "ensemble": "npt"}, DynamicsError, "has no stress"),
    ],
)
def test_mistakes_are_named(options, error, sentence):
    with pytest.raises(error, match=sentence):
        go(**options)


def test_an_isolated_cluster_runs_when_asked_for():
    atoms = Atoms("Ar4", [[0, 0, 0], [3.8, 0, 0], [0, 3.8, 0], [0, 0, 3.8]])
    result = go(atoms, LennardJones(), "nve", 2.0, 200, temperature=20.0, open_boundaries=True, every=1)
    assert np.ptp(result.log["conserved_eV"]) < 1e-4
    assert "pressure_GPa" not in result.log


def test_ase_lennard_jones_gives_the_same_run_without_our_knowing_it():
    atoms = bulk("Ar", cubic=True) * 2
    atoms.rattle(0.05, seed=0)
    ours = LennardJones(("Ar",), 0.0103, 3.405, cutoff=5.0, end="energy")
    theirs = AseLennardJones(sigma=3.405, epsilon=0.0103, rc=5.0, ro=5.0, smooth=False)
    one = go(atoms, ours, "langevin", 2.0, 50, temperature=80.0)
    two = go(atoms, theirs, "langevin", 2.0, 50, temperature=80.0)
    assert np.abs(one.atoms.positions - two.atoms.positions).max() < 1e-8


def test_replicas_are_independent_and_do_not_depend_on_the_workers(tmp_path):
    options = {"temperature": 900.0, "n_steps": 100, "every": 50}
    one = run_replicas(silicon(), StillingerWeber(), 2, folder=tmp_path, workers=1, seed=5, **options)
    with ThreadPoolExecutor(2) as pool:
        two = run_replicas(silicon(), StillingerWeber(), 2, executor=pool, seed=5, **options)
        hot = run_replicas(
            silicon(), StillingerWeber(), executor=pool, **options | {"temperature": [300.0, 600.0]}
        )
        with pytest.raises(MDUnstable, match="replica 1: step"):
            run_replicas(
                silicon(), StillingerWeber(), executor=pool, **options | {"timestep_fs": [1.0, 40.0]}
            )
        with pytest.raises(DynamicsError, match="wanted one value"):
            run_replicas(silicon(), StillingerWeber(), 3, executor=pool, **options | {"every": [1, 2]})
    assert [np.array_equal(a.atoms.positions, b.atoms.positions) for a, b in zip(one, two, strict=True)] == [
        True
    ] * 2
    assert not np.array_equal(one[0].atoms.positions, one[1].atoms.positions)
    assert [run.log["temperature_K"][0] for run in hot] == pytest.approx([300.0, 600.0])
    assert len(one[1].frames()) == 3


def test_a_trajectory_goes_to_the_analysis(tmp_path):
    """Diffusivity of an ideal gas with Langevin friction: D = kT τ / m."""
    atoms = Atoms("Ar40", np.random.default_rng(0).random((40, 3)) * 30, cell=TRICLINIC * 30, pbc=True)
    still = LennardJones("Ar", 1e-14, 1e-3, cutoff=1.0)
    bath = Ensemble("langevin", thermostat_fs=200.0)
    result = run(
        atoms, still, bath, 20.0, 60_000, 300.0, every=100, trajectory=tmp_path / "a.iontraj",
        longest_move_A=1.0,
    )  # fmt: skip
    frames = result.frames()
    measured = diffusivity(frames.for_analysis(), timestep_ps=frames.timestep_ps)
    expected = units.kB * 300.0 / 39.948 * 200.0 * units.fs * (1e-16 / (1e-15 / units.fs))
    assert abs(measured.value - expected) < 4 * measured.error
    assert measured.error < 0.1 * expected
    for source in (result, frames, frames.path, str(frames.path)):  # all of them know the time between frames
        assert (
            diffusivity(source, check=False).value
            == diffusivity(frames.for_analysis(), frames.timestep_ps, check=False).value
        )
    mapped = frames.for_analysis(tmp_path / "positions.npy")
    assert np.array_equal(mapped.positions, frames.positions())
