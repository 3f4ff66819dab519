"""What a user's graph may look like, and what is said when it does not."""

import json
import math

import networkx as nx
import numpy as np
import pytest

import kmc


@pytest.fixture
def graph(graphs):
    return graphs.chain([0.3, 0.4, 0.5], energies=[0.0, 0.1, 0.05])


def first_edge(graph):
    return next(iter(graph.edges(keys=True)))


SPOILERS = {
    "nan barrier": (lambda g: g.edges[0, 1, 0].update(barrier=math.nan), r"edge 0 -> 1.*barrier is nan"),
    "infinite energy": (lambda g: g.nodes[1].update(energy=math.inf), r"node 1: energy is inf"),
    "negative barrier": (lambda g: g.edges[0, 1, 0].update(barrier=-0.1), r"edge 0 -> 1.*at least 0 eV"),
    "text for a number": (lambda g: g.edges[1, 2, 0].update(barrier="0.3"), r"edge 1 -> 2.*'0.3'.*not text"),
    "text energy": (lambda g: g.nodes[2].update(energy="low"), r"node 2: energy is 'low'"),
    "no barrier": (lambda g: g.edges[0, 1, 0].pop("barrier"), r"edge 0 -> 1.*has no 'barrier'"),
    "no position": (lambda g: g.nodes[1].pop("position"), r"node 1 has no 'position'"),
    "flat position": (
        lambda g: g.nodes[1].update(position=[0.0, 1.0]),
        r"node 1: position is \[0.0, 1.0\].*3 finite",
    ),
    "outside": (lambda g: g.nodes[1].update(position=[99.0, 0.0, 0.0]), r"node 1 lies outside the cell"),
    "half an image": (
        lambda g: g.edges[0, 1, 0].update(image=[0.5, 0, 0]),
        r"edge 0 -> 1.*whole numbers of cells",
    ),
    "zero prefactor": (lambda g: g.edges[0, 1, 0].update(prefactor=0.0), r"edge 0 -> 1.*above 0 Hz"),
    "lonely": (
        lambda g: g.remove_edge(1, 0),
        r"edge 0 -> 1.*has no reverse; add the edge 1 -> 0 with image \[0, 0, 0\]",
    ),
    "wrong image": (lambda g: g.edges[2, 0, 0].update(image=[2, 0, 0]), r"has no reverse"),
    "saddles apart": (lambda g: g.edges[0, 1, 0].update(barrier=0.31), r"saddle lies at 0.31 eV.*0.3 eV"),
    "no balance": (
        lambda g: g.edges[0, 1, 0].update(prefactor=2e13),
        r"do not close around a loop.*factor 2",
    ),
    "nowhere": (lambda g: g.add_edge(1, 1, barrier=0.2, prefactor=1e13, image=[0, 0, 0]), r"leads nowhere"),
    "schema": (lambda g: g.graph.update(schema="hopping-graph/9"), r"schema is 'hopping-graph/9'"),
    "no cell": (lambda g: g.graph.pop("cell"), r"cell is None; wanted three lattice vectors"),
    "flat cell": (lambda g: g.graph.update(cell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]]), r"no volume"),
    "no guest": (lambda g: g.graph.pop("guest"), r"name the species"),
    "ghost": (
        lambda g: g.add_edge(0, "ghost", barrier=0.2, prefactor=1e13, image=[0, 0, 0]),
        r"node 'ghost' has no",
    ),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_validate_names_what_is_wrong(graph, name):
    spoil, message = SPOILERS[name]
    spoil(graph)
    with pytest.raises(kmc.GraphError, match=message):
        kmc.validate(graph)


@pytest.mark.parametrize(
    "other", [nx.MultiDiGraph(schema="hopping-graph/1", cell=np.eye(3).tolist(), guest="Li")]
)
def test_empty_graph(other):
    with pytest.raises(kmc.GraphError, match="no nodes"):
        kmc.validate(other)


def test_other_kinds_of_graph():
    with pytest.raises(kmc.GraphError, match=r"got DiGraph.*networkx.MultiDiGraph"):
        kmc.validate(nx.DiGraph())


def test_unequal_prefactors_that_balance_are_fine(graph, graphs):
    weight = {0: 1.0, 1: 3.0, 2: 0.2}
    for i, j, data in graph.edges(data=True):
        data["prefactor"] = 1e13 * math.sqrt(weight[j] / weight[i])
    assert kmc.validate(graph) is None
    # The site weights are those of the prefactors times Boltzmann's.
    share = kmc.occupation(graph, 500.0).to_numpy()
    expected = np.array([1.0, 3.0, 0.2]) * np.exp(-np.array([0.0, 0.1, 0.05]) / (graphs.KB * 500.0))
    np.testing.assert_allclose(share, expected / expected.sum(), rtol=1e-12)


def test_parallel_hops_find_their_own_reverses(graphs):
    hops = [(0, 1, (0, 0, 0), saddle, 1e13) for saddle in (0.5, 0.3, 0.5, 0.4)]
    hops += [(0, 1, (-1, 0, 0), 0.3, 1e13), (0, 0, (0, 1, 0), 0.3, 1e13), (0, 0, (0, -1, 0), 0.6, 1e13)]
    network = kmc.compile_graph(graphs.build(np.eye(3), [(0, 0, 0), (0.5, 0, 0)], [0.0, 0.2], hops))
    back = network.reverse
    assert np.array_equal(back[back], np.arange(len(back)))
    np.testing.assert_array_equal(network.image[back], -network.image)
    np.testing.assert_allclose(
        (network.energies[network.source] + network.barrier)[back], network.saddle_energy
    )


@pytest.mark.parametrize("suffix", [".json", ".graphml"])
@pytest.mark.parametrize("label", [lambda i: i, lambda i: f"site {i}"])
def test_files_keep_a_graph_to_the_last_bit(graph, graphs, tmp_path, suffix, label):
    graph = nx.relabel_nodes(graphs.disordered(8, seed=1), label)
    graph.add_edges_from([])
    for _, _, data in graph.edges(data=True):
        data["saddle_position"] = [0.1, 0.2, 0.3]
        data["converged"] = True
    path = tmp_path / f"network{suffix}"
    kmc.write_graph(graph, path)
    again = kmc.read_graph(path)
    assert dict(again.nodes(data=True)) == dict(graph.nodes(data=True))
    assert sorted(map(repr, again.edges(keys=True, data=True))) == sorted(
        map(repr, graph.edges(keys=True, data=True))
    )
    assert again.graph == graph.graph
    first = path.read_bytes()
    kmc.write_graph(again, path)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_numpy_attributes_are_written_as_numbers(graph, tmp_path):
    for _, data in graph.nodes(data=True):
        data["position"] = np.array(data["position"])
        data["energy"] = np.float64(data["energy"])
    for suffix in (".json", ".graphml"):
        kmc.write_graph(graph, tmp_path / f"network{suffix}")
        assert kmc.read_graph(tmp_path / f"network{suffix}").nodes[1]["energy"] == 0.1


@pytest.mark.parametrize("suffix", [".json", ".graphml"])
def test_files_cut_off_in_the_middle(graph, tmp_path, suffix):
    path = tmp_path / f"network{suffix}"
    kmc.write_graph(graph, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(kmc.GraphError, match="cut off in the middle"):
        kmc.read_graph(path)


def test_a_refused_graph_leaves_the_old_file(graph, tmp_path):
    path = tmp_path / "network.json"
    kmc.write_graph(graph, path)
    before = path.read_bytes()
    graph.nodes[0]["energy"] = math.nan
    with pytest.raises(kmc.GraphError):
        kmc.write_graph(graph, path)
    assert path.read_bytes() == before


def test_an_edge_to_a_missing_node(graph, tmp_path):
    path = tmp_path / "network.json"
    data = nx.node_link_data(graph, edges="edges")
    data["edges"][0]["target"] = 77
    path.write_text(json.dumps(data))
    with pytest.raises(kmc.GraphError, match=r"edge 0 -> 77: its target is not among the nodes"):
        kmc.read_graph(path)


def test_graphml_with_text_for_numbers(graph, tmp_path):
    path = tmp_path / "network.graphml"
    kmc.write_graph(graph, path)
    path.write_text(
        path.read_text().replace(
            'attr.name="barrier" attr.type="double"', 'attr.name="barrier" attr.type="string"'
        )
    )
    with pytest.raises(kmc.GraphError, match=r"edge 0 -> 1.*barrier is '0\.3'.*not text"):
        kmc.read_graph(path)


def test_files_of_other_kinds(graph, tmp_path):
    with pytest.raises(kmc.GraphError, match=r"\.json or \.graphml"):
        kmc.write_graph(graph, tmp_path / "network.csv")
    with pytest.raises(kmc.GraphError, match="does not exist"):
        kmc.read_graph(tmp_path / "network.json")
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(kmc.GraphError, match="not node-link JSON"):
        kmc.read_graph(tmp_path / "list.json")
