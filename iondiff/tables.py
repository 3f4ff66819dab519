"""TOML tables into checked pydantic models, with one clear sentence for what is wrong."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from iondiff.errors import ConfigError
from iondiff.files import brief, read_bounded

_LARGEST = 1 << 20  # bytes of a configuration


class Section(BaseModel):
    """A table whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: str | Path) -> dict[str, Any]:
    """A TOML file as plain data.

    Raises
    ------
    ConfigError
        Missing file or invalid TOML.
    """
    path = Path(path)
    try:
        return tomllib.loads(read_bounded(path, _LARGEST).decode())
    except FileNotFoundError:
        raise ConfigError(f"configuration {path} does not exist") from None
    except (ValueError, RecursionError, OSError) as error:  # tomllib's and the decoder's are ValueErrors
        raise ConfigError(f"configuration {path} cannot be read: {brief(error)}") from error


def validate(model: type[Model], data: Any, name: str) -> Model:
    """Data as a model; `name` says in errors where the data came from.

    Raises
    ------
    ConfigError
        An unknown key (the nearest known one is named), a missing one, or a value out of range.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{name}: {_explain(error, model)}") from error


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first complaint as one sentence."""
    # A misspelt key may be why another one is missing: it is said first.
    found = error.errors()
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *sections, key = (str(part) for part in first["loc"])
        known = _known_keys(sections, model)
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        every = ", ".join(known)
        return f"unknown key {brief(place)!r}; the nearest known one is {near[0]!r}, all of them: {every}"
    if first["type"] == "missing":
        return f"{place} is missing; wanted {place} = ..."
    message = first["msg"].removeprefix("Value error, ")
    if not place:
        return message
    return f"{place} is {brief(repr(first['input']))}: {message[0].lower()}{message[1:]}"


def _known_keys(sections: list[str], root: type[BaseModel]) -> list[str]:
    model = root
    for name in sections:
        if name.isdigit():
            continue
        if name not in model.model_fields:
            return sorted(root.model_fields)
        candidates = _models(model.model_fields[name].annotation)
        if not candidates:
            return sorted(root.model_fields)
        model = candidates[0]
    return sorted(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
