"""What users were promised: the names, and the keywords they are called with."""

import inspect
import subprocess
import sys

import pytest

import iondiff
import kmc
import search
from iondiff.potentials import load

PROMISED = [
    (load, ["path", "units"]),
    (
        search.build_network,
        ["landscape", "grid", "energy_cap", "guest", "prefactors", "seed", "method", "cutoff"],
    ),
    (search.certify, ["landscape", "network"]),
    (search.vacancy_network, ["atoms", "species", "calculator", "cutoff", "mechanism"]),
    (kmc.diffusion_tensor, ["temperature"]),
    (kmc.simulate, ["temperature", "n_walkers", "n_hops", "seed"]),
    (kmc.tracer_diffusivity, ["run", "tensor"]),
    (kmc.sweep, ["temperatures", "executor", "method"]),
    (kmc.fit_arrhenius, ["table"]),
    (kmc.simulate_gas, ["n_carriers", "occupancy", "replicate", "temperature", "n_hops", "seed"]),
    (kmc.read_graph, []),
    (kmc.write_graph, []),
    (kmc.validate, []),
    (iondiff.analysis.diffusivity, ["positions", "timestep_ps", "species", "tensor"]),
]


@pytest.mark.parametrize(("function", "keywords"), PROMISED, ids=lambda x: getattr(x, "__name__", ""))
def test_keywords(function, keywords):
    parameters = inspect.signature(function).parameters
    missing = [k for k in keywords if k not in parameters]
    assert not missing, f"{function.__module__}.{function.__name__} takes {list(parameters)}"
    assert inspect.getdoc(function)


def test_every_public_name_exists():
    for package in (kmc, search):
        assert all(hasattr(package, name) for name in package.__all__)


def test_rooms_of_the_suite_open_when_named():
    code = (
        "import sys, iondiff; assert 'torch' not in sys.modules; print(iondiff.analysis.diffusivity.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "diffusivity", done.stderr
    assert set(dir(iondiff)) >= {"analysis", "potentials", "__version__"}
    with pytest.raises(AttributeError, match="its rooms are"):
        iondiff.kitchen  # noqa: B018
