"""A configuration says what it cannot carry out, in one sentence."""

import pytest

from iondiff.config import RunConfig, read_config
from iondiff.errors import ConfigError

GOOD = 'guest = "Cu"\n[host]\nfile = "host.extxyz"\n'


def write(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_and_paths_relative_to_the_file(tmp_path):
    config = read_config(write(tmp_path, GOOD))
    assert config.host.file == tmp_path / "host.extxyz"
    assert config.search.grid == (50, 50, 50)
    assert config.network.settings(symmetric=False).hidden == (9, 9)
    assert config.labels.file is None
    # A correction fitted at labels would break the symmetry of a crystal.
    assert config.network.settings(symmetric=False).correction
    assert not config.network.settings(symmetric=True).correction


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('sead = 1\nguest = "Cu"\n[host]\nfile = "h"\n', ["unknown key 'sead'", "'seed'"]),
        (GOOD + "[search]\nenergy_cup = 1.0\n", ["'search.energy_cup'", "'energy_cap'"]),
        (GOOD + "[search]\ngrid = [0, 50, 50]\n", ["search.grid.0 is 0"]),
        (GOOD + "[search]\nenergy_cap = -1\n", ["search.energy_cap is -1"]),
        (GOOD + "[transport]\ntemperatures = [300]\n", ["transport.temperatures"]),
        (GOOD + "[network]\nforce_weight = 2.0\n", ["network.force_weight is 2.0"]),
        ('guest = "Qx"\n[host]\nfile = "h"\n', ["'Qx'", "chemical symbol"]),
        ("[host]\nfile = 'h'\n", ["guest is missing"]),
        ("guest = \n", ["cannot be read"]),
    ],
)
def test_mistakes_are_named(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        read_config(write(tmp_path, text))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_config(tmp_path / "nowhere.toml")


def test_every_key_of_the_shipped_configuration_is_known():
    assert read_config("case_studies/cu_ta2o5/config.toml").guest == "Cu"


def test_every_option_is_documented():
    # Network options are documented where training defines them.
    for name, field in RunConfig.model_fields.items():
        section = field.annotation
        if name == "network" or not hasattr(section, "model_fields"):
            continue
        for key, option in section.model_fields.items():
            assert option.description, f"{name}.{key} has no description"
