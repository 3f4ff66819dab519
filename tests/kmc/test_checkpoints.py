"""A walk that was stopped goes on to the same bits."""

import numpy as np
import pytest

import kmc
from kmc import checkpoints

ARGUMENTS = {"temperature": 500.0, "n_walkers": 40, "n_hops": 1000, "seed": 3}


class PulledPlugError(BaseException):
    pass


@pytest.mark.parametrize("clock", ["mean", "exponential"])
def test_an_interrupted_walk_ends_as_an_unbroken_one(graphs, tmp_path, monkeypatch, clock):
    graph = graphs.disordered(20, seed=1)
    unbroken = kmc.simulate(graph, **ARGUMENTS, clock=clock)
    path = tmp_path / "walk.npz"
    monkeypatch.setattr(checkpoints, "INTERVAL", 0.0)
    save, count = checkpoints._save, 0

    def fail_later(*arguments):
        nonlocal count
        save(*arguments)
        count += 1
        if count == 20:
            raise PulledPlugError

    monkeypatch.setattr(checkpoints, "_save", fail_later)
    with pytest.raises(PulledPlugError):
        kmc.simulate(graph, **ARGUMENTS, clock=clock, checkpoint=path)
    resumed = kmc.simulate(graph, **ARGUMENTS, clock=clock, checkpoint=path)
    for name in ("windings", "durations", "ends"):
        assert np.array_equal(getattr(resumed, name), getattr(unbroken, name))
    assert [p.name for p in tmp_path.iterdir()] == ["walk.npz"]


def test_checkpoints_of_other_walks_and_other_files(graphs, tmp_path):
    graph = graphs.disordered(20, seed=1)
    path = tmp_path / "walk.npz"
    kmc.simulate(graph, **ARGUMENTS, checkpoint=path)
    with pytest.raises(kmc.GraphError, match="belongs to another walk"):
        kmc.simulate(graph, **{**ARGUMENTS, "seed": 4}, checkpoint=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(kmc.GraphError, match="not a checkpoint"):
        kmc.simulate(graph, **ARGUMENTS, checkpoint=path)
