"""The diffusivity a network stands for, to compare networks by; transport with all it needs is elsewhere."""

import numpy as np

from search.graph import Graph

BOLTZMANN = 8.617333262e-5  # eV/K
_CM2 = 1e-16  # cm² in Å²


def diffusivity(network: Graph, temperature: float = 500.0) -> float:
    """A third of the trace of the exact diffusion tensor of one walker, cm²/s, at `temperature`, K.

    For reversible walks D = ½ Σ π_i k_ij d d' - b' L⁺ b, with the flows π_i k_ij, the steps d, the mean drift
    b of each site and the Laplacian L of the flows (De Masi et al., J. Stat. Phys. 55, 787 (1989)).
    """
    sites = {site: number for number, site in enumerate(network)}
    n, cell = len(sites), np.asarray(network.graph["cell"], dtype=np.float64)
    if n == 0 or network.number_of_edges() == 0:
        return 0.0
    positions = np.array([data["position"] for _, data in network.nodes(data=True)], dtype=np.float64)
    energies = np.array([data["energy"] for _, data in network.nodes(data=True)], dtype=np.float64)
    weight = np.exp(-(energies - energies.min()) / (BOLTZMANN * temperature))
    weight /= weight.sum()
    hops = list(network.edges(data=True))
    i = np.array([sites[source] for source, _, _ in hops])
    j = np.array([sites[target] for _, target, _ in hops])
    rates = np.array(
        [data["prefactor"] * np.exp(-data["barrier"] / (BOLTZMANN * temperature)) for *_, data in hops]
    )
    steps = positions[j] - positions[i] + np.array([data["image"] for *_, data in hops]) @ cell
    flows = weight[i] * rates
    # Divided by the roots of the weights, which differ by many orders of magnitude.
    root = np.sqrt(np.maximum(weight, 1e-300))
    laplacian, drift = np.zeros((n, n)), np.zeros((n, 3))
    np.add.at(laplacian, (i, i), flows / root[i] ** 2)
    np.add.at(laplacian, (i, j), -flows / (root[i] * root[j]))
    np.add.at(drift, i, flows[:, None] * steps / root[i][:, None])
    bare = 0.5 * np.einsum("h,ha,ha->", flows, steps, steps)
    answer = np.linalg.lstsq(laplacian, drift, rcond=1e-13)[0]
    return float(bare - 0.5 * np.sum(drift * answer)) / 3.0 * _CM2
