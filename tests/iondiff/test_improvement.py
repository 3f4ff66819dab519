"""Labels added where they matter, on a landscape whose truth is a formula."""

from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

import search
from iondiff.improvement import improve, points_to_label, stationary_points, teacher_barriers
from iondiff.sampling import Label, LabelSet

CELL = np.diag([3.0, 4.0, 5.0])
HOST = Atoms("Ta", positions=[[1.5, 2.0, 2.5]], cell=CELL, pbc=True)


class Cosines:
    """Σ A (1 − cos 2πx/a): one site a cell, barriers 2A along each axis."""

    cell = CELL

    def __init__(self, amplitude):
        self.amplitude = np.asarray(amplitude)

    def energy_and_gradient(self, points):
        phase = 2 * np.pi * points / np.diag(CELL)
        slope = self.amplitude * np.sin(phase) * 2 * np.pi / np.diag(CELL)
        return ((1 - np.cos(phase)) * self.amplitude).sum(axis=1), slope

    def environments(self, points):
        return np.cos(2 * np.pi * points / np.diag(CELL))

    def spread(self, points):
        return points[:, 0].copy()


TRUTH = Cosines([0.2, 0.3, 0.4])


def label(point, index, part="path0"):
    energy, gradient = TRUTH.energy_and_gradient(np.array([point]))
    return Label(
        index, tuple(point), energy[0], energy[0], tuple(-gradient[0]), 1, 0.01, 0.1, 1.0, True, part
    )


def network_of(landscape):
    return search.build_network(landscape, grid=(12, 12, 12), energy_cap=0.85, guest="Cu", prefactors=1e13)


def run(potentials, rounds, tolerance, asked):
    """Potentials in the order in which training would make them; the teacher is the formula."""

    def ask(points, number):
        asked.append(points)
        return [label(point, i, f"path{number}") for i, point in enumerate(points)]

    return improve(
        HOST, LabelSet([label([0.7, 0.7, 0.7], 0, "grid")]),
        train=lambda labels, number: SimpleNamespace(landscape=lambda host: potentials[number]),
        search=network_of, ask=ask, temperature=600.0, rounds=rounds, tolerance_eV=tolerance, most=8,
        spacing=0.15,
    )  # fmt: skip


def test_rounds_end_when_the_teacher_agrees():
    asked = []
    potentials = [Cosines([0.25, 0.3, 0.4]), Cosines([0.203, 0.3, 0.4]), None]
    labels, rounds = run(potentials, 3, 0.010, asked)
    # 2A: the first potential is 0.1 eV too high along x, the second 6 meV.
    assert [r.largest_error_eV for r in rounds] == pytest.approx([0.1, 0.006], abs=1e-4)
    assert len(labels) == 1 + sum(len(points) for points in asked)
    assert all(barrier.teacher_eV > 0 for r in rounds for barrier in r.barriers)


def test_rounds_are_not_more_than_asked_for():
    _, rounds = run([Cosines([0.25, 0.3, 0.4])] * 2, 2, 1e-6, [])
    # The second round finds its points labelled already: there is nothing left to ask.
    assert [r.labels > 0 for r in rounds] == [True, False]


def test_carrying_points_come_in_threes_and_all_points_are_found():
    carrying, others = stationary_points(network_of(TRUTH), 600.0)
    assert len(carrying) % 3 == 0
    energies = TRUTH.energy_and_gradient(carrying)[0].reshape(-1, 3)
    assert np.allclose(energies[:, [0, 2]], 0.0, atol=1e-6)
    # D along x dominates at 600 K: exp(0.2 eV / kT) = 48.
    assert energies[0, 1] == pytest.approx(0.4, abs=1e-6)
    gradients = TRUTH.energy_and_gradient(np.concatenate([carrying, others]))[1]
    assert np.abs(gradients).max() < 1e-3


def test_uncertain_points_first_and_none_twice():
    others = np.array([[0.1, 0, 0], [2.0, 0, 0], [2.05, 0, 0], [1.0, 0, 0], [1.45, 0, 0]])
    carrying = np.array([[0.5, 1.0, 1.0]] * 3)
    known = np.array([[0.5 + 3.0, 1.0 + 4.0, 1.0]])  # an image of the carrying point
    chosen = points_to_label(HOST, TRUTH, known, carrying, others, most=3, spacing=0.15)
    # 2.05 Å and 2.0 Å are nearer than the spacing; 1.0 Å is 2.0 Å in the mirror.
    assert chosen[:, 0].tolist() == [2.05, 1.45, 1.0]
    assert len(points_to_label(HOST, TRUTH, known, carrying, others, most=2, spacing=0.15)) == 2


def test_mirror_images_are_one_environment():
    carrying = np.array([[0.6, 1.0, 1.0], [2.4, 1.0, 1.0], [2.4, 3.0, 1.0]])
    known = np.zeros((1, 3)) + 0.1
    chosen = points_to_label(HOST, TRUTH, known, carrying, np.zeros((0, 3)), most=9, spacing=0.15)
    assert chosen.tolist() == [[0.6, 1.0, 1.0]]


def test_barriers_are_counted_from_both_sides():
    carrying = np.array([[0.0, 0, 0], [1.5, 0, 0], [3.0, 0, 0]])
    labels = [label([0.0, 0, 0], 0), label([1.5, 0, 5.0], 1)]
    barriers = teacher_barriers(Cosines([0.3, 0.3, 0.3]), carrying, labels)
    assert [b.potential_eV for b in barriers] == pytest.approx([0.6, 0.6])
    assert [b.teacher_eV for b in barriers] == pytest.approx([0.4, 0.4])
    assert teacher_barriers(TRUTH, carrying, labels[:1]) == ()
