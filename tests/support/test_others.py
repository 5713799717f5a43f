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


def test_it_ends_at_once_with_one_line_and_its_children():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr == "impala_tf: learner 0 ends\n"
    child, deadline = int(done.stdout), time.monotonic() + 60
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


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
