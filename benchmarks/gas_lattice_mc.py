"""Half-filled simple cubic lattice in lattice-mc: CPU nanoseconds a jump. Run by kmc_gas.py."""

import sys
import time

from lattice_mc import init_lattice, simulation

side = int(sys.argv[1])
sim = simulation.Simulation()
sim.lattice = init_lattice.cubic_lattice(side, side, side, 1.0)
sim.set_number_of_atoms(side**3 // 2)
sim.set_number_of_jumps(20)
sim.number_of_equilibration_jumps = 0
sim.setup_lookup_table()
begin = time.process_time()
sim.run()
print((time.process_time() - begin) / 20 * 1e9)
