"""The wings: imports go downwards, there is no cycle, and only the mains read flags."""

import ast
import graphlib
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "impala_tf"

# Wings, and modules of the root, by floor. A wing imports itself and what is on lower floors; never a neighbour.
FLOORS = {
    0: ("settings",),
    1: ("types", "config"),  # config inherits the settings of all wings.
    2: ("support", "interfaces"),
    3: ("spaces", "experience"),
    4: ("environments", "networks", "algorithms"),
    5: ("acting", "learning", "records"),
    6: ("evaluation",),
    7: ("running",),
    8: ("", "benchmarks", "populations"),  # "": impala_tf/__init__.py, the Python API.
    9: ("experiment", "evaluate", "benchmark", "population"),
}
FLOOR_OF = {wing: floor for floor, wings in FLOORS.items() for wing in wings}
READERS_OF_FLAGS = {"support.command_line", "evaluate", "benchmark", "population"}
# What is imported before TensorFlow is, so that a user's mistake is answered at once.
WITHOUT_TENSORFLOW = (
    *("types", "config", "experiment", "evaluate", "benchmark", "environments", "settings.removed"),
    *("spaces.observation_spaces", "spaces.action_spaces"),
    *("support.messages", "support.startup", "support.signals", "support.threads", "support.command_line"),
    *("support.flag_files", "support.help_text"),
    *("records.checkpoints", "records.logdir", "records.files", "records.tables", "records.best_weights"),
    *("evaluation.playing", "evaluation.aggregate", "evaluation.video", "evaluation.exported_settings"),
    *("evaluation.protocols", "evaluation.reports", "evaluation.evaluate_exports"),
    *("population", "populations.exchange", "populations.picture", "populations.work"),
)


def name_of(path: pathlib.Path) -> str:
    """The module's name without impala_tf; "" is impala_tf itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_names(tree: ast.AST):
    """Every name that is imported anywhere in the file, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def edges_of(source: str) -> set[str]:
    """The modules of impala_tf that a file imports."""
    found = set()
    for imported in imported_names(ast.parse(source)):
        if imported.partition(".")[0] != "impala_tf":
            continue
        name = imported.partition(".")[2]
        while name not in MODULES:
            name = name.rpartition(".")[0]
        found.add(name)
    return found


def wing_of(module: str) -> str:
    return module.partition(".")[0]


def is_downward(module: str, imported: str) -> bool:
    same_wing = wing_of(module) == wing_of(imported)
    return same_wing or FLOOR_OF[wing_of(imported)] < FLOOR_OF[wing_of(module)]


GRAPH = {name: edges_of(path.read_text()) for name, path in MODULES.items()}


def test_every_module_is_on_a_floor():
    assert {wing_of(module) for module in MODULES} == set(FLOOR_OF)


def test_imports_point_downwards():
    wrong = [
        f"{module} (floor {FLOOR_OF[wing_of(module)]}) imports {imported} (floor {FLOOR_OF[wing_of(imported)]})"
        for module, imports in GRAPH.items()
        for imported in imports
        if not is_downward(module, imported)
    ]
    assert not wrong
    assert sum(map(len, GRAPH.values())) > 150, "the walk finds the imports"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("learning.learner", "from impala_tf.running import run"),
        ("learning.learner", "def late():\n    from impala_tf.records import metrics"),
        ("types", "from impala_tf.config import Config"),
        ("settings.setting", "from impala_tf.config import Config"),
        ("support.graphs", "import impala_tf.networks.agent"),
    ],
)
def test_an_upward_or_sideways_import_is_seen(module, source):
    assert not all(is_downward(module, imported) for imported in edges_of(source))


def test_there_is_no_cycle():
    list(graphlib.TopologicalSorter({module: imports - {module} for module, imports in GRAPH.items()}).static_order())


def test_only_the_mains_read_flags():
    readers = {
        name
        for name, path in MODULES.items()
        if any(imported.startswith("absl.flags") for imported in imported_names(ast.parse(path.read_text())))
    }
    assert readers == READERS_OF_FLAGS


def test_mistakes_are_found_before_tensorflow_is_imported():
    modules = ", ".join(f"impala_tf.{name}" for name in WITHOUT_TENSORFLOW)
    program = f"import sys, {modules}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60).returncode == 0


def test_no_test_imports_another():
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for imported in imported_names(ast.parse(path.read_text())):
            parts = imported.split(".")
            assert parts[0] != "tests" or not any(part.startswith("test_") for part in parts), f"{path}: {imported}"


def test_tests_mirror_the_wings():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    wings = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders - wings <= {"scripts"}
    assert wings - folders == set()


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_links_lead_to_files(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link.replace("\\", "")).exists()] == []


# V-trace has as many parameters as its equation.
LONGER_THAN_OTHERS = {"from_importance_weights", "from_logits"}


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_are_short(module):
    source = MODULES[module].read_text()
    assert source.count("\n") <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name not in LONGER_THAN_OTHERS:
            parameters = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            assert len([name for name in parameters if name not in ("self", "cls")]) <= 8, node.name
            assert node.end_lineno - node.lineno < 60, node.name


def test_most_files_are_shorter_than_a_screen_or_two():
    lengths = sorted(path.read_text().count("\n") for path in MODULES.values())
    assert lengths[len(lengths) // 2] <= 120
