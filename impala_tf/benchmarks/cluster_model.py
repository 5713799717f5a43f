"""Models actors, a network, queues and synchronous learners: how fast would it be with N actors and L learners?

It is a simulation in discrete events (`events.py`); each process below is what a thread or a process of a run does.

What is assumed:
- An actor has a core while it acts. The seconds of an unroll vary by a normal distribution, as those of an update do.
- A learner's machine has one network card, which carries one message after the other each way at its full speed.
  Actors' cards are not a limit. The sum over learners is a ring of its own: it does not wait for unrolls on the card.
- The actors of a node share one copy of each version of the weights, and feed the same learner.
- One thread of a learner's process takes the actors' messages, and waits when the queue is full. That is the
  back-pressure: an actor begins its next unroll when the thread has taken its last.
- Nothing is lost, nobody dies, and a learner's update takes as long with many actors as alone.

**Little's law** gives the policy lag without a simulation. Unrolls under way = unrolls/s * seconds from an unroll's
weights to its update, and the learners make (unrolls/s) / (B L) updates per second, so

    lag = updates/s * seconds from the weights to the update = unrolls under way / (B L) = about N E / (B L),

since each of N actors has E unrolls under way. It does not depend on how fast anything is. Where the learner is the
limit, what waits for it is added: see `Sizes.lag_when_full`.
"""

import dataclasses
import math
import random

from impala_tf.benchmarks.events import BoundedQueue, Clock, Event, Level, Line, Process


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """What is measured, or chosen when machines are bought.

    act_secs: seconds that an actor needs for an unroll of each of its environments.
    act_variation, update_variation: standard deviations of the seconds of acting and of an update, as shares of them.
    update_secs: seconds that a learner needs for an update from its batch, without the sum over learners.
    message_secs: seconds that the learner's process needs for an actor's message, in one thread.
    gradient_secs: seconds that an A3C worker needs for the gradient of its unrolls; 0 means IMPALA.
    unroll_bytes: bytes of one environment's unroll. weights_bytes: bytes of the weights, and of the gradients.
    bytes_per_sec: speed of a learner's network card, each way. latency_secs: seconds of a message without content.
    """

    act_secs: float
    act_variation: float = 0.05
    update_secs: float = 0.0
    update_variation: float = 0.0
    message_secs: float = 0.0
    gradient_secs: float = 0.0
    unroll_bytes: float = 0.0
    weights_bytes: float = 0.0
    bytes_per_sec: float = math.inf
    latency_secs: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a user chooses for a run.

    num_actors, num_learners: of the whole cluster; num_actors >= num_learners.
    num_envs: E, environments of an actor. batch_size: B, unrolls in the batch of one learner.
    frames_per_unroll: environment frames of an unroll, T * action repeats.
    queue_capacity: unrolls that a learner's queue holds; 0 means one batch.
    actors_per_node: actors of a machine. cores_per_node: actors of a machine that can act at a time; 0 means all.
    turns: number of actors that act at a time where all are threads of the learner's process (--concurrent_actors).
        There is no network, and an actor keeps its turn until its unrolls are in the queue. 0 means that actors are
        processes elsewhere.
    """

    num_actors: int
    num_learners: int = 1
    num_envs: int = 1
    batch_size: int = 32
    frames_per_unroll: float = 400.0
    queue_capacity: int = 0
    actors_per_node: int = 1
    cores_per_node: int = 0
    turns: int = 0

    @property
    def group(self) -> int:
        """Returns the number of unrolls in an element of the queue; see `UnrollQueue`."""
        return math.gcd(self.batch_size, self.num_envs)

    @property
    def lag(self) -> float:
        """Returns N E / (B L), the policy lag in updates by Little's law where no unroll waits for anything."""
        return (self.turns or self.num_actors) * self.num_envs / (self.batch_size * self.num_learners)

    @property
    def lag_when_full(self) -> float:
        """Returns the policy lag in updates where the learner is the limit.

        To `lag` come a full queue, the batch in the stager's hands, the staged batch, and with actors elsewhere the
        unrolls with which the learner's process waits for room: it has asked their actor for the next ones already.
        """
        unrolls = (self.queue_capacity or self.batch_size) + 2 * self.batch_size + (0 if self.turns else self.num_envs)
        return self.lag + unrolls / self.batch_size

    @property
    def actors_together(self) -> int:
        """Returns the number of actors that share a copy of the weights and feed the same learner.

        With fewer nodes than learners a node's actors feed several learners.
        """
        return min(self.actors_per_node, max(1, self.num_actors // self.num_learners))

    @property
    def cores_together(self) -> int:
        """Returns how many of these actors can act at a time."""
        if not self.cores_per_node:
            return self.actors_together
        return max(1, self.cores_per_node * self.actors_together // self.actors_per_node)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model says.

    lag_mean, lag_max: policy lag, updates.
    busy: shares of the time in which each part works, by its name; with several learners the mean over them.
    limit: name of the busiest part.
    gbit_in, gbit_out: traffic of a learner's card, Gbit/s.
    """

    frames_per_sec: float
    updates_per_sec: float
    lag_mean: float
    lag_max: float
    busy: dict[str, float]
    gbit_in: float
    gbit_out: float

    @property
    def limit(self) -> str:
        return max(self.busy, key=lambda name: self.busy[name])


def ring_secs(costs: Costs, num_learners: int) -> float:
    """Returns the seconds of a ring all-reduce: 2 (L - 1) messages, one after the other, of 1 / L of the gradients."""
    message = costs.weights_bytes / num_learners / costs.bytes_per_sec + costs.latency_secs
    return 2 * (num_learners - 1) * message


def predict(costs: Costs, sizes: Sizes, seed: int = 0, num_updates: int = 0) -> Prediction:
    """Simulates until the numbers no longer depend on the start.

    num_updates: number of updates; 0 means 200 and four times the policy lag. The first half is not counted.
    """
    if not num_updates:
        num_updates = 200 + math.ceil(4 * (sizes.num_actors if costs.gradient_secs else sizes.lag))
    cluster = Cluster(costs, sizes, seed)
    cluster.run(num_updates // 2)
    first = cluster.totals()
    cluster.lags.clear()
    cluster.run(num_updates)
    return _prediction(cluster, first, cluster.totals())


def _prediction(cluster: "Cluster", first: "Totals", last: "Totals") -> Prediction:
    costs, sizes = cluster.costs, cluster.sizes
    passed = Totals(*(b - a for a, b in zip(dataclasses.astuple(first), dataclasses.astuple(last), strict=True)))
    learners = sizes.num_learners
    unrolls = sizes.num_envs if costs.gradient_secs else learners * sizes.batch_size
    cores = sizes.turns or math.ceil(sizes.num_actors * sizes.cores_together / sizes.actors_together)
    busy = {
        "actors": passed.acting / passed.secs / min(cores, sizes.num_actors),
        "learner": passed.updating / passed.secs,
        "network in": passed.card_in / passed.secs / learners,
        "network out": passed.card_out / passed.secs / learners,
        "messages": passed.messages / passed.secs / learners,
    }
    return Prediction(
        frames_per_sec=passed.updates * unrolls * sizes.frames_per_unroll / passed.secs,
        updates_per_sec=passed.updates / passed.secs,
        lag_mean=sum(cluster.lags) / len(cluster.lags),
        lag_max=max(cluster.lags),
        busy=busy,
        gbit_in=8e-9 * passed.bytes_in / passed.secs / learners,
        gbit_out=8e-9 * passed.bytes_out / passed.secs / learners,
    )


@dataclasses.dataclass(frozen=True)
class Totals:
    """Sums over all parts of the cluster since the start: updates, seconds of work, and bytes."""

    secs: float
    updates: int
    acting: float
    updating: float
    card_in: float
    card_out: float
    messages: float
    bytes_in: float
    bytes_out: float


class LearnerHost:
    """Is the machine of a learner: its network card each way, messages of actors, the unroll queue, the next batch."""

    def __init__(self, clock: Clock, queue_capacity: int):
        self.card_in, self.card_out, self.messages = Line(clock), Line(clock), Line(clock)
        self.inbox = BoundedQueue(clock, math.inf)  # It holds (policy version, event that the actor is asked again).
        self.queue = BoundedQueue(clock, queue_capacity)  # An item is the policy version of a group of unrolls.
        self.staged = BoundedQueue(clock, 1)


class Node:
    """Is a machine of actors: its cores, and the newest version of the weights, which all its actors share.

    ready_at: time at which that version is there.
    """

    def __init__(self, clock: Clock, num_cores: int, host: LearnerHost):
        self.host = host
        self.cores = BoundedQueue(clock, num_cores)
        self.cores.put([None] * num_cores)
        self.version = -1
        self.ready_at = 0.0


class Cluster:
    """Has the processes of a run.

    version: number of updates, which is the version of the newest weights.
    lags: policy lag of each group of unrolls that an update began with, in updates.
    """

    def __init__(self, costs: Costs, sizes: Sizes, seed: int = 0):
        assert sizes.num_actors >= sizes.num_learners, "a learner without actors waits forever"
        self.costs, self.sizes = costs, sizes
        self.clock = Clock()
        self.version = 0
        self.lags: list[int] = []
        self._random = random.Random(seed)
        self._acting, self._updating = Level(self.clock), Level(self.clock)
        self._bytes_in = self._bytes_out = 0.0
        self._groups = sizes.num_envs // sizes.group
        capacity = max(1, (sizes.queue_capacity or sizes.batch_size) // sizes.group)
        self._hosts = [LearnerHost(self.clock, capacity) for _ in range(sizes.num_learners)]
        self._turns = BoundedQueue(self.clock, max(1, sizes.turns))
        self._turns.put([None] * sizes.turns)
        self._start_actors()
        if not costs.gradient_secs:
            for host in self._hosts:
                self.clock.start(self.feed(host))
                self.clock.start(self.stage(host))
            self.clock.start(self.learn())

    def _start_actors(self) -> None:
        sizes = self.sizes
        cycle_secs = self.costs.act_secs + self.costs.gradient_secs
        process = self.thread if sizes.turns else self.worker if self.costs.gradient_secs else self.actor
        for index in range(sizes.num_actors):
            number, place = divmod(index, sizes.actors_together)
            if place == 0:
                node = Node(self.clock, sizes.cores_together, self._hosts[number % sizes.num_learners])
            # They do not begin in step.
            self.clock.start(process(node), self._random.random() * cycle_secs)

    def run(self, num_updates: int) -> None:
        """Lets time pass until so many updates have been made since the start."""
        self.clock.run(lambda: self.version >= num_updates)

    def totals(self) -> Totals:
        hosts = self._hosts
        return Totals(
            secs=self.clock.now,
            updates=self.version,
            acting=self._acting.integral(),
            updating=self._updating.integral(),
            card_in=sum(host.card_in.busy_secs() for host in hosts),
            card_out=sum(host.card_out.busy_secs() for host in hosts),
            messages=sum(host.messages.busy_secs() for host in hosts),
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
        )

    # The processes.

    def thread(self, node: Node) -> Process:
        """Is an actor thread in the learner's process; see `running/architectures/impala.py`."""
        while True:
            _, my_turn = self._turns.get(1)
            yield my_turn
            version = self.version
            yield from self._act()
            yield node.host.queue.put([version] * self._groups)
            self._turns.put([None])

    def actor(self, node: Node) -> Process:
        """Is an actor elsewhere: it gets the newest weights, acts, sends its unrolls, and waits to be asked again."""
        while True:
            version, secs = self._fetch_weights(node)
            yield secs
            yield from self._act_on_a_core(node)
            yield self._send(node.host, self.sizes.num_envs * self.costs.unroll_bytes)
            asked_again = Event()
            node.host.inbox.put([(version, asked_again)])
            yield asked_again

    def worker(self, node: Node) -> Process:
        """Is a worker of A3C: it gets the weights, acts, and sends a gradient, which is one update."""
        while True:
            version, secs = self._fetch_weights(node)
            yield secs
            yield from self._act_on_a_core(node)
            yield self.costs.gradient_secs
            yield self._send(node.host, self.costs.weights_bytes)
            self.lags.append(self.version - version)
            self.version += 1

    def feed(self, host: LearnerHost) -> Process:
        """Is the learner's thread for messages: it takes unrolls, asks for the next ones, and fills the queue."""
        while True:
            messages, has_come = host.inbox.get(1)
            yield has_come
            version, asked_again = messages[0]
            yield host.messages.serve(self.costs.message_secs)
            self.clock.happen(asked_again)
            yield host.queue.put([version] * self._groups)

    def stage(self, host: LearnerHost) -> Process:
        """Is the thread that takes the next batch from the queue while the learner learns from the last one."""
        while True:
            versions, is_full = host.queue.get(self.sizes.batch_size // self.sizes.group)
            yield is_full
            yield host.staged.put([versions])

    def learn(self) -> Process:
        """Is all learners, which begin each update together and wait for the slowest, then for the sum."""
        while True:
            batches = []
            for host in self._hosts:
                staged, has_come = host.staged.get(1)
                yield has_come
                batches += staged
            self.lags += [self.version - version for versions in batches for version in versions]
            slowest = max(self._varied(self.costs.update_secs, self.costs.update_variation) for _ in self._hosts)
            self._updating.add(1)
            yield slowest + ring_secs(self.costs, self.sizes.num_learners)
            self._updating.add(-1)
            self.version += 1

    # What they do.

    def _act(self) -> Process:
        self._acting.add(1)
        yield self._varied(self.costs.act_secs, self.costs.act_variation)
        self._acting.add(-1)

    def _act_on_a_core(self, node: Node) -> Process:
        _, has_core = node.cores.get(1)
        yield has_core
        yield from self._act()
        node.cores.put([None])

    def _fetch_weights(self, node: Node) -> tuple[int, float]:
        """Returns the newest version, and the seconds until it is at the node: it is sent there once only."""
        if node.version < self.version:
            secs = node.host.card_out.serve(self.costs.weights_bytes / self.costs.bytes_per_sec)
            node.version, node.ready_at = self.version, self.clock.now + secs + self.costs.latency_secs
            self._bytes_out += self.costs.weights_bytes
        return node.version, max(0.0, node.ready_at - self.clock.now)

    def _send(self, host: LearnerHost, num_bytes: float) -> float:
        """Returns the seconds until the learner's machine has it."""
        self._bytes_in += num_bytes
        return host.card_in.serve(num_bytes / self.costs.bytes_per_sec) + self.costs.latency_secs

    def _varied(self, mean: float, variation: float) -> float:
        return max(0.1 * mean, self._random.gauss(mean, variation * mean))
