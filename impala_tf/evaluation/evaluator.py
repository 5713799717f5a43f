"""Evaluates during training: plays episodes with the newest weights in environments of its own, now and then."""

import contextlib
import functools
import pathlib
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.environments import suites
from impala_tf.evaluation.agent_player import AgentPlayer
from impala_tf.evaluation.playing import NUM_ENVIRONMENTS, episode_statistics, play
from impala_tf.networks import Agent
from impala_tf.records.best_weights import Best, BestWeights
from impala_tf.records.evaluations import Evaluations
from impala_tf.support.threads import Closed, Crew

BUSY_SHARE = 0.04  # The evaluator's thread may be busy for this share of the time while the run goes on.
POLL_SECS = 0.05

# These are added to --seed; no actor has such a seed. All evaluations play the same episodes, so that their differences
# are smaller. The best weights then need other episodes for a score that is not too high.
SELECTION_SEED, SCORE_SEED = 1_000_000, 2_000_000


def wait_for_others(crew: Crew, busy_secs: float) -> None:
    """Waits until `busy_secs` are `BUSY_SHARE` of the time. Raises Closed when the run ends meanwhile."""
    if crew.wait(busy_secs * (1 / BUSY_SHARE - 1)):
        raise Closed


def no_pause(busy_secs: float) -> None:
    """Does not pause."""


class Evaluator:
    """Plays --evaluate_num_episodes of each task every --evaluate_every_frames and keeps the best weights.

    The score is the mean return; with several tasks the mean of their normalised returns, or of their returns when
    there is no reference for one of them.

    player: player whose agent nobody else uses.
    evaluations: writer of the results.
    directory: directory in which the best weights are kept.
    began_frames: number of environment frames of the run when it was resumed; 0 means that it is new.
    warn: function that gets a line when the best weights from before the resume are damaged, or cannot be written.
    """

    def __init__(
        self,
        config: Config,
        player: AgentPlayer,
        tasks: tuple[str, ...],
        evaluations: Evaluations,
        directory: pathlib.Path,
        began_frames: int,
        warn: Callable[[str], None],
    ):
        self._config = config
        self._player = player
        self._tasks = tasks
        self._evaluations = evaluations
        self._weights = BestWeights(directory)
        self._warn = warn
        if began_frames:
            self._weights.resume(warn)

    @property
    def best(self) -> Best | None:
        """Returns the description of the best weights; None before the first evaluation."""
        return self._weights.best

    def next_frames(self, environment_frames: int) -> int:
        """Returns the multiple of --evaluate_every_frames that comes next."""
        every = self._config.evaluate_every_frames
        return (environment_frames // every + 1) * every

    def work(self, crew: Crew, frames: Callable[[], int], latest: Callable[[], tuple[int, tf.Tensor]]) -> None:
        """Evaluates whenever it is due, until the crew stops; this is the evaluator's thread.

        frames: function that returns the number of environment frames of the run.
        latest: function that returns (version, flat weights).
        """
        due = self.next_frames(frames())
        with tf.device("/CPU:0"):
            while not crew.stopping:
                if frames() < due:
                    crew.wait(POLL_SECS)
                    continue
                due = self.next_frames(frames())
                self.evaluate(frames(), *latest(), pause=functools.partial(wait_for_others, crew))

    def evaluate(
        self,
        environment_frames: int,
        version: int,
        flat_weights: tf.Tensor,
        pause: Callable[[float], None] = no_pause,
    ) -> None:
        """Plays with these weights, writes the results, and keeps the weights if they are the best so far.

        version: number of the update that made the weights.
        pause: function that is called with the seconds that each row took, and may wait for other threads.
        """
        results = self._play_all(flat_weights, SELECTION_SEED, pause)
        for task, statistics in results.items():
            self._evaluations.record(environment_frames, version, task, statistics)
        score = score_of(results)
        if self.best is None or score > self.best.selection_score:
            with self._said_when_full():
                self._weights.keep(Best(environment_frames, version, score), flat_weights.numpy())

    def has_evaluated(self, environment_frames: int) -> bool:
        """Returns whether all tasks were evaluated after so many frames, now or before the run was resumed."""
        return self._evaluations.is_complete(environment_frames)

    def score_best(self, pause: Callable[[float], None] = no_pause) -> None:
        """Plays the best weights on other seeds than those of their choice, and keeps that score.

        An exception of `pause` ends it, and then no score is kept.
        """
        results = self._play_all(tf.constant(self._weights.flat_weights()), SCORE_SEED, pause)
        with self._said_when_full():
            self._weights.keep_score(score_of(results))

    @contextlib.contextmanager
    def _said_when_full(self) -> Iterator[None]:
        """Says when its block cannot write; the run does not need it."""
        try:
            yield
        except OSError as error:
            self._warn(f"the best weights cannot be written ({error.strerror}); what was kept before stays")

    def best_agent(self) -> Agent:
        """Returns the agent with the best weights."""
        self._player.agent.assign_flat_weights(tf.constant(self._weights.flat_weights()))
        return self._player.agent

    def _play_all(self, flat_weights: tf.Tensor, seed: int, pause: Callable[[float], None]) -> dict[str, dict]:
        """Returns the statistics of each task's episodes, by the task's id. seed: number that is added to --seed."""
        self._player.agent.assign_flat_weights(flat_weights)
        return {task: self._play_task(i, self._config.seed + seed, pause) for i, task in enumerate(self._tasks)}

    def _play_task(self, index: int, seed: int, pause: Callable[[float], None]) -> dict:
        config = self._config
        num_envs = min(NUM_ENVIRONMENTS, config.evaluate_num_episodes)
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
        return episode_statistics(episodes, config.seed)


def score_of(results: dict[str, dict]) -> float:
    """Returns the score of an evaluation, see `Evaluator`.

    results: statistics of each task's episodes, by the task's id.
    """
    means = {task: statistics["mean"] for task, statistics in results.items()}
    normalised = suites.summarise(means).mean if len(means) > 1 else float("nan")
    return float(np.mean(list(means.values()))) if np.isnan(normalised) else normalised
