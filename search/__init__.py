"""Hopping graphs from energy landscapes: every site, every pass, and what certifies that none is missing."""

from search import neb
from search.adapters import CalculatorLandscape, RelaxedHostLandscape
from search.certificate import Certificate, certify
from search.errors import SearchError
from search.landscape import Landscape
from search.network import build_network
from search.paths import minimum_energy_path, minimum_energy_paths
from search.remembered import RememberedLandscape
from search.tables import hops_table, sites_table
from search.vacancies import vacancy_network

__all__ = [
    "CalculatorLandscape",
    "Certificate",
    "Landscape",
    "RelaxedHostLandscape",
    "RememberedLandscape",
    "SearchError",
    "build_network",
    "certify",
    "hops_table",
    "minimum_energy_path",
    "minimum_energy_paths",
    "neb",
    "sites_table",
    "vacancy_network",
]
