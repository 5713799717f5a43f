"""Actors outside of the learner's process: what a host makes, and what the feeder does with what hosts answer."""

import pickle

import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.experience.weights import WeightStore
from impala_tf.networks import make_agent
from impala_tf.running.actors import make_acting_graphs, make_actors, run_unroll_spec
from impala_tf.running.hosts import feeder as feeder_module
from impala_tf.running.hosts.actor_host import ActorHost
from impala_tf.running.hosts.answers import Failure, HostUnroll, Lost, Plan, Ready, indices_of_hosts
from impala_tf.running.hosts.backends import with_own_threads
from impala_tf.running.hosts.feeder import Feeder
from impala_tf.running.hosts.memory import UnrollMemory, WeightMemory
from impala_tf.running.hosts.tensors import TensorsOfArrays
from impala_tf.running.hosts.traffic import Traffic
from impala_tf.support.threads import Crew
from tests.support.environments import TESTS
from tests.support.runs import TINY


def parts(**settings):
    config = Config(**(TINY | dict(num_actors=3, core="lstm", core_size=8) | settings))
    spec = environments.spec_of(config)
    agent = make_agent(config, spec.observation_space, spec.action_space)
    return config, spec, agent, UnrollQueue(run_unroll_spec(config, agent), 4, config.num_envs_per_actor, 100)


def assert_equal(unroll, expected):
    for got, right in zip(tf.nest.flatten(unroll), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(got), np.asarray(right))


def test_a_host_makes_the_unrolls_of_its_actors_in_turn():
    """Actors 1 and 2 of three, with the seed and the weights of those that act in threads."""
    config, spec, agent, queue = parts(behaviour_epsilon=0.5, behaviour_spread=True)
    graph_of = make_acting_graphs(config, lambda: agent, WeightStore(), queue.spec)
    threads = make_actors(config, 7, graph_of, queue.group, at_once=1)
    host = ActorHost(Plan(config, spec, queue.group), range(1, 3), 7)
    weights = agent.flat_weights()
    unrolls = [(threads[i].unroll(version, weights), host.unroll(version, weights.numpy()))
               for version, i in enumerate((1, 2, 1, 2))]  # fmt: skip
    for version, (expected, answer) in enumerate(unrolls):
        assert isinstance(answer.unroll.actions, np.ndarray)
        assert_equal(answer.unroll, expected)
        assert set(answer.unroll.policy_version.flat) == {version}
        assert set(answer.unroll.actor.flat) == {1 + version % 2}
        assert 0 < answer.environment_secs < answer.act_secs
    assert unrolls[0][1].idle_secs == 0 < unrolls[1][1].idle_secs
    host.close()


def test_hosts_have_the_actors_of_the_run():
    assert indices_of_hosts(5, 2) == [range(0, 2), range(2, 4), range(4, 5)]
    assert indices_of_hosts(2, 2) == [range(2)]


def test_environments_in_threads_get_one_each():
    config = Config(env_id="ALE/Pong-v5", num_action_repeats=4, network="shallow", separate_value_network=False)
    assert with_own_threads(config, environments.spec_of(config)).env_threads == 1
    assert with_own_threads(Config(), environments.spec_of(Config())) == Config()


def test_unrolls_and_texts_through_shared_memory():
    config, _, agent, queue = parts(env_id=f"{TESTS}Nested-v0")
    graph_of = make_acting_graphs(config, lambda: agent, WeightStore(), queue.spec)
    actor = make_actors(config, 7, graph_of, queue.group, at_once=1)[0]
    host = UnrollMemory(queue.spec, config.num_envs_per_actor, queue.group)
    learner = UnrollMemory(queue.spec, config.num_envs_per_actor, queue.group, host.name)
    sent = []
    for slot in range(2):
        actor.unroll(slot, agent.flat_weights())
        sent.append((actor.written, pickle.loads(pickle.dumps(host.write(slot, actor.written)))))
    to_tensors = TensorsOfArrays()
    for slot, (unroll, texts) in enumerate(sent):
        assert len(texts) == 1
        arrived = learner.read(slot, texts)
        assert_equal(arrived, unroll)
        tensors = to_tensors(arrived)
        assert_equal(tensors, unroll)
        queue.put(tensors)
    del arrived, tensors
    learner.close()
    host.close()
    with pytest.raises(FileNotFoundError):
        UnrollMemory(queue.spec, config.num_envs_per_actor, queue.group, host.name)


def test_a_version_of_the_weights_is_put_once_and_kept_while_a_host_acts_with_it():
    memory = WeightMemory()
    names = [memory.put(host, 5, tf.fill([3], 5.0)) for host in (0, 1)]
    assert names[0] == names[1]
    assert memory.num_puts == 1
    later = memory.put(0, 6, tf.fill([3], 6.0))
    assert later != names[1], "host 1 still acts with version 5"
    assert memory.put(1, 6, tf.fill([3], 6.0)) == later
    assert memory.put(0, 7, tf.fill([3], 7.0)) == names[0], "nobody acts with version 5 any more"
    assert memory.num_puts == 3
    memory.close()


class FakeHosts:
    """Answers what a script says, and writes down what is asked."""

    num_weight_puts = 0
    place = True

    def __init__(self, tape, script, crew):
        self.tape, self.script, self.crew = tape, list(script), crew

    def start(self, host, seed):
        self.tape.append(f"start {host} with {seed}")

    def ask(self, host, version, flat_weights):
        self.tape.append(f"ask {host} with {version} {flat_weights}")

    def answers(self, timeout):
        if not self.script:
            self.crew.stop()
            return []
        if self.script[0] is None:
            return [self.script.pop(0)][:0]
        return [self.script.pop(0)]

    def have_place(self):
        return self.place

    def where(self, host):
        return f"process {100 + host}"

    def close(self):
        self.tape.append("close")


class FakeRun:
    """The feeder's surroundings. Each time that somebody looks there are newer weights."""

    def __init__(self):
        self.tape = []
        self.crew = Crew()
        self.version = 0

    def latest(self):
        self.version += 1
        return self.version, f"flat {self.version}"

    def put(self, unroll):
        self.tape.append(f"put {int(unroll.actor[0])}")

    def add_seconds(self, name, seconds):
        self.tape.append(f"{name} {seconds}")

    def count_restarts(self, number):
        if number:
            self.tape.append(f"restarts {number}")

    def enter(self, name):
        self.place = name

    def feed(self, *script):
        self.feeder = Feeder(
            FakeHosts(self.tape, script, self.crew), [range(0, 1), range(1, 3)], self, self, self, seed=40
        )
        self.feeder.work(self.crew)


def unroll_of(actor):
    """An answer. All leaves but one are left out."""
    _, _, _, queue = parts()
    leaves = tf.nest.map_structure(lambda leaf: np.zeros([1], leaf.dtype), queue.spec.leaves)
    return HostUnroll(leaves._replace(actor=np.array([actor], np.int32)), 0.5, 0.25, 0.125)


def test_the_next_unroll_is_asked_for_with_the_newest_weights_before_the_last_is_put():
    run = FakeRun()
    run.feed((0, Ready()), (1, Ready()), (1, unroll_of(2)), (0, unroll_of(0)))
    times = ["act 0.5", "environment 0.25", "put 0.125"]
    assert run.tape == [
        "start 0 with 40", "start 1 with 40", "ask 0 with 1 flat 1", "ask 1 with 2 flat 2",
        "ask 1 with 3 flat 3", *times, "put 2", "ask 0 with 4 flat 4", *times, "put 0", "close",
    ]  # fmt: skip
    assert run.feeder.traffic.actors == 3
    assert [(who, place.what) for who, place in run.feeder.asked()] == [
        ("actor 0 (process 100)", "host unroll"), ("actors 1 to 2 (process 101)", "host unroll")
    ]  # fmt: skip


def test_a_lost_host_is_started_again_with_another_seed(monkeypatch, capsys):
    monkeypatch.setattr(feeder_module, "RETRY_SECS", 0.0)
    run = FakeRun()
    run.feed((0, Ready()), (1, Ready()), (1, Lost("killed")), (1, Lost("not there yet")), (0, unroll_of(0)))
    assert run.tape[2:7] == [
        "ask 0 with 1 flat 1", "ask 1 with 2 flat 2", "start 1 with 41", "start 1 with 42", "ask 0 with 3 flat 3"
    ]  # fmt: skip
    traffic = run.feeder.traffic
    assert (traffic.actors, traffic.restarts) == (1, 1)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "actors 1 to 2: lost (killed); starting again" in err


def test_an_error_of_a_host_ends_the_run_with_it():
    try:
        raise OSError("the simulator has died")
    except OSError as error:
        failure = pickle.loads(pickle.dumps(Failure.of(error)))
    run = FakeRun()
    with pytest.raises(OSError, match=r"^the simulator has died$") as raised:
        run.feed((0, Ready()), (0, failure))
    assert "test_an_error_of_a_host" in str(raised.value.__cause__), "the traceback there is kept"
    assert run.tape[-1] == "close"


def test_an_error_that_cannot_be_copied_keeps_its_text():
    class Local(Exception):
        pass

    with pytest.raises(RuntimeError, match="Local: of a simulator"):
        Failure.of(Local("of a simulator")).throw()


@pytest.mark.parametrize("place", [True, False], ids=["retrying", "no machine"])
def test_a_run_without_actors_for_long_ends(place, monkeypatch):
    """Host 0 is being started again; that is no reason to wait when there is no machine for it."""
    monkeypatch.setattr(feeder_module, "GONE_SECS", -1.0)
    monkeypatch.setattr(FakeHosts, "place", place)
    monkeypatch.setattr(feeder_module, "RETRY_SECS", 0.0)
    run = FakeRun()
    script = [(0, Ready()), (1, Ready()), (0, Lost("node died")), (1, Lost("killed"))]
    monkeypatch.setattr(Feeder, "_start_lost", lambda self, hosts: place or self._start_at.clear())
    with pytest.raises(RuntimeError, match=r"every actor has been gone for 0 s \(actors 1 to 2: killed\)"):
        run.feed(*script, None)
    assert run.tape[-1] == "close"


def test_a_run_without_actors_yet_waits_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(feeder_module, "GONE_SECS", -1.0)
    monkeypatch.setattr(FakeHosts, "place", False)
    FakeRun().feed(None, None)
    assert "no actor is there after 0 s; waiting for them, and for a node" in capsys.readouterr().err


def test_rates_are_those_since_the_last_row(monkeypatch):
    traffic = Traffic()
    traffic._last = (traffic._last[0] - 2.0, 0, 0)
    traffic.bytes_in, traffic.weight_puts, traffic.actors = 4_000_000, 10, 3
    first = traffic.columns()
    assert first["actors_alive"] == 3
    assert first["unroll_mb_per_sec"] == pytest.approx(2.0, rel=0.1)
    assert first["weight_puts_per_sec"] == pytest.approx(5.0, rel=0.1)
    assert traffic.columns()["unroll_mb_per_sec"] == 0
