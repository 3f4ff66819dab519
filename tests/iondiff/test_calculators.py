"""Calculators by import path: made, or one sentence."""

import pytest
from ase.calculators.emt import EMT

from iondiff.errors import CalculatorError
from iondiff.sampling.calculators import make_calculator


def test_any_ase_calculator_serves():
    assert isinstance(make_calculator("ase.calculators.emt:EMT"), EMT)
    made = make_calculator("ase.calculators.lj:LennardJones", {"sigma": 2.0})
    assert made.parameters.sigma == 2.0


@pytest.mark.parametrize(
    ("path", "kwargs", "message"),
    [
        ("ase.calculators.emt.EMT", {}, "wanted an import path such as"),
        (":EMT", {}, "wanted an import path such as"),
        ("ase.calculators.emt:", {}, "wanted an import path such as"),
        ("no_such_package.here:Calc", {}, "cannot be imported .*no_such_package.*install the package"),
        ("..:x", {}, "cannot be imported"),
        ("ase.calculators.emt:Missing", {}, "cannot be imported .*Missing"),
        ("ase.io:read", {"colour": "red"}, "could not be made with {'colour': 'red'}"),
        ("ase.calculators:emt", {}, "could not be made .*not callable"),
        ("os:getcwd", {}, "gave a str; wanted an ASE calculator"),
        (
            "broken_teacher:Importing",
            {},
            "could not be made .*weights_package.*diffusion-network\\[teacher\\]",
        ),
        ("broken_teacher:Raising", {}, "could not be made .*KeyError"),
        ("broken_module:Any", {}, "cannot be imported .*ZeroDivisionError"),
    ],
)
def test_one_sentence_for_whatever_goes_wrong(path, kwargs, message, tmp_path, monkeypatch):
    (tmp_path / "broken_teacher.py").write_text(
        "def Importing():\n    import weights_package\n\ndef Raising():\n    return {}['model']\n"
    )
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CalculatorError, match=message):
        make_calculator(path, kwargs)
