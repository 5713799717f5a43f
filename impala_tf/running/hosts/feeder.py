"""Has the learner's side of actors in other processes: one thread, which puts their unrolls into the queue."""

import contextlib
import time

import tensorflow as tf

from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.experience.weights import WeightStore
from impala_tf.records.metrics import Metrics
from impala_tf.running.hosts.answers import Answer, Failure, Hosts, HostUnroll, Lost, named
from impala_tf.running.hosts.tensors import TensorsOfArrays
from impala_tf.running.hosts.traffic import Traffic
from impala_tf.support.messages import warn
from impala_tf.support.places import Place
from impala_tf.support.threads import Crew

POLL_SECS = 0.5  # The thread sees so often that the run ends, if no host answers.
RETRY_SECS = 1.0  # A lost host is started again after this time, then after twice the time, and so on,
MAX_RETRY_SECS = 30.0  # up to this.
GONE_SECS = 60.0  # The run ends when every host was gone for so long.


class Feeder:
    """Asks each host for an unroll, puts it into the queue, and asks again with the newest weights.

    The next request is sent before the unroll is put, so that a host acts while this thread waits for room. When the
    queue stays full nothing more is asked for; so the queue bounds the policy lag here, too. A host that is lost loses
    the unroll in its hands, and is started again with other seeds.

    hosts: hosts, which the feeder starts and ends.
    indices: indices of each host's actors.
    seed: seed of all actors of the run.
    """

    def __init__(
        self,
        hosts: Hosts,
        indices: list[range],
        queue: UnrollQueue,
        weights: WeightStore,
        metrics: Metrics,
        seed: int,
    ):
        self._hosts = hosts
        self._indices = indices
        self._queue = queue
        self._weights = weights
        self._metrics = metrics
        self._tensors = TensorsOfArrays()
        self._seeds = [seed] * len(indices)
        self._is_alive = [False] * len(indices)
        self._tries = [0] * len(indices)  # Each host was started so often since it was lost.
        self._start_at: dict[int, float] = {}  # The lost hosts, and when they are started again.
        self._last_life = 0.0
        self._why_lost = ""
        self._times_said = 0
        self._asked = [Place() for _ in indices]  # The places of the hosts, as far as they are known here.
        self.traffic = Traffic()

    def asked(self) -> list[tuple[str, Place]]:
        """Returns the hosts that are asked for something, by name, with what that is and since when."""
        return [
            (f"{named(indices)} ({self._hosts.where(host)})", self._asked[host])
            for host, indices in enumerate(self._indices)
            if self._asked[host].what
        ]

    def work(self, crew: Crew) -> None:
        """Does the thread's work until the crew is stopping; then ends the hosts."""
        with contextlib.closing(self._hosts) as hosts, tf.device("/CPU:0"):
            self._last_life = time.monotonic()
            for host in range(len(self._indices)):
                self._start(hosts, host)
            while not crew.stopping:
                self._metrics.enter("answers")
                for host, answer in hosts.answers(POLL_SECS):
                    self._take(hosts, host, answer)
                self.traffic.weight_puts = hosts.num_weight_puts
                self._start_lost(hosts)
                self._look_for_life(hosts)

    def _start(self, hosts: Hosts, host: int) -> None:
        hosts.start(host, self._seeds[host])
        self._asked[host].enter("host start")

    def _take(self, hosts: Hosts, host: int, answer: Answer) -> None:
        self._asked[host].enter("")
        if isinstance(answer, Failure):
            answer.throw()
        if isinstance(answer, Lost):
            self._lose(host, answer.why)
            return
        if not self._is_alive[host]:
            self._is_alive[host] = True
            self._count_alive()
            if self._tries[host]:
                warn(f"{named(self._indices[host])}: there again")
            self._tries[host] = 0
        hosts.ask(host, *self._weights.latest())
        self._asked[host].enter("host unroll")
        if isinstance(answer, HostUnroll):
            self._put(answer)
        self._last_life = time.monotonic()
        self._times_said = 0

    def _put(self, answer: HostUnroll) -> None:
        metrics = self._metrics
        metrics.add_seconds("act", answer.act_secs)
        metrics.add_seconds("environment", answer.environment_secs)
        # While its host idles an unroll is on its way, or waits for room.
        metrics.add_seconds("put", answer.idle_secs)
        metrics.count_restarts(answer.env_restarts)
        self.traffic.bytes_in += sum(leaf.nbytes for leaf in tf.nest.flatten(answer.unroll))
        metrics.enter("put")
        self._queue.put(self._tensors(answer.unroll))

    def _lose(self, host: int, why: str) -> None:
        """Counts a loss, and lets the host be started again."""
        self._why_lost = f"{named(self._indices[host])}: {why}"
        if self._tries[host] == 0:
            self.traffic.restarts += 1
            warn(f"{named(self._indices[host])}: lost ({why}); starting again")
        self._is_alive[host] = False
        self._count_alive()
        self._start_at[host] = time.monotonic() + min(RETRY_SECS * 2 ** self._tries[host], MAX_RETRY_SECS)
        self._tries[host] += 1

    def _start_lost(self, hosts: Hosts) -> None:
        now = time.monotonic()
        for host in [host for host, at in self._start_at.items() if at <= now]:
            del self._start_at[host]
            self._seeds[host] += 1  # With the same seed the actors would begin as they began before.
            self._start(hosts, host)

    def _look_for_life(self, hosts: Hosts) -> None:
        """Says once a minute that no actor is there. Raises RuntimeError when all that were there are gone for good."""
        gone_secs = time.monotonic() - self._last_life
        if any(self._is_alive) or gone_secs < (1 + self._times_said) * GONE_SECS:
            return
        are_all_lost = len(self._start_at) == len(self._indices)
        if self._why_lost and (are_all_lost or not hosts.have_place()):
            raise RuntimeError(f"every actor has been gone for {gone_secs:.0f} s ({self._why_lost})")
        self._times_said += 1
        node = "" if hosts.have_place() else ", and for a node that has room for one"
        warn(f"no actor is there after {gone_secs:.0f} s; waiting for them{node}")

    def _count_alive(self) -> None:
        alive = zip(self._indices, self._is_alive, strict=True)
        self.traffic.actors = sum(len(indices) for indices, is_alive in alive if is_alive)
