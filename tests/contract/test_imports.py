"""The three packages stay separate, and imports point down only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Rooms of the suite from the street to the cellar; a room may import itself and the rooms on later floors.
FLOORS = [
    {"cli", "__main__"},
    {"cli_quench"},
    {"cli_road", "cli_kmc"},
    {"cli_files"},
    {"console"},
    {"planning", "inspection", "templates", "plot"},
    {"workflow", "report", "graph_study", "dynamics_study", "quench_job"},
    {"studies"},
    {"stages_checks"},
    {"stages"},
    {"stages_network", "stages_transport"},
    {"stage_context"},
    {"uncertainty", "assessment", "improvement"},
    {"config", "run_folder", "quench_config"},
    {"training", "sampling", "dynamics", "analysis", "thermal"},
    {"testing", "_testing_landscape"},
    {"potentials"},
    {"descriptors"},
    {"neighbours", "_kernels_neighbours"},
    {"structures"},
    {"tables", "literature"},
    {"units", "errors", "files", "processes"},
]


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; the project writes them in full"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("kmc", {"search", "iondiff", "ase", "torch"}), ("search", {"kmc", "iondiff", "torch"})],
)
def test_kmc_and_search_know_nobody(package, forbidden):
    for path in (ROOT / package).rglob("*.py"):
        reached = {module.split(".")[0] for module in imported_modules(path)}
        assert not reached & forbidden, f"{path.relative_to(ROOT)} imports {reached & forbidden}"


def test_the_suite_imports_downwards():
    floor_of = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    for path in (ROOT / "iondiff").rglob("*.py"):
        relative = path.relative_to(ROOT / "iondiff")
        room = relative.parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        assert room in floor_of, f"iondiff/{relative}: give the room {room!r} a floor in this test"
        for module in imported_modules(path):
            parts = module.split(".")
            if parts[0] == "iondiff" and len(parts) > 1 and parts[1] in floor_of:
                assert floor_of[parts[1]] >= floor_of[room], (
                    f"iondiff/{relative} imports {module}, a floor above it"
                )
            if parts[0] in {"search", "kmc"}:
                assert floor_of[room] <= floor_of["sampling"], f"iondiff/{relative} imports {module}"
