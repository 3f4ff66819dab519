"""Run by an interpreter that has kmcpy: one carrier on the hops given on stdin; prints ns of CPU time a hop.

Every directed hop is an event of kmcpy; a model of ours hands it the fixed rates, which is the least that
kmcpy can be asked to compute. Its tracker of displacements is left out, in its favour.
"""

import json
import logging
import sys
import time

import numpy as np
from kmcpy.event import Event, EventLib
from kmcpy.simulator.config import Configuration
from kmcpy.simulator.kmc import KMC
from kmcpy.simulator.state import State


class FixedRates:
    """The rate of a hop where its carrier is, zero elsewhere."""

    def __init__(self, rates):
        self.rates = rates

    def compute_probability(self, event, runtime_config, simulation_state):  # noqa: ARG002 - its signature
        source, target = event.mobile_ion_indices
        if simulation_state.occupations[source] == 1 and simulation_state.occupations[target] == 0:
            return self.rates[event.mobile_ion_indices]
        return 0.0


def main() -> None:
    logging.disable(logging.CRITICAL)
    given = json.load(sys.stdin)
    rates = {(s, t): r for s, t, r in zip(given["source"], given["target"], given["rate"], strict=True)}
    library = EventLib()
    for source, target in rates:
        library.add_event(Event((source, target), (source, target)))
    library.generate_event_dependencies()
    state = State([1] + [0] * (given["sites"] - 1))
    config = Configuration(temperature=given["temperature"], random_seed=1)
    engine = KMC(
        structure=None, model=FixedRates(rates), event_lib=library, config=config, simulation_state=state
    )
    engine.rng = np.random.default_rng(1)

    def walk(hops: int) -> float:
        begin = time.process_time()
        for _ in range(hops):
            engine.update(*engine.propose(library.events))
        return (time.process_time() - begin) / hops * 1e9

    walk(200)
    print(min(walk(given["hops"]) for _ in range(3)))


if __name__ == "__main__":
    main()
