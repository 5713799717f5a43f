"""Imports point only upwards in this list, and only the mains read flags."""

import ast
import pathlib
import subprocess
import sys

PACKAGE = pathlib.Path(__file__).parent.parent / "impala_tf"

ORDER = [
    "types", "config", "messages", "startup", "spaces", "bottleneck", "graphs", "signals", "threads", "vtrace",
    "action_spaces", "distributions", "losses",
    "networks.convolutions", "networks.torsos", "networks.cores", "networks.encoders",
    "networks.normalisation", "networks.agent", "networks",
    "environments.cartpole", "environments.tasks", "environments.suites", "environments.atari", "environments.dmlab",
    "environments.vector", "environments.adapters", "environments.single", "environments.backends",
    "environments.specs", "environments.making", "environments",
    "metrics", "checkpoints", "logdir", "export", "unroll_queue", "weights", "inference", "actor", "partial_actor",
    "learner", "playing", "evaluator", "run", "architectures.impala", "architectures.a2c", "architectures.a3c",
    "architectures", "profile", "training",
    "benchmarks.measure", "benchmarks.whole", "benchmarks.ceilings", "benchmarks.architectures", "benchmarks.scaling",
    "benchmarks.single", "benchmarks",
    "command_line", "aggregate", "video", "evaluate", "experiment", "benchmark",
]  # fmt: skip
MAINS = {"command_line", "evaluate", "experiment", "benchmark"}
WITHOUT_TENSORFLOW = {
    "types", "config", "messages", "spaces", "action_spaces", "startup", "signals", "threads", "environments.cartpole",
    "environments.atari",
    "environments.vector", "environments.adapters", "environments.single", "environments.backends",
    "environments.specs", "environments.making", "environments", "checkpoints", "logdir",
    "command_line",
    "evaluate", "experiment", "benchmark", "environments.tasks", "environments.suites", "environments.dmlab",
    "playing", "aggregate", "video",
}  # fmt: skip


def name_of(path):
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__") if name != "__init__" else ""


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if name_of(path)}


def test_the_list_is_complete():
    assert sorted(MODULES) == sorted(ORDER)


def test_imports_point_upwards():
    edges = 0
    for name, path in MODULES.items():
        for imported in imports(path):
            if not imported.startswith("impala_tf."):
                continue
            target = imported.removeprefix("impala_tf.")
            while target not in MODULES:
                target = target.rpartition(".")[0]
            if name in ("networks", "environments", "architectures", "benchmarks"):
                continue  # A package re-exports its own modules, which stand before it.
            assert ORDER.index(target) < ORDER.index(name), f"{name} imports {target}"
            edges += 1
    assert edges > 40


def test_only_the_mains_read_flags():
    readers = {name for name, path in MODULES.items() if any(i == "absl.flags" for i in imports(path))}
    assert readers == MAINS


def test_mistakes_are_found_before_tensorflow_is_imported():
    modules = ", ".join(f"impala_tf.{name}" for name in sorted(WITHOUT_TENSORFLOW))
    program = f"import sys, {modules}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=PACKAGE.parent, timeout=60).returncode == 0
