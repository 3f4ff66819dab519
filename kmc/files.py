"""Hopping graphs on disk: node-link JSON and GraphML, read with suspicion and written all or nothing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx
import numpy as np

from kmc.network import Graph, GraphError, validate

_LISTS = {"cell", "position", "image", "saddle_position"}
_LABELS = "node_label_type"  # GraphML knows only text for node names; this remembers what they were


def read_graph(path: str | Path) -> Graph:
    """Read a hopping graph and validate it.

    Parameters
    ----------
    path
        ``.json`` (node-link, edges under the key ``edges``) or ``.graphml``.

    Raises
    ------
    GraphError
        The file is missing, cut off, of another kind, or the graph breaks contract 2 (naming node or edge).
    """
    path = Path(path)
    reader = _choose(path, _read_json, _read_graphml)
    if not path.is_file():
        raise GraphError(f"{path} does not exist; write one with kmc.write_graph")
    try:
        graph = reader(path)
        validate(graph)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None
    return graph


def write_graph(graph: Graph, path: str | Path) -> None:
    """Validate a graph and write it: through a temporary name, the same bytes for the same graph.

    Parameters
    ----------
    path
        Ending in ``.json`` or ``.graphml``. Nodes are to be named by integers or by text.

    Raises
    ------
    GraphError
        The graph breaks contract 2, or the file name ends otherwise.
    """
    path = Path(path)
    writer = _choose(path, _json_bytes, _graphml_bytes)
    validate(graph)
    for label in graph.nodes:
        if isinstance(label, bool) or not isinstance(label, (int, str, np.integer)):
            raise GraphError(
                f"node {label!r} is a {type(label).__name__}; name nodes by integers or text to write them"
            )
    content = writer(graph)
    handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _choose(path: Path, json_way: Callable[..., Any], graphml_way: Callable[..., Any]) -> Callable[..., Any]:
    ways = {".json": json_way, ".graphml": graphml_way}
    if path.suffix not in ways:
        raise GraphError(
            f"{path}: a hopping graph ends in .json or .graphml, not {path.suffix or 'nothing'!r}"
        )
    return ways[path.suffix]


def _plain(value: Any) -> Any:
    """NumPy numbers and arrays as the Python ones JSON knows."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise GraphError(
        f"{value!r} is a {type(value).__name__}; attributes are to be numbers, text or lists of them"
    )


def _json_bytes(graph: Graph) -> bytes:
    plain = nx.relabel_nodes(graph, {label: _plain_label(label) for label in graph.nodes}, copy=True)
    text = json.dumps(nx.node_link_data(plain, edges="edges"), default=_plain, indent=1, ensure_ascii=False)
    return (text + "\n").encode()


def _plain_label(label: Any) -> int | str:
    return label if isinstance(label, str) else int(label)


def _read_json(path: Path) -> Graph:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise GraphError(f"not JSON, or cut off in the middle ({error}); write the file again") from None
    if (
        not isinstance(data, dict)
        or not isinstance(data.get("nodes"), list)
        or not isinstance(data.get("edges"), list)
    ):
        raise GraphError("not node-link JSON: wanted an object with the lists 'nodes' and 'edges'")
    _check_ends(data, _site_names(data))
    if data.get("directed") is not True or data.get("multigraph") is not True:
        raise GraphError("the graph is not a directed multigraph; write a networkx.MultiDiGraph")
    graph: Graph = nx.node_link_graph(data, edges="edges")
    return graph


def _site_names(data: dict[str, Any]) -> set[int | str]:
    names: set[int | str] = set()
    for number, node in enumerate(data["nodes"]):
        if not isinstance(node, dict) or not isinstance(node.get("id"), (int, str)):
            raise GraphError(f"entry {number} of 'nodes' has no 'id' that is an integer or text: {node!r}")
        if node["id"] in names:
            raise GraphError(f"node {node['id']!r} appears twice; give every site its own 'id'")
        names.add(node["id"])
    return names


def _check_ends(data: dict[str, Any], names: set[int | str]) -> None:
    for number, edge in enumerate(data["edges"]):
        if not isinstance(edge, dict):
            raise GraphError(
                f"entry {number} of 'edges' is {edge!r}; wanted an object with 'source' and 'target'"
            )
        for end in ("source", "target"):
            if not isinstance(edge.get(end), (int, str)) or edge[end] not in names:
                raise GraphError(
                    f"edge {edge.get('source')!r} -> {edge.get('target')!r}: its {end} is not among "
                    "the nodes; "
                    "add that site or remove the edge"
                )


def _graphml_bytes(graph: Graph) -> bytes:
    texts = {isinstance(label, str) for label in graph.nodes}
    if len(texts) > 1:
        raise GraphError("nodes are named by integers and by text; GraphML needs one kind, or write .json")
    flat = nx.MultiDiGraph()
    flat.graph.update(_flat(graph.graph))
    flat.graph[_LABELS] = "text" if texts == {True} else "integer"
    for label, data in graph.nodes(data=True):
        flat.add_node(str(label), **_flat(data))
    for source, target, key, data in graph.edges(keys=True, data=True):
        flat.add_edge(str(source), str(target), key=key, **_flat(data))
    lines = nx.generate_graphml(flat)
    return ("\n".join(lines) + "\n").encode()


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    """Attributes as GraphML can hold them: lists as JSON text."""
    flat = {}
    for name, value in data.items():
        if isinstance(value, np.ndarray | np.generic | list | tuple):
            value = json.loads(json.dumps(value, default=_plain))  # noqa: PLW2901 - lists of Python numbers
        flat[name] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _read_graphml(path: Path) -> Graph:
    try:
        flat = nx.read_graphml(path, force_multigraph=True)
    except (ParseError, nx.NetworkXError, UnicodeDecodeError, ValueError, KeyError) as error:
        raise GraphError(f"not GraphML, or cut off in the middle ({error}); write the file again") from None
    if not flat.is_directed():
        raise GraphError("the graph is undirected; every hop and its reverse are edges of their own")
    integer = flat.graph.pop(_LABELS, "text") == "integer"
    graph = nx.MultiDiGraph(**_unflat("the graph", flat.graph))
    for label, data in flat.nodes(data=True):
        graph.add_node(_label(label, integer=integer), **_unflat(f"node {label!r}", data))
    for source, target, key, data in flat.edges(keys=True, data=True):
        ends = _label(source, integer=integer), _label(target, integer=integer)
        graph.add_edge(*ends, key=key, **_unflat(f"edge {source!r} -> {target!r}", data))
    return graph


def _label(text: str, *, integer: bool) -> int | str:
    if not integer:
        return text
    try:
        return int(text)
    except ValueError:
        raise GraphError(f"node {text!r} is not an integer, as the file says its nodes are") from None


def _unflat(name: str, data: dict[str, Any]) -> dict[str, Any]:
    values = dict(data)
    for attribute in _LISTS & values.keys():
        try:
            values[attribute] = json.loads(values[attribute])
        except (json.JSONDecodeError, TypeError):
            raise GraphError(
                f"{name}: {attribute} is {values[attribute]!r}; wanted a list of numbers like '[0.0, "
                "1.5, 2.0]'"
            ) from None
    values.pop("node_default", None)
    values.pop("edge_default", None)
    return values
