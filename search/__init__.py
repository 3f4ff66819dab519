"""Hopping graphs from energy landscapes: every site, every pass, and what certifies that none is missing."""

from search import neb
from search.adapters import CalculatorLandscape, RelaxedHostLandscape
from search.certificate import Certificate, certify
from search.comparison import Comparison, compare_networks
from search.errors import SearchError
from search.exports import sites_structure, write_landscape, write_sites
from search.labels import label_symmetry
from search.landscape import Landscape
from search.network import build_network
from search.paths import minimum_energy_path, minimum_energy_paths
from search.percolation import Percolation, percolation
from search.relaxation import relax_network, site_structures
from search.remembered import RememberedLandscape
from search.saddle_searches import Saddle, SaddleSearch, saddle_searches
from search.tables import hops_table, sites_table
from search.vacancies import vacancy_network

__all__ = [
    "CalculatorLandscape",
    "Certificate",
    "Comparison",
    "Landscape",
    "Percolation",
    "RelaxedHostLandscape",
    "RememberedLandscape",
    "Saddle",
    "SaddleSearch",
    "SearchError",
    "build_network",
    "certify",
    "compare_networks",
    "hops_table",
    "label_symmetry",
    "minimum_energy_path",
    "minimum_energy_paths",
    "neb",
    "percolation",
    "relax_network",
    "saddle_searches",
    "site_structures",
    "sites_structure",
    "sites_table",
    "vacancy_network",
    "write_landscape",
    "write_sites",
]
