"""A vacancy in a close-packed hexagonal crystal: two kinds of hops, two diffusivities in closed form."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

import kmc
import search

BOLTZMANN = 8.617333262e-5
A, C = 2.57, 4.25


@pytest.mark.slow
def test_two_kinds_of_hops_and_two_diffusivities():
    crystal = bulk("Cu", "hcp", a=A, c=C)
    quick = search.neb.Settings(n_images=5, fmax=0.02)
    network = search.vacancy_network(crystal, species="Cu", calculator=EMT(), cutoff=2.8, settings=quick)
    kmc.validate(network)
    assert (len(network), network.number_of_edges()) == (2, 24)
    assert network.graph["search"]["distinct_hops"] == 2
    table = search.hops_table(network)
    in_plane = np.isclose(table["distance_A"], A, atol=1e-6)
    barriers = table["barrier_eV"].to_numpy()
    assert in_plane.sum() == 12
    assert np.ptp(barriers[in_plane]) < 1e-9
    assert np.ptp(barriers[~in_plane]) < 1e-9
    along, across = (
        1e13 * np.exp(-barriers[kind][0] / (BOLTZMANN * 900.0)) for kind in (in_plane, ~in_plane)
    )
    # Six hops of length a in the plane, six that climb c/2 and go a/√3 sideways.
    basal, axial = 0.5 * A**2 * (3.0 * along + across), 0.75 * C**2 * across
    np.testing.assert_allclose(
        kmc.diffusion_tensor(network, temperature=900.0),
        1e-16 * np.diag([basal, basal, axial]),
        rtol=1e-6,
        atol=1e-9 * 1e-16 * basal,
    )
