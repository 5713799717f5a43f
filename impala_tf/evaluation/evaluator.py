"""Evaluation during training: episodes with the weights that actors get, in environments of its own, now and then."""

import functools
import pathlib
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.environments import suites
from impala_tf.evaluation.playing import NUM_ENVIRONMENTS, play, report
from impala_tf.networks import Agent
from impala_tf.records.evaluations import Evaluations
from impala_tf.records.files import DamagedFileError, read_npz, write_npz
from impala_tf.support.threads import Closed, Crew

SHARE = 0.04  # Of the time that the evaluation's thread may be busy while the run goes on.
POLL_SECS = 0.05
BEST = "best.npz"  # In the log directory's checkpoints.


def room_for_others(crew: Crew, busy_secs: float) -> None:
    """Waits so long that `busy_secs` were `SHARE` of the time. Raises Closed when the run ends meanwhile."""
    if crew.wait(busy_secs * (1 / SHARE - 1)):
        raise Closed


class AgentPlayer:
    """An agent with weights that are given to it, as a `Player`."""

    def __init__(self, agent: Agent):
        self.agent = agent
        self._step = tf.function(self._graph, autograph=False)

    def _graph(self, observation, reward, last_action, first, core_state, seed):
        step = self.agent.step(observation, reward, last_action, first, core_state, seed)
        mode = self.agent.distribution.mode(step.parameters)
        return dict(action=step.action, greedy_action=mode, core_state=step.core_state)

    def initial_state(self, batch_size: int) -> tf.Tensor:
        return self.agent.initial_state(batch_size)

    def initial_action(self, batch_size: int) -> np.ndarray:
        distribution = self.agent.distribution
        return np.zeros([batch_size, *distribution.action_shape], distribution.action_dtype.as_numpy_dtype)

    def step(self, observation, reward, last_action, first, core_state, seed) -> dict[str, tf.Tensor]:
        inputs = (observation, reward, last_action, first, core_state, seed)
        return self._step(*tf.nest.map_structure(tf.convert_to_tensor, inputs))


class Evaluator:
    """Plays --evaluate_num_episodes of each task every --evaluate_every_frames and keeps the best weights.

    The score is the mean return; with several tasks the mean of their normalised returns, or of their returns when
    there is no reference for one of them.

    agent: its own. directory: where the best weights are kept, as `BEST`.
    began_frames: what the run had made when it was resumed; 0: it is new.
    warn: gets a line when the best weights of before are damaged.
    """

    def __init__(
        self,
        config: Config,
        agent: Agent,
        tasks: tuple[str, ...],
        evaluations: Evaluations,
        directory: pathlib.Path,
        began_frames: int,
        warn: Callable[[str], None],
    ):
        self.agent = agent
        self._config = config
        self._tasks = tasks
        self._evaluations = evaluations
        self._player = AgentPlayer(agent)
        self._path = directory / BEST
        self.best_score, self.best_frames = -np.inf, 0
        if began_frames and self._path.exists():
            try:
                _, info = read_npz(self._path)
                self.best_score, self.best_frames = info["score"], info["environment_frames"]
            except (DamagedFileError, KeyError) as error:
                warn(f"{self._path} is damaged ({error}); the best weights are sought anew")

    def next_frames(self, environment_frames: int) -> int:
        """The multiple of --evaluate_every_frames that comes next."""
        every = self._config.evaluate_every_frames
        return (environment_frames // every + 1) * every

    def work(self, crew: Crew, frames: Callable[[], int], latest: Callable[[], tuple[int, tf.Tensor]]) -> None:
        """The thread: an evaluation whenever one is due. frames: how many the run has made. latest: weights."""
        due = self.next_frames(frames())
        with tf.device("/CPU:0"):
            while not crew.stopping:
                if frames() < due:
                    crew.wait(POLL_SECS)
                    continue
                due = self.next_frames(frames())
                self.evaluate(frames(), *latest(), pause=functools.partial(room_for_others, crew))

    def evaluate(
        self,
        environment_frames: int,
        version: int,
        flat_weights: tf.Tensor,
        pause: Callable[[float], None] = lambda busy_secs: None,
    ) -> None:
        """pause: called with the seconds that each row took, to make room for others."""
        self.agent.assign_flat_weights(flat_weights)
        means = {}
        for index, task in enumerate(self._tasks):
            result = self._evaluate_task(index, pause)
            means[task] = result["mean"]
            self._evaluations.record(environment_frames, version, task, result)
        score = suites.summarise(means).mean if len(means) > 1 else float("nan")
        score = float(np.mean(list(means.values()))) if np.isnan(score) else score
        if score > self.best_score:
            self.best_score, self.best_frames = score, environment_frames
            self._keep(environment_frames, version, flat_weights)

    def has_evaluated(self, environment_frames: int) -> bool:
        """All tasks, now or before the run was resumed."""
        return self._evaluations.is_complete(environment_frames)

    def _evaluate_task(self, index: int, pause: Callable[[float], None]) -> dict:
        config = self._config
        num_envs = min(NUM_ENVIRONMENTS, config.evaluate_num_episodes)
        # Not the seeds of the actors; the same ones every time, which makes differences between evaluations smaller.
        seed = config.seed + 1_000_000
        environment = environments.make_vector_environment(config, seed, index, num_envs, whole_games=True)
        started: float | None = None  # The first row traces the graph, once.

        def on_row(row, step) -> None:
            nonlocal started
            pause(0.0 if started is None else time.perf_counter() - started)
            started = time.perf_counter()

        try:
            episodes = play(
                self._player, environment, config.evaluate_num_episodes, config.evaluate_greedy, seed, on_row, False
            )
        finally:
            environment.close()
        return report(episodes, config.seed)

    def _keep(self, environment_frames: int, version: int, flat_weights: tf.Tensor) -> None:
        info = dict(score=self.best_score, environment_frames=environment_frames, updates=version)
        write_npz(self._path, dict(flat_weights=flat_weights.numpy()), info)

    def best(self) -> Agent | None:
        """The agent with the best weights; None before the first evaluation."""
        if not self.best_frames:
            return None
        arrays, _ = read_npz(self._path)
        self.agent.assign_flat_weights(tf.constant(arrays["flat_weights"]))
        return self.agent
