"""Training of potentials for all atoms: learns, repeats, goes on after a kill, and says what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from iondiff.errors import ConfigError, TrainingError
from iondiff.files import file_hash
from iondiff.inspection import inspect
from iondiff.potentials import Committee, load
from iondiff.training import TrainingWarning, read_training_config, results, train
from iondiff.training.dataset import label
from iondiff.training.results import Prediction
from iondiff.training.settings import DataSection

ROOT = Path(__file__).parents[2]


def morse(atoms):
    """Pair potential with smooth cutoff at 4.5 Å: energy, forces, stress; written apart from the suite."""
    from iondiff.neighbours import neighbour_table

    first, index, image = neighbour_table(atoms.positions, atoms.cell.array, atoms.pbc, 4.5)
    centre = np.repeat(np.arange(len(atoms)), np.diff(first))
    d = atoms.positions[index] + image @ atoms.cell.array - atoms.positions[centre]
    r = np.linalg.norm(d, axis=1)
    depth = np.where(atoms.numbers[centre] == atoms.numbers[index], 0.2, 0.35)
    e = np.exp(-1.4 * (r - 2.6))
    x = r / 4.5
    f, df = 1 - 10 * x**3 + 15 * x**4 - 6 * x**5, -30 * x**2 * (1 - x) ** 2 / 4.5
    v, dv = depth * (e * e - 2 * e), 1.4 * depth * (2 * e - 2 * e * e)
    slope = ((dv * f + v * df) / r)[:, None] * d
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, centre, slope)
    stress = 0.5 * np.einsum("pa,pb->ab", d, slope) / atoms.get_volume()
    return 0.5 * (v * f).sum(), forces, stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def structures(count=24, seed=0, shift=-3.0):
    generator = np.random.default_rng(seed)
    made = []
    for k in range(count):
        atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
        atoms.symbols[:2] = "Au"
        atoms.set_cell(
            atoms.cell.array @ (np.eye(3) + 0.03 * generator.normal(size=(3, 3))), scale_atoms=True
        )
        atoms.rattle(0.12, rng=generator)
        energy, forces, stress = morse(atoms)
        atoms.calc = SinglePointCalculator(atoms, energy=energy + 4 * shift, forces=forces, stress=stress)
        atoms.info["config_type"] = "even" if k % 2 == 0 else "odd"
        made.append(atoms)
    return made


SMALL = {
    "data": {"validation_fraction": 0.2},
    "descriptors": {
        "radial": [{"count": 5, "cutoff": 5.0, "first": 2.0}],
        "angular": [{"shifts": [2.0], "zetas": [1], "cutoff": 4.5}],
    },
    "network": {"hidden": [6, 5]},
    "loss": {"stress_weight": 0.05},
    "optimiser": {"epochs": 12},
}


def config(**changes):
    """SMALL with tables replaced key by key."""
    tables = json.loads(json.dumps(SMALL))
    for name, change in changes.items():
        tables[name] = {**tables.get(name, {}), **change} if isinstance(change, dict) else change
    return tables


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    training = train(
        config(network={"members": 2}, data={"test_fraction": 0.2}), folder, structures=structures(40)
    )
    return training, folder


def test_it_learns_a_pair_potential(trained):
    """Unseen energies and forces to a few per cent of their spread."""
    training, _ = trained
    test = training.errors["test"]
    every = [morse(a) for a in structures(40)]
    assert test["energy_meV_atom"]["rmse"] < 1e3 * 0.15 * np.std([e / 4 for e, _, _ in every])
    assert test["force_eV_A"]["rmse"] < 0.15 * np.std([f for _, f, _ in every])
    assert test["stress_GPa"]["rmse"] < 0.2 * np.std([s for _, _, s in every]) / 0.00624
    history = training.members[0]["history"]
    assert history[-1]["train_loss"] < 0.02 * history[0]["train_loss"]


def test_the_saved_potential_says_what_the_error_table_was_made_of(trained):
    training, folder = trained
    potential = load(folder / "potential.nnp")
    assert isinstance(potential, Committee)
    assert len(potential) == 2
    atoms = structures(40)[7]
    reference = atoms.calc.results
    atoms.calc = potential.calculator()
    at = training.parity["structure"].index("structures[7]")
    assert atoms.get_potential_energy() / 4 == pytest.approx(
        training.parity["predicted_eV_atom"][at], abs=1e-9
    )
    rmse = np.sqrt(((atoms.get_forces() - reference["forces"]) ** 2).mean())
    assert rmse == pytest.approx(training.parity["force_rmse_eV_A"][at], rel=1e-5)
    for member in potential.members:  # each can be taken out and still says where it came from
        told = member.summary["training"]["errors"]
        for split in ("train", "validation", "test"):
            assert told[split]["force_eV_A"] == training.errors[split]["force_eV_A"]
    facts = inspect(folder / "potential.nnp").facts
    assert facts["RMSE, test"].startswith("8 structures, energy ")


def test_a_potential_names_the_files_it_learnt_from(tmp_path):
    write(tmp_path / "some.extxyz", structures(12))
    train(config(data={"train": [str(tmp_path / "some.extxyz")]}, optimiser={"epochs": 2}), tmp_path / "run")
    learnt = inspect(tmp_path / "run" / "potential.nnp").facts["learnt from"]
    assert learnt == f"some.extxyz (sha256 {file_hash(tmp_path / 'some.extxyz')[:12]})"


def test_data_that_vanish_during_a_training_do_not_take_it_along(tmp_path):
    data = tmp_path / "some.extxyz"
    write(data, structures(12))
    settings = config(data={"train": [str(data)]}, optimiser={"epochs": 2})
    train(settings, tmp_path / "run", progress=lambda *_: data.unlink(missing_ok=True))
    assert "unknown" in inspect(tmp_path / "run" / "potential.nnp").facts["learnt from"]


def test_the_error_table_adds_up(trained):
    training, folder = trained
    table = json.loads((folder / "training.json").read_text())["errors"]
    for split in ("train", "validation", "test"):
        whole, parts = table[split], table[split]["by_config_type"]
        assert sum(p["structures"] for p in parts.values()) == whole["structures"]
        mean = sum(p["structures"] * p["energy_meV_atom"]["rmse"] ** 2 for p in parts.values())
        assert np.sqrt(mean / whole["structures"]) == pytest.approx(whole["energy_meV_atom"]["rmse"])
        assert set(whole["by_element"]) == {"Cu", "Au"}
        assert whole["force_eV_A"]["mae"] <= whole["force_eV_A"]["rmse"]
    worst = [row["force_error_eV_A"] for row in training.worst_atoms]
    assert len(worst) == 10
    assert worst == sorted(worst, reverse=True)


def test_the_forces_of_the_parity_plot_are_those_of_the_table(trained):
    """An element's errors are those on its atoms; the file of forces has every atom once."""
    training, folder = trained
    rows = np.genfromtxt(folder / "parity_forces.csv", delimiter=",", names=True, dtype=None, encoding=None)
    assert len(rows) == 4 * 40
    missed = np.array([rows[f"predicted_f{a}_eV_A"] - rows[f"f{a}_eV_A"] for a in "xyz"])
    test = rows["split"] == "test"
    for element in ("Au", "Cu"):
        own = missed[:, test & (rows["element"] == element)]
        table = training.errors["test"]["by_element"][element]
        assert table["force_eV_A"]["rmse"] == pytest.approx(np.sqrt((own**2).mean()), rel=1e-4)
        assert table["force_eV_A"]["mae"] == pytest.approx(np.abs(own).mean(), rel=1e-4)


def test_bagged_members_hold_out_different_structures_and_answer_for_them():
    """Validation errors are of members that never saw the structure; the committee has seen all."""
    data = structures(20)
    settings = config(
        network={"members": 5, "bagging": True}, data={"validation_fraction": 0.2}, optimiser={"epochs": 6}
    )
    training = train(settings, structures=data)
    split, names = np.array(training.parity["split"]), np.array(training.parity["structure"])
    assert sorted(names[split == "validation"]) == sorted(names[split == "train"])
    assert len(names) == 2 * len(data)
    # Each structure's validation is one member's, not the committee's.
    members = training.potential.members
    for k in (0, 7, 13):
        atoms = data[k].copy()
        alone = []
        for member in members:
            atoms.calc = member.calculator(extrapolation="ignore")
            alone.append(atoms.get_potential_energy() / 4)
        at = {
            s: training.parity["predicted_eV_atom"][
                int(np.flatnonzero((split == s) & (names == f"structures[{k}]"))[0])
            ]
            for s in ("train", "validation")
        }
        assert at["train"] == pytest.approx(np.mean(alone), abs=1e-6)
        assert np.min(np.abs(np.array(alone) - at["validation"])) < 1e-6
    assert (
        training.errors["validation"]["force_eV_A"]["rmse"] > training.errors["train"]["force_eV_A"]["rmse"]
    )


def test_bagging_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="at least two members"):
        train(config(network={"bagging": True}), structures=structures(8))
    bagged = config(network={"bagging": True, "members": 2})
    same = [structures(1)[0] for _ in range(5)]
    with pytest.raises(TrainingError, match="at least two parts to hold out"):
        train(bagged, structures=same)


def test_the_page_shows_every_structure_and_needs_no_network(trained):
    training, folder = trained
    text = (folder / "training.html").read_text(encoding="utf-8")
    assert text.count("<circle") == len(training.parity["structure"])
    assert text.count("<polyline") == 4
    assert "Force components" in text
    assert "<script" not in text
    assert "http" not in text


@pytest.mark.parametrize("kind", ["levenberg-marquardt", "l-bfgs", "adamw", "kalman"])
def test_every_optimiser_lowers_the_loss_and_repeats_to_the_last_digit(kind):
    data = structures(10)
    settings = config(optimiser={"kind": kind, "epochs": 5}, data={"validation_fraction": 0.0})
    one, two = (train(settings, structures=data) for _ in range(2))
    losses = [row["train_loss"] for row in one.members[0]["history"]]
    assert losses[-1] < losses[0]
    assert one.parity == two.parity


def test_seeds_and_members_differ():
    data = structures(8)
    settings = config(optimiser={"epochs": 2}, network={"members": 2}, data={"validation_fraction": 0.0})
    one, other = train(settings, structures=data), train({**settings, "seed": 7}, structures=data)
    weights = [
        member.networks[0].flat() for training in (one, other) for member in training.potential.members
    ]
    for a in range(4):
        for b in range(a):
            assert not np.allclose(weights[a], weights[b])


@pytest.mark.slow
def test_members_in_parallel_are_the_same_members(tmp_path):
    data = structures(8)
    settings = config(optimiser={"epochs": 3}, network={"members": 2})
    one = train(settings, structures=data)
    two = train({**settings, "workers": 2}, structures=data)
    assert one.parity == two.parity


def test_a_finished_training_is_not_done_again(trained, tmp_path):
    _, folder = trained
    before = {name: (folder / name).read_bytes() for name in ("potential.nnp", "parity.csv")}
    train(config(network={"members": 2}, data={"test_fraction": 0.2}), folder, structures=structures(40))
    for name, content in before.items():
        assert (folder / name).read_bytes() == content


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["levenberg-marquardt", "kalman", "adamw", "l-bfgs"])
def test_a_killed_training_ends_at_the_same_last_digit(tmp_path, kind):
    write(tmp_path / "data.extxyz", structures(20))
    settings = config(
        optimiser={"kind": kind, "epochs": 40, "patience": 40},
        data={"train": [str(tmp_path / "data.extxyz")]},
    )
    script = tmp_path / "go.py"
    script.write_text(
        "import json, sys\n"
        "from iondiff.training import loop, train\n"
        "loop._CHECKPOINT_SECONDS = 0.0\n"
        f"train(json.loads({json.dumps(settings)!r}), sys.argv[1], "
        "progress=lambda *a: print(*a, flush=True))\n"
    )
    command = [sys.executable, str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [*command, str(tmp_path / "whole")], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    killed = 0
    for epoch in (3, 11, 29):
        with subprocess.Popen(
            [*command, str(tmp_path / "killed")], env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout:
                if line.startswith(f"train {epoch} "):
                    process.send_signal(signal.SIGKILL)
                    killed += 1
    assert killed == 3
    subprocess.run(
        [*command, str(tmp_path / "killed")], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    for name in ("potential.nnp", "parity.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


@pytest.mark.parametrize("kind", ["levenberg-marquardt", "kalman", "adamw", "l-bfgs"])
def test_more_epochs_end_where_they_would_have_ended(tmp_path, kind):
    """Raised epochs go on (AdamW, whose schedule changes, begins anew); lowered ones do not keep the surplus."""
    data = structures(10)

    def go(folder, epochs):
        settings = config(optimiser={"kind": kind, "epochs": epochs})
        return train(settings, None if folder is None else tmp_path / folder, structures=data)

    go("a", 2)
    longer = go("a", 4)
    assert longer.members[0]["epochs"] == 4
    assert longer.parity == go(None, 4).parity
    assert go("a", 2).parity == go(None, 2).parity


def test_a_damaged_checkpoint_is_begun_anew(tmp_path):
    settings, data = config(optimiser={"epochs": 2}), structures(8)
    first = train(settings, tmp_path, structures=data)
    (tmp_path / "checkpoint.member0.npz").write_bytes(b"PK\x03\x04 nonsense")
    assert train(settings, tmp_path, structures=data).parity == first.parity


def test_energies_alone_and_forces_alone():
    data = structures(10)
    bare = []
    for atoms in data:
        copy = atoms.copy()
        copy.calc = SinglePointCalculator(copy, energy=atoms.calc.results["energy"])
        bare.append(copy)
    energies = config(loss={"force_weight": 0.0, "stress_weight": 0.0}, optimiser={"epochs": 3})
    training = train(energies, structures=bare)
    assert training.errors["train"]["force_eV_A"] is None
    assert training.errors["train"]["energy_meV_atom"]["rmse"] > 0
    forces = config(loss={"force_weight": 1.0, "stress_weight": 0.0}, optimiser={"epochs": 3})
    assert train(forces, structures=data).errors["train"]["force_eV_A"]["rmse"] > 0
    mixed = config(data={"missing": "allow"}, optimiser={"epochs": 2})
    assert train(mixed, structures=[*bare[:5], *data[5:]]).errors["train"]["force_eV_A"]["rmse"] > 0


def test_weights_of_structures_count():
    data = structures(12)
    for atoms in data:
        atoms.info["config_type"] = "all"
    for atoms in data[:2]:
        atoms.info["config_type"] = "dear"
    miss = []
    for weight in (1.0, 300.0):
        settings = config(
            data={"weights": {"dear": weight}, "validation_fraction": 0.0}, optimiser={"epochs": 8},
            network={"hidden": [3]},
        )  # fmt: skip
        parts = train(settings, structures=data).errors["train"]["by_config_type"]
        miss.append(parts["dear"]["force_eV_A"]["rmse"])
    assert miss[1] < 0.7 * miss[0]


@pytest.mark.parametrize(
    "method", ["pca", "cur", "farthest", "pearson", "lasso", "group-lasso", "genetic", "random"]
)
def test_a_selection_of_functions_is_what_the_network_gets(method):
    settings = config(
        descriptors={"selection": {"method": method, "count": 6}}, optimiser={"epochs": 1},
        data={"validation_fraction": 0.0},
    )  # fmt: skip
    potential = train(settings, structures=structures(6)).potential
    for element in potential.descriptor.elements:
        assert 1 <= len(element) <= 6


def test_functions_are_kept_by_the_elements_they_look_at():
    """Of Cu only what sees Cu alone; of Au everything radial."""
    names = ["Cu-Cu", "Cu-CuCu", "Au-Au", "Au-Cu"]
    settings = config(
        descriptors={"selection": {"method": "structure", "keep": names}}, optimiser={"epochs": 1}
    )
    potential = train(settings, structures=structures(8)).potential
    kept = {f"{f.centre}-{''.join(f.neighbours)}" for e in potential.descriptor.elements for f in e.functions}
    assert kept == set(names)
    for keep, message in (
        ([], "wants the element combinations"),
        (["Zn-Cu"], "names Zn-Cu; the data's elements"),
    ):
        wrong = config(descriptors={"selection": {"method": "structure", "keep": keep}})
        with pytest.raises(TrainingError, match=message):
            train(wrong, structures=structures(8))


# What users get wrong.


def quick(given, **changes):
    return train(config(optimiser={"epochs": 1}, **changes), structures=given)


def test_missing_forces_are_named():
    data = structures(8)
    for k in (2, 5):
        data[k].calc = SinglePointCalculator(data[k], energy=-12.0)
    with pytest.raises(TrainingError, match=r"structures\[2\], structures\[5\] have no forces"):
        quick(data)


def test_an_energy_far_off_is_named_and_kept():
    data = structures(16)
    data[3].calc.results["energy"] += 100.0
    with pytest.warns(TrainingWarning, match=r"structures\[3\] is \+100\.\d eV"):
        training = quick(data)
    assert "structures[3]" in training.parity["structure"]


def test_an_energy_off_by_less_than_compositions_scatter_is_named():
    """100 eV in a large cell is little an atom: what the atoms see tells it, composition does not."""
    data = structures(40)
    for atoms in data:
        atoms.calc.results["energy"] += 40.0 * (atoms.get_volume() / 50.0 - 1.0)
    data[3].calc.results["energy"] += 12.0
    with pytest.warns(TrainingWarning, match=r"structures\[3\] is \+1\d\.\d eV.*look at it") as caught:
        training = quick(data)
    assert len([w for w in caught if "look at it" in str(w.message)]) == 1
    assert "structures[3]" in training.parity["structure"]


@pytest.mark.parametrize("count", [4, 8, 13])
def test_energies_in_hartree_among_electronvolts_are_refused(count):
    data = structures(16)
    for atoms in data[:count]:
        atoms.calc.results["energy"] /= 27.211386
    with pytest.raises(TrainingError, match="in Hartree"):
        quick(data)


def test_lengths_in_bohr_among_angstroms_are_named():
    data = structures(16)
    for atoms in data[:3]:
        atoms.set_cell(atoms.cell.array / 0.529177, scale_atoms=True)
    with pytest.warns(TrainingWarning, match=r"far from that in structures\[0\] \(.*structures\[2\].*in Å"):
        quick(data)


def test_two_atoms_in_one_place_are_named():
    data = structures(8)
    data[3].positions[2] = data[3].positions[1] + data[3].cell.array[0]
    with pytest.raises(TrainingError, match=r"structures\[3\]: atoms 1 and 2 are in one place"):
        quick(data)


def test_settings_that_nothing_answers_to_are_said():
    data = structures(8)
    with pytest.warns(
        TrainingWarning, match="names evne, which is the config_type of no structure.*even, odd"
    ):
        quick(data, data={"weights": {"evne": 2.0}})
    with pytest.raises(TrainingError, match="names Ag, which is in no training structure"):
        quick(data, data={"reference_energies": {"Ag": -1.0}})
    for atoms in data:
        del atoms.calc.results["stress"]
    with pytest.warns(TrainingWarning, match="no structure has a stress"):
        quick(data)


def test_duplicates_are_named_and_contradictions_refused():
    data = structures(8)
    twin = data[1].copy()
    twin.calc = SinglePointCalculator(twin, **data[1].calc.results)
    with pytest.warns(TrainingWarning, match=r"occur twice.*structures\[8\] \(as structures\[1\]\)"):
        quick([*data, twin])
    twin.calc.results["energy"] += 1.0
    with pytest.raises(TrainingError, match=r"structures\[1\] and structures\[8\] are the same structure"):
        quick([*data, twin])


def test_an_element_with_few_atoms_is_named():
    data = structures(8)
    data[0].symbols[3] = "Ag"
    with pytest.raises(TrainingError, match=r"Ag occurs 1 times in all, in structures\[0\]"):
        quick(data)


def test_an_empty_test_split_is_refused():
    with pytest.raises(TrainingError, match="leaves the test set empty"):
        train(config(data={"test_fraction": 0.01}), structures=structures(8))


def test_a_test_set_inside_the_training_set_is_said():
    data = structures(8)
    with pytest.warns(TrainingWarning, match="2 of 2 test structures are training structures too"):
        train(config(optimiser={"epochs": 1}), structures=data, test_structures=data[:2])


def test_no_structures_and_absent_files_are_said(tmp_path):
    with pytest.raises(TrainingError, match="no structures to train on"):
        train(config())
    with pytest.raises(TrainingError, match="does not exist"):
        train(config(data={"train": [str(tmp_path / "none.extxyz")]}))
    (tmp_path / "bad.extxyz").write_text("3\nnonsense\nCu 0 0\n")
    with pytest.raises(TrainingError, match="cannot be read"):
        train(config(data={"train": [str(tmp_path / "bad.extxyz")]}))


def test_a_loss_that_overflows_stops_and_keeps_the_last_good_weights():
    """AdamW with an absurd rate."""
    settings = config(
        optimiser={"kind": "adamw", "rate": 1e30, "epochs": 6, "batch": 8}, data={"validation_fraction": 0.0}
    )
    with (
        np.errstate(all="ignore"),
        pytest.warns(TrainingWarning, match="no longer finite in epoch 2.*epoch 1 are"),
        pytest.warns(TrainingWarning, match="nothing was learnt"),
    ):
        training = train(settings, structures=structures(8))
    assert np.isfinite(training.potential.networks[0].flat()).all()
    assert training.members[0]["epochs"] == 2


def test_a_training_that_went_wrong_is_said_and_its_worst_structure_named():
    data = [label(a, DataSection(), f"s[{k}]") for k, a in enumerate(structures(6))]

    def told(miss_energy, miss_forces, which, **asked):
        predictions = [Prediction(s.energy, s.forces.copy(), s.virial) for s in data]
        predictions[which].forces[0, 0] += miss_forces
        predictions[which] = replace(predictions[which], energy=data[which].energy + miss_energy)
        return results.failures(data, predictions, **{"energies": True, "forces": True, **asked})

    assert told(0.01, 0.3, 2) == []
    (sentence,) = told(0.0, 1e3, 2)
    assert "forces of the training structures are missed by 118 eV/Å" in sentence
    assert "s[2]" in sentence
    (sentence,) = told(40.0, 0.0, 4)
    assert "energies" in sentence
    assert "s[4]" in sentence
    assert told(40.0, 1e3, 4, energies=False, forces=False) == []
    data = [replace(s, energy=np.nan) for s in data]
    assert told(0.0, 0.0, 4) == []


def test_keys_that_do_not_exist_are_answered_with_the_nearest(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[data]\ntrain = ['a.extxyz']\n[optimiser]\nepoch = 3\n")
    with pytest.raises(
        ConfigError, match=r"unknown key 'optimiser.epoch'; the nearest known one is 'epochs'"
    ):
        read_training_config(path)
    path.write_text("[data]\ntrain = ['a.extxyz']\n[loss]\nforce_weight = 2.0\n")
    with pytest.raises(ConfigError, match=r"loss.force_weight is 2.0"):
        read_training_config(path)
    path.write_text("[data]\ntrain = ['a.extxyz']\n")
    assert read_training_config(path).data.train == (tmp_path / "a.extxyz",)


def test_stress_in_another_order_is_put_right():
    atoms = structures(1)[0]
    order = ("xx", "yy", "zz", "xy", "yz", "xz")
    straight = label(atoms, DataSection(), "a").virial
    stress = atoms.calc.results["stress"]
    atoms.calc.results["stress"] = np.array(
        [stress[0], stress[1], stress[2], stress[5], stress[3], stress[4]]
    )
    np.testing.assert_allclose(label(atoms, DataSection(stress_order=order), "a").virial, straight)


def test_components_of_the_stress_can_be_left_out_for_one_kind_of_structure():
    even, odd = structures(2)
    section = DataSection(unused_stresses={"even": ("yz", "xy")})
    whole = label(even, DataSection(), "a").virial
    assert np.isfinite(label(odd, section, "b").virial).all()
    assert np.array_equal(
        np.isnan(label(even, section, "a").virial), [False, False, False, True, False, True]
    )
    assert np.array_equal(label(even, section, "a").virial[[0, 1, 2, 4]], whole[[0, 1, 2, 4]])
    settings = config(
        optimiser={"epochs": 3},
        data={"unused_stresses": {"even": ["yz", "xz", "xy"]}},
        loss={"stress_weight": 0.1},
    )
    training = train(settings, structures=structures(12))
    assert np.isfinite(training.members[0]["history"][-1]["train_loss"])


def test_a_pulay_stress_is_put_right():
    """The same eV an atom off at every volume, on the diagonal alone."""
    for atoms in structures(3):
        straight = label(atoms, DataSection(), "a").virial
        pressure = 0.2 * len(atoms) / atoms.get_volume()
        atoms.calc.results["stress"] = atoms.calc.results["stress"] + pressure * np.array([1, 1, 1, 0, 0, 0])
        found = label(atoms, DataSection(virial_offset=-0.2), "a").virial
        np.testing.assert_allclose(found, straight, atol=1e-12)


def test_the_run_folder_has_the_name_of_the_configuration(tmp_path):
    write(tmp_path / "data.extxyz", structures(10))
    (tmp_path / "gold.toml").write_text(
        "[data]\ntrain = ['data.extxyz']\nvalidation_fraction = 0.2\n[[descriptors.radial]]\ncount = 3\n"
        "[[descriptors.angular]]\nzetas = [1]\nshifts = [2.0]\n[network]\nhidden = [3]\n[optimiser]\nepochs = 1\n"
    )
    subprocess.run(
        [sys.executable, "-m", "iondiff", "train", str(tmp_path / "gold.toml")], check=True, cwd=tmp_path,
        capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (tmp_path / "runs" / "gold" / "potential.nnp").exists()


def test_the_command_trains(tmp_path):
    write(tmp_path / "data.extxyz", structures(10))
    (tmp_path / "config.toml").write_text(
        "[data]\ntrain = ['data.extxyz']\nvalidation_fraction = 0.2\n"
        "[[descriptors.radial]]\ncount = 3\n[[descriptors.angular]]\nzetas = [1]\nshifts = [2.0]\n"
        "[network]\nhidden = [4]\n[optimiser]\nepochs = 2\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "iondiff", "train", str(tmp_path / "config.toml"), "-o", str(tmp_path / "out")],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "validation" in done.stdout
    assert (tmp_path / "out" / "potential.nnp").exists()
    assert time.monotonic() - started < 600


def test_isolated_molecules_train():
    """No cell, no stress."""
    generator = np.random.default_rng(3)
    data = []
    for _ in range(12):
        atoms = Atoms("Cu4", positions=[[0, 0, 0], [2.5, 0, 0], [0, 2.5, 0], [0, 0, 2.5]])
        atoms.rattle(0.2, rng=generator)
        d = atoms.get_all_distances() + np.eye(4) * 9
        energy = float(((d - 2.5) ** 2 * np.exp(-d)).sum())
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=generator.normal(size=(4, 3)))
        data.append(atoms)
    settings = config(optimiser={"epochs": 1}, loss={"stress_weight": 0.0})
    assert train(settings, structures=data).errors["train"]["stress_GPa"] is None
