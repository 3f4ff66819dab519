"""Error bars that mean what they say, over many seeds."""

import numpy as np
import pytest

import kmc


@pytest.mark.physics
@pytest.mark.parametrize("estimator", ["blocks", "martingale"])
@pytest.mark.parametrize(
    "options", [{}, {"superbasins": False}, {"clock": "exponential"}, {"field": [0.02, -0.01, 0.01]}]
)
def test_95_percent_intervals_hold_the_truth_in_95_percent(graphs, estimator, options):
    graph = graphs.disordered(15, seed=5, spread=0.3)
    D = np.trace(kmc.diffusion_tensor(graph, 500.0, field=options.get("field"))) / 3
    inside, seeds = 0, 1000
    for seed in range(seeds):
        run = kmc.simulate(graph, 500.0, n_walkers=128, n_hops=5000, seed=seed, **options)
        low, high = kmc.tracer_diffusivity(run, estimator=estimator).interval(0.95)
        inside += low < D < high
    assert 0.93 <= inside / seeds <= 0.97
