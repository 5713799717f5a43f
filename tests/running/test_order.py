"""The order of what the threads of each architecture do: fakes write it down, and the whole of it is compared."""

import contextlib
from types import SimpleNamespace

import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.experience.source import Batch
from impala_tf.learning.cluster import ALONE
from impala_tf.learning.learner import UpdateResult
from impala_tf.running.architectures import THREADS, a3c
from impala_tf.running.run import Run
from impala_tf.support.threads import Closed, Crew
from tests.support.unrolls import make_batch

BATCH = {"impala": 32, "a2c_sync_step": 256, "a2c_sync_trajectory": 256, "a3c": 64}


class Fakes:
    """The parts of a run. Each writes what is done with it to `tape`; after `limit` updates or unrolls the run ends."""

    index = 0
    environment_secs = 0.0
    environment_frames = 0
    learning_rate = 0.1
    has_diverged = False
    skipped = ""
    device = "/CPU:0"
    scheduled = None
    objective = SimpleNamespace(of=lambda agent: None)
    uses_xla = False
    learners = ALONE

    def __init__(self, limit, error_in_unroll=None):
        self.tape = []
        self.limit = limit
        self.error_in_unroll = error_in_unroll
        self.updates = 0
        self.version = 10
        self.crew = Crew()
        self.agent = SimpleNamespace(assign_flat_weights=lambda flat: self.log(f"worker takes {flat}"))

    def log(self, event):
        self.tape.append(event)

    # The turns and A3C's lock.

    def semaphore(self, name):
        fakes = self

        class Lock:
            def acquire(self):
                fakes.log(f"{name} taken")

            def release(self):
                fakes.log(f"{name} given back")

        return Lock()

    # The weights. Each time that somebody looks there are newer ones.

    def latest(self):
        self.version += 1
        self.log(f"weights {self.version} read")
        return self.version, f"flat {self.version}"

    def newer_than(self, version):
        self.log(f"waited for newer than {version}")
        return "not", "used"

    def publish(self, version, flat_weights):
        self.log(f"{flat_weights} published as {version}")

    # The actor.

    def unroll(self, version, flat_weights):
        self.log(f"unroll {version} with {flat_weights}")
        if self.error_in_unroll:
            raise self.error_in_unroll
        return make_batch()

    # The queue and the learner's next batch.

    def put(self, item):
        self.log("put")
        self.limit -= 1
        if self.limit == 0:
            self.crew.stop()

    def next(self):
        self.log("get")
        return Batch("groups", "marks", SimpleNamespace(num_steps=7))

    def learned(self, batch, advantage_tm1):
        self.log(f"learned from {batch.groups}: {advantage_tm1}")

    def get_staged(self):
        self.log("get")
        return Batch("groups", "marks", SimpleNamespace(num_steps=7))

    # The learner and A3C's gradients.

    def update(self, batch, num_steps, marks, ends):
        assert ends == self.crew.stopping
        self.log(f"update from {batch} of {num_steps}")
        return self.updated()

    def apply(self, losses, gradients, num_steps):
        self.log(f"apply {losses} {gradients}")
        return self.updated()

    def updated(self):
        self.updates += 1
        if self.updates == self.limit:
            self.environment_frames = 10**9
        return UpdateResult("statistics", f"new weights {self.updates}", True, "places", f"advantages {self.updates}")

    def gradients(self, unroll, hyperparameters):
        self.log("gradients")
        return "losses", "gradients"

    # The metrics and the checkpoints.

    @contextlib.contextmanager
    def timer(self, name):
        yield

    def enter(self, name):
        pass

    def add_seconds(self, name, seconds):
        assert name == "environment"

    def record(self, frames, updates, *_):
        self.log(f"recorded {updates}")

    def due(self, updates):
        return False


def make_run(fakes, architecture):
    """A `Run` of the fakes; what the loops have no business with is None."""
    parts = dict(
        config=Config(architecture=architecture, batch_size=BATCH[architecture]),
        actors=[fakes],
        turns=fakes.semaphore("turn"),
        crew=fakes.crew,
        queue=SimpleNamespace(put=fakes.put),
        staged=SimpleNamespace(get=fakes.get_staged, put=fakes.put),
    )
    parts |= dict.fromkeys(("learner", "weights", "metrics", "checkpoints", "source"), fakes)
    return Run(**(dict.fromkeys(Run._fields) | parts))


@pytest.fixture
def fake_gradients(monkeypatch):
    """Makes A3C's gradients and its lock those of the fakes."""

    def use(fakes):
        monkeypatch.setattr(a3c, "GradientWorker", lambda objective, xla: fakes)
        monkeypatch.setattr(a3c, "threading", SimpleNamespace(Lock=lambda: fakes.semaphore("lock")))

    return use


def test_impalas_actor_takes_its_weights_inside_its_turn():
    """Taken before, they would be as many updates old as the learner makes while the actor waits for its turn."""
    fakes = Fakes(limit=2)
    THREADS["impala"](make_run(fakes, "impala"))["actor 0"]()
    expected = []
    for version in (11, 12):
        expected += ["turn taken", f"weights {version} read", f"unroll {version} with flat {version}"]
        expected += ["put", "turn given back"]
    assert fakes.tape == expected


@pytest.mark.parametrize("architecture", ["a2c_sync_step", "a2c_sync_trajectory"])
def test_a2cs_actor_waits_for_the_update_before_its_turn(architecture):
    """An actor that waited inside would keep the turn from those whose unrolls the update needs."""
    fakes = Fakes(limit=2)
    THREADS[architecture](make_run(fakes, architecture))["actor 0"]()
    expected = []
    for before, version in ((-1, 11), (11, 12)):
        expected += [f"waited for newer than {before}", "turn taken", f"weights {version} read"]
        expected += [f"unroll {version} with flat {version}", "put", "turn given back"]
    assert fakes.tape == expected


@pytest.mark.parametrize("architecture", ["impala", "a2c_sync_step", "a2c_sync_trajectory"])
def test_the_learner_publishes_what_it_learned_before_it_records_it(architecture):
    fakes = Fakes(limit=2)
    THREADS[architecture](make_run(fakes, architecture))["learner"]()
    expected = []
    for update in (1, 2):
        expected += ["get", "update from groups of 7", f"new weights {update} published as {update}"]
        expected += [f"recorded {update}", f"learned from groups: advantages {update}"]
    assert fakes.tape == expected
    assert fakes.crew.stopping, "the budget is used, but the run goes on"


def test_with_exact_resume_the_actors_wait_until_their_place_is_marked():
    """Two minibatches are the batch; after the first one nothing is marked, saved or published."""
    fakes = Fakes(limit=2)
    fakes.due = lambda updates: fakes.log("asked whether to save")
    run = make_run(fakes, "a2c_sync_trajectory")._replace(exact=SimpleNamespace(mark=lambda: fakes.log("marked")))
    last_uses = iter([False, True])
    get = run.staged.get
    run.staged.get = lambda: get()._replace(is_last_use=next(last_uses))
    THREADS["a2c_sync_trajectory"](run)["learner"]()
    expected = ["get", "update from groups of 7", "recorded 1"]
    expected += ["learned from groups: advantages 1", "get", "update from groups of 7", "recorded 2", "marked"]
    expected += ["asked whether to save", "new weights 2 published as 2", "learned from groups: advantages 2"]
    assert fakes.tape == expected


@pytest.mark.parametrize("architecture", ["impala", "a2c_sync_step", "a2c_sync_trajectory"])
def test_the_stager_hands_on_one_batch_after_the_other(architecture):
    fakes = Fakes(limit=2)
    THREADS[architecture](make_run(fakes, architecture))["stager"]()
    assert fakes.tape == ["get", "put"] * 2


def test_a3cs_worker_holds_the_lock_from_its_step_to_its_publication(fake_gradients):
    fakes = Fakes(limit=2)
    fake_gradients(fakes)
    THREADS["a3c"](make_run(fakes, "a3c"))["worker 0"]()
    expected = []
    for update, version in ((1, 11), (2, 12)):
        expected += ["turn taken", f"weights {version} read", f"unroll {version} with flat {version}"]
        expected += ["turn given back", f"worker takes flat {version}", "gradients"]
        expected += ["lock taken", "apply losses gradients"]
        expected += [f"new weights {update} published as {update}", f"recorded {update}", "lock given back"]
    assert fakes.tape == expected
    assert fakes.crew.stopping


def test_a3cs_worker_that_waited_too_long_for_the_lock_takes_no_step(fake_gradients):
    """While it waited, the others have used the budget."""
    fakes = Fakes(limit=2)
    fake_gradients(fakes)
    plain = fakes.gradients
    fakes.gradients = lambda *inputs: (setattr(fakes, "environment_frames", 10**9), plain(*inputs))[1]
    THREADS["a3c"](make_run(fakes, "a3c"))["worker 0"]()
    assert fakes.tape[-3:] == ["gradients", "lock taken", "lock given back"]


@pytest.mark.parametrize("architecture", BATCH)
def test_the_turn_is_given_back_after_an_error(architecture, fake_gradients):
    fakes = Fakes(limit=2, error_in_unroll=OSError("the simulator has died"))
    fake_gradients(fakes)
    thread = "worker 0" if architecture == "a3c" else "actor 0"
    with pytest.raises(OSError, match="the simulator has died"):
        THREADS[architecture](make_run(fakes, architecture))[thread]()
    assert fakes.tape[-2:] == ["unroll 11 with flat 11", "turn given back"]


def test_a3cs_lock_is_given_back_after_an_error(fake_gradients):
    fakes = Fakes(limit=2)
    fake_gradients(fakes)

    def apply(losses, gradients, num_steps):
        raise tf.errors.InvalidArgumentError(None, None, "not finite")

    fakes.apply = apply
    with pytest.raises(tf.errors.InvalidArgumentError):
        THREADS["a3c"](make_run(fakes, "a3c"))["worker 0"]()
    assert fakes.tape[-2:] == ["lock taken", "lock given back"]


def test_the_workers_of_a3c_share_one_lock(monkeypatch):
    made = []
    monkeypatch.setattr(a3c, "threading", SimpleNamespace(Lock=lambda: made.append("a lock")))
    run = make_run(Fakes(limit=1), "a3c")
    works = THREADS["a3c"](run._replace(actors=[SimpleNamespace(index=0), SimpleNamespace(index=1)]))
    assert set(works) == {"worker 0", "worker 1"}
    assert made == ["a lock"]


@pytest.mark.parametrize("architecture", BATCH)
def test_a_turn_that_comes_after_the_runs_end_is_given_back(architecture, fake_gradients):
    """With many actors for few turns, an unroll each would keep the run from its end."""
    fakes = Fakes(limit=2)
    fake_gradients(fakes)
    run = make_run(fakes, architecture)
    take = run.turns.acquire
    run.turns.acquire = lambda: (fakes.crew.stop(), take())
    thread = "worker 0" if architecture == "a3c" else "actor 0"
    with pytest.raises(Closed):
        THREADS[architecture](run)[thread]()
    assert fakes.tape[-2:] == ["turn taken", "turn given back"]
