"""Transport on hopping graphs: exact solutions, kinetic Monte Carlo, and error bars that mean what they say."""
