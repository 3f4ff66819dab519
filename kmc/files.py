"""Hopping graphs on disk: node-link JSON and GraphML, read with suspicion and written all or nothing.

Both carry a checksum beside the graph: JSON under the key ``sha256`` of the outermost object, GraphML in a
comment at its end. A file without one is read all the same; NetworkX's own readers pass over it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx
import numpy as np

from kmc.network import Graph, GraphError, shown, validate

#: Bytes of a file; about ten million hops.
LARGEST = 2 << 30
_LISTS = {"cell", "position", "image", "saddle_position"}
_LABELS = "node_label_type"  # GraphML knows only text for node names; this remembers what they were
_SEAL = "sha256"
_COMMENT = re.compile(rb"<!-- sha256 ([0-9a-f]{64}) -->\s*\Z")
_CHANGED = (
    "its content does not fit its checksum, a byte has changed; write it again, or remove the checksum "
    "(sha256) if you edited the file"
)


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
        graph = _checked(path, reader)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None
    except OSError as error:
        raise GraphError(f"{path} cannot be read ({error.strerror or error})") from None
    except (RecursionError, MemoryError, OverflowError) as error:
        raise GraphError(f"{path}: no hopping graph is like this ({type(error).__name__}: {error})") from None
    return graph


def _checked(path: Path, reader: Callable[[Path], tuple[Graph, bool]]) -> Graph:
    size = path.stat().st_size
    if size > LARGEST:
        raise GraphError(f"it has {size} bytes; at most {LARGEST} are read")
    graph, sound = reader(path)
    validate(graph)
    if not sound:
        raise GraphError(_CHANGED)
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
        The graph breaks contract 2, the file name ends otherwise, or the file cannot be written; then the
        old one is as it was.
    """
    path = Path(path)
    writer = _choose(path, _json_pieces, _graphml_pieces)
    validate(graph)
    for label in graph.nodes:
        if isinstance(label, bool) or not isinstance(label, (int, str, np.integer)):
            raise GraphError(
                f"node {label!r} is a {type(label).__name__}; name nodes by integers or text to write them"
            )
    # Always the same name: what a kill leaves of it is overwritten by the next one and renamed away.
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            stream.writelines(writer(graph))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise GraphError(
                f"{path} cannot be written ({error.strerror or error}); make room or name another folder"
            ) from error
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


_encode = json.JSONEncoder(default=_plain, ensure_ascii=False).encode


def _json_pieces(graph: Graph) -> Iterator[bytes]:
    """A line for each node and edge: quick to write, and the differences of two files can be read."""
    seal = hashlib.sha256()

    def line(entry: dict[str, Any], end: bytes) -> bytes:
        text = _encode(entry).encode("utf-8", "surrogatepass")
        seal.update(text)
        return text + end

    yield b'{"directed": true, "multigraph": true, "graph": ' + line(graph.graph, b',\n"nodes": [\n')
    nodes = ({**data, "id": _plain_label(label)} for label, data in graph.nodes(data=True))
    for left, entry in zip(range(graph.number_of_nodes() - 1, -1, -1), nodes, strict=True):
        yield line(entry, b",\n" if left else b"\n")
    yield b'],\n"edges": [\n'
    edges = (
        {**data, "source": _plain_label(source), "target": _plain_label(target), "key": key}
        for source, target, key, data in graph.edges(keys=True, data=True)
    )
    for left, entry in zip(range(graph.number_of_edges() - 1, -1, -1), edges, strict=True):
        yield line(entry, b",\n" if left else b"\n")
    yield f'],\n"{_SEAL}": "{seal.hexdigest()}"}}\n'.encode()


def _json_seal(data: dict[str, Any]) -> str:
    """The checksum of a file's content, however its text is laid out."""
    seal = hashlib.sha256(_encode(data["graph"]).encode("utf-8", "surrogatepass"))
    for name in ("nodes", "edges"):
        for entry in data[name]:
            seal.update(_encode(entry).encode("utf-8", "surrogatepass"))
    return seal.hexdigest()


def _plain_label(label: Any) -> int | str:
    return label if isinstance(label, str) else int(label)


def _read_json(path: Path) -> tuple[Graph, bool]:
    """The graph, and whether its checksum, if it has one, fits."""
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise GraphError(
            f"not JSON, or cut off in the middle ({shown(str(error))}); write the file again"
        ) from None
    if (
        not isinstance(data, dict)
        or not isinstance(data.get("nodes"), list)
        or not isinstance(data.get("edges"), list)
        or not isinstance(data.setdefault("graph", {}), dict)
    ):
        raise GraphError("not node-link JSON: wanted an object with the lists 'nodes' and 'edges'")
    _check_ends(data, _site_names(data))
    if data.get("directed") is not True or data.get("multigraph") is not True:
        raise GraphError("the graph is not a directed multigraph; write a networkx.MultiDiGraph")
    sound = _SEAL not in data or data[_SEAL] == _json_seal(data)
    graph: Graph = nx.node_link_graph(data, edges="edges")
    return graph, sound


def _site_names(data: dict[str, Any]) -> set[int | str]:
    names: set[int | str] = set()
    for number, node in enumerate(data["nodes"]):
        if not isinstance(node, dict) or not isinstance(node.get("id"), (int, str)):
            raise GraphError(
                f"entry {number} of 'nodes' has no 'id' that is an integer or text: {shown(node)}"
            )
        if node["id"] in names:
            raise GraphError(f"node {shown(node['id'])} appears twice; give every site its own 'id'")
        names.add(node["id"])
    return names


def _check_ends(data: dict[str, Any], names: set[int | str]) -> None:
    for number, edge in enumerate(data["edges"]):
        if not isinstance(edge, dict):
            raise GraphError(
                f"entry {number} of 'edges' is {shown(edge)}; wanted an object with 'source' and 'target'"
            )
        for end in ("source", "target"):
            if not isinstance(edge.get(end), (int, str)) or edge[end] not in names:
                raise GraphError(
                    f"edge {shown(edge.get('source'))} -> {shown(edge.get('target'))}: its {end} is "
                    "not among the nodes; add that site or remove the edge"
                )
        if not isinstance(edge.get("key"), (int, str, type(None))):
            raise GraphError(
                f"entry {number} of 'edges' has the key {shown(edge['key'])}; wanted an integer or text"
            )


def _graphml_pieces(graph: Graph) -> Iterator[bytes]:
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
    seal = hashlib.sha256()
    for text in nx.generate_graphml(flat):
        line = (text + "\n").encode()
        seal.update(line)
        yield line
    yield f"<!-- sha256 {seal.hexdigest()} -->\n".encode()


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    """Attributes as GraphML can hold them: lists as JSON text."""
    flat = {}
    for name, value in data.items():
        if isinstance(value, np.ndarray | np.generic | list | tuple):
            value = json.loads(json.dumps(value, default=_plain))  # noqa: PLW2901 - lists of Python numbers
        flat[name] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _read_graphml(path: Path) -> tuple[Graph, bool]:
    """The graph, and whether its checksum, if it has one, fits."""
    data = path.read_bytes()
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise GraphError("it declares entities, which no hopping graph needs; write the file again")
    seal = _COMMENT.search(data, max(0, len(data) - 200))
    sound = seal is None or hashlib.sha256(data[: seal.start()]).hexdigest().encode() == seal[1]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what NetworkX guesses about, a stranger may have meant otherwise
            flat = nx.parse_graphml(data, force_multigraph=True)
    # NetworkX's reader says in many ways that it cannot read something.
    except (
        ParseError, nx.NetworkXError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
        UserWarning,
    ) as error:  # fmt: skip
        raise GraphError(
            f"not GraphML, or cut off in the middle ({shown(str(error))}); write the file again"
        ) from None
    if not flat.is_directed():
        raise GraphError("the graph is undirected; every hop and its reverse are edges of their own")
    integer = flat.graph.pop(_LABELS, "text") == "integer"
    graph = nx.MultiDiGraph(**_unflat("the graph", flat.graph))
    for label, data in flat.nodes(data=True):
        graph.add_node(_label(label, integer=integer), **_unflat(f"node {shown(label)}", data))
    for source, target, key, data in flat.edges(keys=True, data=True):
        ends = _label(source, integer=integer), _label(target, integer=integer)
        graph.add_edge(*ends, key=key, **_unflat(f"edge {shown(source)} -> {shown(target)}", data))
    return graph, sound


def _label(text: str, *, integer: bool) -> int | str:
    if not integer:
        return text
    try:
        return int(text)
    except (ValueError, TypeError):
        raise GraphError(f"node {shown(text)} is not an integer, as the file says its nodes are") from None


def _unflat(name: str, data: dict[str, Any]) -> dict[str, Any]:
    values = dict(data)
    for attribute in _LISTS & values.keys():
        try:
            values[attribute] = json.loads(values[attribute])
        except (ValueError, TypeError, RecursionError):
            raise GraphError(
                f"{name}: {attribute} is {shown(values[attribute])}; wanted a list of numbers like '[0.0, "
                "1.5, 2.0]'"
            ) from None
    values.pop("node_default", None)
    values.pop("edge_default", None)
    return values
