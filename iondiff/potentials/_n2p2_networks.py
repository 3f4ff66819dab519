"""Architecture keywords of ``input.nn`` and the files of weights."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from iondiff.errors import PotentialError
from iondiff.potentials._n2p2_text import Settings, fail, number, read_lines, whole
from iondiff.potentials.network import ACTIVATIONS, Network, count_weights


def layers_and_activations(settings: Settings, symbol: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Nodes of the hidden layers of one element, and the activations of these and of the output.

    ``element_*`` keywords go before ``global_*`` ones. The output's activation may be left out of
    ``element_activation_short``; it is then the global one.
    """
    path = settings.path
    count_words, count_line = _either(settings, "hidden_layers_short", symbol)
    n_hidden = whole(count_words[0], path, count_line, "hidden_layers_short")
    nodes, line = _either(settings, "nodes_short", symbol)
    if len(nodes) != n_hidden:
        fail(path, line, f"{len(nodes)} numbers of nodes for {symbol}; wanted {n_hidden}, one a hidden layer")
    hidden = tuple(whole(word, path, line, "a number of nodes") for word in nodes)
    if hidden and min(hidden) < 1:
        fail(path, line, f"nodes are {' '.join(nodes)}; wanted at least 1 in each layer")
    letters, line = _either(settings, "activation_short", symbol)
    if len(letters) == n_hidden and "global_activation_short" in settings:
        everywhere, global_line = settings.one("global_activation_short")
        if line != global_line:
            letters = [*letters, everywhere[-1]]
    if len(letters) != n_hidden + 1:
        fail(
            path,
            line,
            f"{len(letters)} activations for {symbol}; wanted {n_hidden + 1}, one a hidden layer and the "
            "output's",
        )
    for letter in letters:
        if letter not in ACTIVATIONS:
            fail(
                path, line, f"activation {letter!r} is not known; wanted letters of {', '.join(ACTIVATIONS)}"
            )
    return hidden, tuple(letters)


def _either(settings: Settings, name: str, symbol: str) -> tuple[list[str], int]:
    """What the element's own keyword says, else the global one."""
    own = [(w[1:], line) for w, line in settings.all(f"element_{name}") if w and w[0] == symbol]
    if len(own) > 1:
        fail(settings.path, own[1][1], f"element_{name} of {symbol} stands here and in line {own[0][1]}")
    return own[0] if own else settings.one(f"global_{name}", least=0 if name == "nodes_short" else 1)


def read_weights(path: Path, layers: tuple[int, ...], activations: tuple[str, ...]) -> Network:
    """The first column of a file of weights; the second, where there is one, says a weight from a bias."""
    wanted = count_weights(layers)
    letters = "".join("a" * (a * b) + "b" * b for a, b in itertools.pairwise(layers))
    values: list[float] = []
    for line, text in enumerate(read_lines(path, "weights file"), start=1):
        words = text.split("#")[0].split()
        if not words:
            continue
        if len(values) == wanted:
            fail(path, line, f"more than the {wanted} weights and biases that layers {layers} want")
        if len(words) > 1 and words[1] in ("a", "b") and words[1] != letters[len(values)]:
            names = {"a": "a weight", "b": "a bias"}
            fail(
                path,
                line,
                f"{names[words[1]]} where layers {layers} want {names[letters[len(values)]]}: the file "
                "belongs to a network of another shape",
            )
        values.append(number(words[0], path, line, "a weight"))
    if len(values) != wanted:
        raise PotentialError(
            f"{path} ends after {len(values)} weights and biases; layers {layers} want {wanted}"
        )
    return Network.from_flat(np.array(values), layers, activations)


def weights_text(network: Network) -> str:
    """A file that :func:`read_weights` and n2p2 read back."""
    lines = ["# value, a (weight) or b (bias), running number, layer and node before, layer and node after"]
    count = itertools.count(1)
    for k, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        lines += [
            f"{weights[i, j]:24.16E} a {next(count):9d} {k:5d} {i + 1:5d} {k + 1:5d} {j + 1:5d}"
            for i in range(weights.shape[0])
            for j in range(weights.shape[1])
        ]
        lines += [f"{b:24.16E} b {next(count):9d} {k + 1:5d} {j + 1:5d}" for j, b in enumerate(biases)]
    return "\n".join(lines) + "\n"
