"""The mutation check: which mutants it makes, how it draws them, and a run on a tiny package."""

import csv
import fnmatch
import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import mutants
import mutate


def mutated(source, kind=None):
    """The mutants of a source as texts."""
    found = [mutant for mutant in mutants.mutants_of("m.py", source) if mutant.is_valid(source)]
    return {mutant.apply(source) for mutant in found if kind in (None, mutant.kind)}


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [
        ("comparison", "x = a < b == c", {"x = a <= b == c", "x = a < b != c"}),
        ("comparison", "x = a is None", {"x = a is not None"}),
        ("boolean", "x = (a or b) and c", {"x = (a and b) and c", "x = (a or b) or c"}),
        ("boolean", "x = not a == b", {"x = (a == b)"}),
        ("boolean", "if a: f()", {"if (not (a)): f()"}),
        ("arithmetic", "x = (a + b) * c", {"x = (a - b) * c", "x = (a + b) / c"}),
        ("arithmetic", "x += a", {"x -= a"}),
        ("constant", "x = f(2, 0.5, True)", {
            "x = f(3, 0.5, True)", "x = f(1, 0.5, True)", "x = f(2, -0.5, True)", "x = f(2, 0.5, False)",
        }),
        ("constant", "x = -a", {"x = a"}),
        ("arguments", "x = f(a, g(b))", {"x = f(g(b), a)"}),
        ("arguments", "x = max(a, b)", set()),
        ("keyword", "x = f(a, axis=b, name=c)", {"x = f(a, name=c)"}),
        ("statement", "queue.close()", {"pass"}),
        ("statement", "self.x = y", {"pass"}),
        ("statement", "x = y", set()),
        ("slice", "x = rewards[1:]", {"x = rewards[:-1]"}),
        ("slice", "x = rewards[:, :-1]", {"x = rewards[:, 1:]"}),
        ("name", "def f(rho_bar, c_bar, lambda_): return rho_bar",
         {"def f(rho_bar, c_bar, lambda_): return c_bar"}),
        ("name", "x = row.terminated, row.truncated",
         {"x = row.truncated, row.truncated", "x = row.terminated, row.terminated"}),
        ("return", "def f(): return x", {"def f(): return None"}),
        ("extremum", "x = tf.reduce_sum(y)", {"x = tf.reduce_mean(y)"}),
        # Bytes and characters differ.
        ("constant", "f('ü', 1)", {"f('ü', 2)", "f('ü', 0)"}),
    ],
)  # fmt: skip
def test_mutants_by_kind(kind, source, expected):
    assert mutated(source, kind) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring of 1 line."""',
        "x: int | None",
        "def f(x: Literal[1] = y) -> Literal[2]: ...",
        'x = f"{1 + 2}"',
        "assert a < 1, 'less than 1'",
        "@tf.function(jit_compile=True)\ndef f(): ...",
        "class Row:\n  lag: int = 3",
        "logging.info('%d of %d', a + 1, b)",
        "raise NotImplementedError",
        "x = isinstance(y, int | float)",
    ],
)
def test_texts_types_and_settings_are_left_alone(source):
    assert not mutated(source)


def test_of_an_error_only_the_raising_is_mutated():
    assert mutated("if a < 1:\n  raise ValueError(f'{a + 1}', a + 1)") == {
        "if a <= 1:\n  raise ValueError(f'{a + 1}', a + 1)",
        "if a < 2:\n  raise ValueError(f'{a + 1}', a + 1)",
        "if a < 0:\n  raise ValueError(f'{a + 1}', a + 1)",
        "if a < 1:\n  pass",
    }


def test_every_module_has_its_share_and_the_seed_decides():
    texts = {"small.py": "x = a < b\ny = c + d", "big.py": "\n".join(f"x{i} = a < {i + 2}" for i in range(20))}
    drawn = mutate.draw(texts, 10, seed=1)
    assert len(drawn) == len(set(drawn)) == 10
    assert {mutant.module for mutant in drawn} == set(texts)
    assert drawn == mutate.draw(texts, 10, seed=1)
    assert drawn != mutate.draw(texts, 10, seed=2)
    assert len(mutate.draw(texts, 1000, seed=1)) == 2 + 20 * 3
    # Another module does not change which of big.py's are drawn.
    alone = mutate.draw({"big.py": texts["big.py"]}, 10, seed=1)
    big = [mutant for mutant in drawn if mutant.module == "big.py"]
    assert alone[: len(big)] == big


def test_the_table_names_modules_and_tests_that_exist():
    modules = [path.relative_to(ROOT).as_posix() for path in (ROOT / "impala_tf").rglob("*.py")]
    for pattern, tests in mutate.TESTS.items():
        assert fnmatch.filter(modules, pattern), pattern
        for test in tests:
            assert (ROOT / test).exists(), test


MODULE = """\
def add(a, b):
    return a + b


def less(a, b):
    return a < b
"""
TESTS = """\
from impala_tf.algorithms.sums import add, less


def test_add():
    assert add(1, 2) == 3


def test_less():
    assert less(1, 2)
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one module of the core and its tests, which do not look at less(1, 1)."""
    root = tmp_path / "root"
    for name, text in (("impala_tf/algorithms/sums.py", MODULE), ("tests/algorithms/test_sums.py", TESTS)):
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.with_name("__init__.py").touch()
        path.parent.with_name("__init__.py").touch()
    return root


def run(root, output, *flags, free_secs=60):
    """Runs the script without TensorFlow, which a tiny package does not need."""
    code = f"import mutate; mutate.IMPORTED_ONCE = ('pytest',); mutate.FREE_SECS = {free_secs}; mutate.main()"
    command = [sys.executable, "-c", code, f"--root={root}", f"--output={output}", "--num=100", *flags]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outcomes_of(output):
    """What became of each mutant, by the line that it put in."""
    found = {}
    with output.open(newline="") as file:
        for row in csv.DictReader(file):
            (line,) = (line for line in row["diff"].splitlines() if line.startswith("+"))
            found.setdefault(line[1:].strip(), []).append(row["outcome"])
    return found


@pytest.mark.parametrize("flag", ["--jobs=2", "--fresh"])
def test_a_run_lists_the_survivors_and_goes_on_where_it_stopped(checkout, tmp_path, flag):
    output = tmp_path / "out" / "mutants.csv"
    text = run(checkout, output, flag)
    outcomes = outcomes_of(output)
    assert outcomes == {
        "return a - b": ["noticed"],
        "return None": ["noticed", "noticed"],
        "return a <= b": ["survived"],
    }
    assert "impala_tf/algorithms/sums.py:6 comparison, survived\n" in text
    assert "-    return a < b\n+    return a <= b\n" in text
    assert text.endswith("3 of 4 mutants noticed (75%).\n")
    assert (checkout / "impala_tf" / "algorithms" / "sums.py").read_text() == MODULE

    # Only a row that is missing is tested again; the tests that notice nothing now would change the others, too.
    with output.open(newline="") as file:
        header, *rows = csv.reader(file)
    with output.open("w", newline="") as file:
        csv.writer(file).writerows([header, *(row for row in rows if "a - b" not in row[-1])])
    tests = checkout / "tests" / "algorithms" / "test_sums.py"
    tests.write_text("def test_nothing():\n    assert True\n")
    assert run(checkout, output, flag).endswith("2 of 4 mutants noticed (50%).\n")
    assert outcomes_of(output) == outcomes | {"return a - b": ["survived"]}

    # After a test was written, the survivors can be tested again.
    tests.write_text(TESTS + "    assert not less(1, 1)\n")
    assert run(checkout, output, flag, "--survivors_again").endswith("4 of 4 mutants noticed (100%).\n")


def test_a_mutant_that_never_ends_is_noticed(checkout, tmp_path):
    module = checkout / "impala_tf" / "algorithms" / "sums.py"
    module.write_text("def add(a, b):\n    while a is None:\n        pass\n    return a + b\n")
    (checkout / "tests" / "algorithms" / "test_sums.py").write_text(
        TESTS.partition("def test_less")[0].replace(", less", "")
    )
    text = run(checkout, tmp_path / "mutants.csv", "--only=sums", free_secs=0.5)
    assert outcomes_of(tmp_path / "mutants.csv")["while a is not None:"] == ["timeout"]
    assert text.endswith("3 of 3 mutants noticed (100%).\n")


def test_tests_that_fail_by_themselves_are_told(checkout, tmp_path):
    (checkout / "tests" / "algorithms" / "test_sums.py").write_text("def test_add():\n    assert 1 + 1 == 3\n")
    with pytest.raises(AssertionError, match=r"(?s)tests/algorithms: fails without any mutant.*def test_add"):
        run(checkout, tmp_path / "mutants.csv")
