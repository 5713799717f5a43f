"""Who is named when nothing moves, and how a run ends that has somebody who hangs."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from impala_tf.config import Config
from impala_tf.records.tables import read_rows
from impala_tf.running.watchdog import Watchdog
from impala_tf.support.places import Place
from impala_tf.support.threads import Crew, Stalled, Turns, left_behind
from tests.support.environments import TESTS, Hanging
from tests.support.paths import ROOT
from tests.support.runs import learned, run

LONG = 61.0


class Scene:
    """Threads that stand at known places, as long as the test says that they have stood there."""

    def __init__(self, logdir, num_actors=2, **settings):
        self.release = threading.Event()
        self.crew = Crew()
        self.metrics = SimpleNamespace(places={})
        self.actors = [SimpleNamespace(index=i, place=Place()) for i in range(num_actors)]
        self.learner = SimpleNamespace(updates=7)
        self.run = SimpleNamespace(
            config=Config(**settings), crew=self.crew, metrics=self.metrics, actors=self.actors,
            learner=self.learner, feeder=None, turns=Turns(1), logdir=SimpleNamespace(path=logdir),
        )  # fmt: skip
        self.watchdog = Watchdog(self.run)

    def add(self, name, what, secs, in_act="", hold=contextlib.nullcontext):
        """A thread that has been in a block for some seconds. in_act: where in its unroll the actor is meanwhile."""
        there = threading.Event()

        def work():
            with hold():
                place = Place()
                place.enter("act" if in_act else what)
                place.since -= secs
                if in_act:
                    own = self.actors[int(name[-1])].place
                    own.enter(in_act)
                    own.since -= secs
                self.metrics.places[threading.get_ident()] = place
                there.set()
                self.release.wait(60)

        self.crew.start(name, work)
        assert there.wait(30)

    def no_update_for(self, secs):
        self.watchdog._last_update -= secs

    def look(self, capsys):
        self.watchdog.look()
        return capsys.readouterr().err.splitlines()

    def close(self):
        self.release.set()
        self.crew.stop()
        self.crew.join(30)


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    made.close()


def waiting_for(scene, culprit, *place, **more):
    """The learner and the stager wait for `culprit`."""
    scene.add(culprit, *place, **more)
    scene.add("stager", "get", LONG)
    scene.add("learner", "wait", LONG)
    scene.no_update_for(LONG)


@pytest.mark.parametrize(
    ("in_act", "words"),
    [
        ("step", "in its environment's step"),
        ("reset", "in its environment's reset"),
        ("policy", "in its policy call"),
    ],
)
def test_an_actor_that_hangs_is_named_with_those_that_wait_for_it(scene, capsys, tmp_path, in_act, words):
    waiting_for(scene, "actor 1", "act", LONG - 1, in_act=in_act)
    scene.add("actor 0", "turn", LONG - 2)
    (line,) = scene.look(capsys)
    assert re.match(rf"impala_tf: actor 1 has been {words} for 6\d s \({__file__}, line \d+\)", line)
    assert "stager is waiting for unrolls" in line
    assert "learner is waiting for a batch" in line
    assert line.endswith(f"actor 0 is waiting for a turn to act (its stack is in {tmp_path}/stacks.txt)")
    stacks = (tmp_path / "stacks.txt").read_text().splitlines()
    assert line.startswith(f"impala_tf: {stacks[0][20:]}")
    assert stacks[1] == "actor 1:", "the culprit's stack comes first"
    assert any("self.release.wait(60)" in text for text in stacks[1:20])
    assert "learner:" in stacks
    assert scene.look(capsys) == [], "it is said once"
    scene.actors[1].place.since -= 100
    assert len(scene.look(capsys)) == 2, "it goes on, and hangs elsewhere"


def test_a_reset_within_a_vectors_step_is_a_reset(scene, capsys):
    def reset():
        scene.release.wait(60)

    there = threading.Event()

    def work():
        scene.actors[1].place.enter("step")
        scene.actors[1].place.since -= LONG
        scene.metrics.places[threading.get_ident()] = Place()
        scene.metrics.places[threading.get_ident()].enter("act")
        there.set()
        reset()

    scene.crew.start("actor 1", work)
    assert there.wait(30)
    while "in its environment's reset" not in "".join(scene.look(capsys)):
        scene.actors[1].place.since -= LONG  # The thread may not have come to its reset yet.


def test_who_hangs_while_the_others_go_on_is_named_and_loses_its_turn(scene, capsys):
    @contextlib.contextmanager
    def turn():
        scene.run.turns.acquire()
        yield
        scene.run.turns.release()

    scene.add("actor 1", "act", LONG, in_act="step", hold=turn)
    scene.add("learner", "update", 0.1)
    (line,) = scene.look(capsys)
    assert re.search(r"actor 1 has been in its environment's step for 6\d s", line)
    assert "; the others go on without (its stack" in line
    scene.run.turns.acquire()  # It would wait for ever.
    scene.run.turns.release()
    scene.actors[1].place.enter("policy")
    (line,) = scene.look(capsys)
    assert re.fullmatch(r"impala_tf: actor 1 goes on after 6\d s", line)
    scene.release.set()
    while "actor 1" in scene.crew.running():
        time.sleep(0.01)
    scene.run.turns.acquire()
    second = threading.Thread(target=scene.run.turns.acquire, daemon=True)
    second.start()
    second.join(0.05)
    assert second.is_alive(), "the turn that was passed on is there once"
    scene.run.turns.release()


def test_a_learner_that_hangs_is_named(scene, capsys):
    scene.add("actor 0", "put", LONG)
    scene.add("actor 1", "turn", LONG)
    scene.add("stager", "hand", LONG)
    scene.add("learner", "update", LONG)
    scene.no_update_for(LONG)
    (line,) = scene.look(capsys)
    assert re.search(r"the learner has been in an update for 6\d s", line)
    assert "actor 0 is waiting for room in the queue" in line


def test_a_queue_that_hangs_is_named(scene, capsys):
    waiting_for(scene, "actor 0", "put", LONG)
    scene.add("actor 1", "turn", LONG)
    assert "the queue is stuck: " in scene.look(capsys)[0]


def test_slow_environments_are_no_hang(scene, capsys):
    waiting_for(scene, "actor 0", "act", 5.0, in_act="step")
    (line,) = scene.look(capsys)
    assert re.search(r"no update, but nobody is stuck: actor 0 has been in its environment's step for \d s", line)
    assert scene.look(capsys) == []
    scene.no_update_for(2 * LONG)
    assert len(scene.look(capsys)) == 1, "it is said again after twice the time"


def test_hosts_of_actors_are_named_unless_the_feeder_does_not_listen(scene, capsys):
    host = Place()
    host.enter("host unroll")
    host.since -= LONG
    scene.run.feeder = SimpleNamespace(asked=lambda: [("actors 4 to 7 (process 99)", host)])
    waiting_for(scene, "feeder", "answers", 0.1)
    assert re.search(r"actors 4 to 7 \(process 99\) has been making an unroll for 6\d s", scene.look(capsys)[0])
    (feeder,) = [place for place in scene.metrics.places.values() if place.what == "answers"]
    feeder.what = "put"
    host.since -= 100
    assert not any("process 99" in line for line in scene.look(capsys))


def test_the_run_is_ended_when_that_is_asked_for(tmp_path, capsys):
    scene = Scene(tmp_path, stall_abort_secs=100)
    waiting_for(scene, "actor 1", "act", LONG, in_act="step")
    scene.look(capsys)
    assert not scene.crew.stopping
    scene.learner.updates += 1
    scene.look(capsys)
    scene.no_update_for(2 * LONG)
    scene.look(capsys)
    assert isinstance(scene.crew.error, Stalled)
    assert re.match(r"no update for 12\d s: actor 1 has been in its environment's step", str(scene.crew.error))
    scene.close()


@pytest.mark.parametrize(("what", "ends"), [("policy", False), ("step", True)])
def test_graphs_that_are_being_built_do_not_end_the_run(tmp_path, what, ends):
    scene = Scene(tmp_path, stall_abort_secs=100)
    waiting_for(scene, "actor 1", "act", LONG, in_act=what)
    scene.no_update_for(LONG)
    scene.watchdog.look()
    assert scene.crew.stopping == ends
    scene.close()


@pytest.fixture
def hang():
    """Lets one environment hang until the test has ended, and waits until it has gone on."""
    Hanging.hangs, Hanging.release = threading.Lock(), threading.Event()
    yield
    Hanging.release.set()
    deadline = time.monotonic() + 30
    while left_behind() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_run_goes_on_without_an_actor_that_hangs_in_its_first_unroll_and_ends_without_it(tmp_path, capsys, hang):
    """All actors share a graph and one turn."""
    settings = dict(env_id=f"{TESTS}Hanging-step-v0", num_actors=3, unroll_length=50, concurrent_actors=1)

    def updates():
        rows = read_rows(tmp_path / "metrics.csv")
        return int(rows[-1]["updates"]) if rows else 0

    def stop_after_more_updates():
        while not ((tmp_path / "stacks.txt").exists() and "'s step for" in (tmp_path / "stacks.txt").read_text()):
            time.sleep(0.05)
        before = updates()
        while updates() < before + 10:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop_after_more_updates, daemon=True).start()
    summary = run(tmp_path, **settings, total_environment_frames=10**9, stall_secs=1.0)
    lines = capsys.readouterr().err
    assert re.search(r"actor \d has been in its environment's step for \d s \(.*environments.py, line \d+\)", lines)
    assert re.search(r"left behind: actor \d has been in its environment's step", lines)
    assert int(learned(tmp_path)["updates"]) == summary.updates
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()


def test_a_run_that_stands_still_is_ended_and_saved(tmp_path, capsys, hang):
    settings = dict(env_id=f"{TESTS}Hanging-reset-v0", architecture="a2c_sync_trajectory", batch_size=8)
    with pytest.raises(Stalled, match=r"no update for \d+ s: .*environment's reset for"):
        run(tmp_path, **settings, total_environment_frames=10**9, stall_secs=2.0, stall_abort_secs=5.0)
    assert int(learned(tmp_path)["updates"]) > 0
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()


def test_ctrl_c_ends_a_process_whose_environment_does_not_close(tmp_path):
    command = [sys.executable, "-m", "impala_tf.experiment", f"--logdir={tmp_path}", "--num_actors=2", "--xla=off"]
    command += ["--num_envs_per_actor=4", "--batch_size=4", f"--env_id={TESTS}Hanging-close-v0", "--log_every_secs=0.1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-1, text=True)
    deadline = time.monotonic() + 100
    while len(read_rows(tmp_path / "metrics.csv")) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=50)
    assert process.returncode == 0, stderr
    assert re.search(
        r"\nimpala_tf: left behind: actor 0 has been closing its environment for \d s \(.*line \d+\)", stderr
    )
    assert "evaluate: python -m impala_tf.evaluate" in stdout
    assert int(learned(tmp_path)["updates"]) > 0
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
