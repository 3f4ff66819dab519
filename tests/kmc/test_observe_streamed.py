"""More walkers than memory should hold are watched part by part."""

import sys

import numpy as np

import kmc


def test_a_streamed_observation_says_what_a_whole_one_says(graphs, monkeypatch):
    graph = graphs.disordered(12, seed=1)
    system = {"temperature": 700.0, "times": [1e-12, 1e-11, 1e-10], "n_walkers": 500, "seed": 3}
    whole = kmc.observe(graph, **system)
    monkeypatch.setattr(sys.modules["kmc.observe"], "REMEMBER", 200)  # kmc.observe is the function
    streamed = kmc.observe(graph, **system)
    assert isinstance(streamed, kmc.StreamedObservation)
    edges = np.linspace(0.0, 10.0, 6)
    for question in ("msd", "occupation"):
        a, b = getattr(whole, question)(), getattr(streamed, question)()
        np.testing.assert_allclose(b.value, a.value, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(b.error, a.error, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(streamed.van_hove(edges), whole.van_hove(edges), rtol=1e-10)
    sites = np.concatenate([part.sites for part in streamed.parts()])
    assert np.array_equal(sites, whole.sites)
    begun = kmc.observe(graph, start=3, **system)
    assert all((part.start == 3).all() for part in begun.parts())
