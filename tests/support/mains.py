"""Runs mains as `python -m` does, each in a fork of one process that has imported all that comes before TensorFlow.

A new process would spend its time on imports; a fork begins after them, with flags that nobody has set yet.
"""

import importlib
import json
import os
import pathlib
import runpy
import subprocess
import sys
import traceback

ROOT = pathlib.Path(__file__).parent.parent.parent
IMPORTED_ONCE = (
    "gymnasium",
    "impala_tf.environments",
    "impala_tf.evaluation.evaluate_exports",
    "impala_tf.records.logdir",
    "impala_tf.support.command_line",
)


class Mains:
    """A process that forks for each main. A context manager."""

    def __enter__(self) -> "Mains":
        command = [sys.executable, "-m", "tests.support.mains"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def run(
        self, module: str, *arguments: str, cwd: pathlib.Path, output: pathlib.Path, without: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess:
        """Runs impala_tf.MODULE in the directory `cwd`.

        output: directory for what it prints, which must not be `cwd` where that is looked at.
        without: modules that cannot be imported, as if they were not installed.
        """
        paths = [str(output / name) for name in ("stdout", "stderr")]
        order = [f"impala_tf.{module}", arguments, str(cwd), *paths, without]
        print(json.dumps(order), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(pathlib.Path(path).read_text() for path in paths))


def serve() -> None:
    """Reads a main a line, runs it in a fork, and prints its exit code, until stdin ends."""
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    for line in sys.stdin:
        module, arguments, cwd, stdout, stderr, without = json.loads(line)
        child = os.fork()
        if child == 0:
            sys.modules.update(dict.fromkeys(without))
            os._exit(run_here(module, arguments, cwd, stdout, stderr))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run_here(module: str, arguments: list[str], cwd: str, stdout: str, stderr: str) -> int:
    """Runs a main in this process. Returns its exit code."""
    os.chdir(cwd)
    for number, path in ((1, stdout), (2, stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.argv[1:] = arguments
    sys.path.insert(0, cwd)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve()
