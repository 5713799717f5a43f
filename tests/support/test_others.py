"""The end of a process that has lost another one."""

import subprocess
import sys
import time

import psutil
import pytest

from tests.support.paths import ROOT

PROGRAM = """
import subprocess, sys, threading, time
from impala_tf.support.others import LearnersLost, ending_with_others
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
threading.Thread(target=time.sleep, args=(600,)).start()  # It would keep the interpreter from its end.
with ending_with_others():
    raise LearnersLost("learner 0 ends")
"""


def assert_ends(pid):
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_ends_at_once_with_one_line_and_its_children():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr == "impala_tf: learner 0 ends\n"
    assert_ends(int(done.stdout))


@pytest.mark.parametrize(
    ("block", "code", "last_line"),
    [
        ("pass", 0, ""),
        ("raise SettingError('--seed=x: wrong')", 2, "impala_tf: --seed=x: wrong"),
        ("raise OSError('full')", 1, "OSError: full"),
    ],
)
def test_a_learner_ends_without_taking_its_cluster_down(block, code, last_line):
    program = "import atexit; from impala_tf.support.others import SettingError, ending_at_once\n"
    program += f"atexit.register(lambda: print('taken down'))\nwith ending_at_once(2):\n    print('said'); {block}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (code, "said\n")
    assert (done.stderr.splitlines() or [""])[-1] == last_line


HANGING = """
import subprocess, sys, threading
from impala_tf.support.others import ending_despite_threads
from impala_tf.support.threads import CrewThread
child = subprocess.Popen(["sleep", "600"])
print(child.pid)
if sys.argv[1] == "hangs":
    CrewThread("actor 0", threading.Event().wait).start()
    threading.Thread(target=threading.Event().wait).start()  # Such are those of a ThreadPoolExecutor.
with ending_despite_threads():
    exec(sys.argv[2])
print("the interpreter's own end")
child.kill()
"""


@pytest.mark.parametrize(
    ("block", "code", "last_line"),
    [
        ("pass", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("raise OSError('full')", 1, "OSError: full"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
    ],
)
def test_a_process_whose_thread_hangs_ends_as_it_would_without(block, code, last_line):
    command = [sys.executable, "-c", HANGING, "hangs", block]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert (done.stderr.splitlines() or [""])[-1] == last_line
    (child,) = map(int, done.stdout.split())
    assert_ends(child)


def test_a_process_without_such_threads_ends_as_usual():
    done = subprocess.run(
        [sys.executable, "-c", HANGING, "", "pass"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, ["the interpreter's own end"])
