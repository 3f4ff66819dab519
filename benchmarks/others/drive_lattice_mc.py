"""Run by an interpreter that has lattice-mc: carriers on a simple cubic lattice; prints CPU ns a hop."""

import json
import sys
import time

from lattice_mc import init_lattice, simulation


def main() -> None:
    given = json.load(sys.stdin)
    run = simulation.Simulation()
    edge = given["edge"]
    run.lattice = init_lattice.cubic_lattice(edge, edge, edge, 1.0)
    run.set_number_of_atoms(given["carriers"])

    def walk(hops: int) -> float:
        begin = time.process_time()
        for _ in range(hops):
            run.lattice.jump()
        return (time.process_time() - begin) / hops * 1e9

    walk(max(1, given["hops"] // 10))
    print(min(walk(given["hops"]) for _ in range(3)))


if __name__ == "__main__":
    main()
