"""How a main's process begins and ends: the working directory, closed streams, and signals at any moment."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from impala_tf.support import signals, working_directory
from tests.support.paths import ROOT

LONGEST_SECS = 60.0  # This only bounds a hang.
SLOW = """
import os, pathlib, subprocess, time
child = subprocess.Popen(["sleep", "600"])
pathlib.Path("HERE").write_text(str(child.pid))
while True:
    time.sleep(0.01)
"""


def main(*arguments, cwd, **keywords):
    """A main in a process of its own, which does not find the package in its working directory.

    It heeds SIGHUP, also where the tests run under nohup.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        **keywords,
    )


@pytest.fixture
def planted(tmp_path):
    """A working directory with files that have names of modules."""
    for name in ("dataclasses", "numpy", "absl", "tqdm", "json", "tensorflow", "envpool"):
        (tmp_path / f"{name}.py").write_text("import pathlib; pathlib.Path('EVIL').touch(); raise ImportError\n")
    return tmp_path


def test_what_lies_in_the_working_directory_is_not_imported(planted):
    process = main("impala_tf.evaluate", "--saved_model=x", cwd=planted)
    _, stderr = process.communicate(timeout=LONGEST_SECS)
    assert stderr.startswith("impala_tf: --saved_model: ")
    assert process.returncode == 2
    assert not (planted / "EVIL").exists()


def test_the_working_directory_comes_back_for_a_module_that_is_named(tmp_path, monkeypatch):
    (tmp_path / "named_module.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    working_directory.leave()
    working_directory.leave()
    assert str(tmp_path) not in sys.path
    assert working_directory.left() == [str(tmp_path)]
    for name in ("json", "json.tool", "tests"):
        working_directory.find_named(name)
    assert str(tmp_path) not in sys.path
    with pytest.raises(ImportError):
        __import__("named_module")
    working_directory.find_named("named_module")
    assert sys.path[0] == str(tmp_path)
    __import__("named_module")


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_starts_ends_it_with_one_line(tmp_path, signal_):
    """In the middle of the import of a module, with a child; nothing is left."""
    (tmp_path / "slow.py").write_text(SLOW)
    process = main("impala_tf.experiment", "--env_id=slow:X", "--logdir=run", cwd=tmp_path)
    deadline = time.monotonic() + LONGEST_SECS
    while not (tmp_path / "HERE").exists() or not (tmp_path / "HERE").read_text():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal_)
    stdout, stderr = process.communicate(timeout=LONGEST_SECS)
    assert process.returncode == -signal_
    assert (stdout, stderr.strip()) == ("", f"impala_tf: {signal_.name}: ended")
    child = int((tmp_path / "HERE").read_text())
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("closing", ["2>&-", "1>&- 2>&-", "2>&1 | true", "0<&- 1>&- 2>&-"])
def test_a_main_that_nobody_hears_ends_as_it_would(tmp_path, closing):
    script = f'"{sys.executable}" -m impala_tf.experiment --batch_size=0 {closing}; echo "${{PIPESTATUS[0]}}" > code'
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, timeout=LONGEST_SECS, check=True)
    assert (tmp_path / "code").read_text() == "2\n"
    assert [path.name for path in tmp_path.iterdir()] == ["code"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_message_does_not_wait_in_a_buffer(unbuffered):
    program = (
        "import os, sys\n"
        "from impala_tf.support import streams\n"
        "streams.open_all()\n"
        "print('said', file=sys.stderr)\n"
        "os._exit(0)\n"
    )
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stderr == "said\n"


def test_what_is_written_to_a_closed_pipe_is_dropped():
    program = (
        "import os, sys\n"
        "from impala_tf.support import streams\n"
        "streams.open_all()\n"
        "os.dup2(os.pipe()[1], 1)\n"  # Nobody has the other end after the next line.
        "os.closerange(3, 20)\n"
        "for _ in range(3): print('x' * 100_000, flush=True)\n"
        "print('done', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECS
    )
    assert (done.returncode, done.stderr) == (0, "done\n")


def test_what_is_to_be_done_at_the_end_is_done():
    program = (
        "import signal\n"
        "from impala_tf.support import signals\n"
        "signals.end_at_once()\n"
        "with signals.ending_with('ended early', lambda: print('cleaned', flush=True)):\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECS
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        *(-signal.SIGTERM, "cleaned\n", "\nimpala_tf: SIGTERM: ended early\n"),
    )


def test_the_answer_is_that_of_the_block():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        assert signals.ending() is None
        with signals.ending_with("unheard"):
            signals.end_at_once()
        handler = signals.ending()
        assert handler.answer == "ended"
        with signals.ending_with("ended early", print):
            assert (handler.answer, handler.on_end) == ("ended early", print)
            with signals.requests():
                assert signals.ending() is None
        assert handler.answer == "ended"
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)
