"""Collects what a run measures, and writes it: metrics.csv, episodes.csv and TensorBoard in the log directory."""

import collections
import contextlib
import pathlib
import threading
import time
from collections.abc import Callable

import numpy as np
import psutil

from impala_tf.experience.batch_statistics import BatchStatistics
from impala_tf.records.evaluations import Evaluations
from impala_tf.records.recent_returns import RecentReturns
from impala_tf.records.rows import EPISODE_COLUMNS, Interval, Position, as_text
from impala_tf.records.tables import TABLES, Table, drop_rows_after
from impala_tf.records.tensorboard import TensorBoardWriter
from impala_tf.support.messages import warn
from impala_tf.support.places import Place
from impala_tf.types import Array

TENSORBOARD_EPISODES = 100  # TensorBoard gets at most so many single episodes per row; episodes.csv has all.


class Metrics:
    """Collects what the threads of a run measure, and writes it.

    logdir: directory of the files.
    names: names of the learner's metrics, in the order of `UpdateResult.metrics`.
    tasks: ids of the run's tasks.
    evaluations: writer of the evaluations during training.
    trace: function that makes a context of the name of a timed block, while a profile is taken; see profile.py.
    more_columns: functions that return further columns of a row, which only some runs have.
    aborted: number of episodes that were lost, because their environments failed.
    env_restarts: number of environments that were made anew.
    places: place of each thread that was timed, by its identifier.
    """

    def __init__(self, logdir: pathlib.Path, names: tuple[str, ...], tasks: tuple[str, ...] = ("",)):
        self._logdir = logdir
        self._names = names
        self._tasks = tasks
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._tables = [Table(logdir / name, warn) for name in ("metrics.csv", "episodes.csv")]
        self._seconds_before = 0.0
        self._first_update: float | None = None
        self._tensorboard = TensorBoardWriter(logdir)
        self._last_row = (0.0, 0)  # seconds, environment frames
        self._position = Position(0, 0, 0.0)
        self._totals: dict[str, float] = collections.defaultdict(float)
        self._recent = RecentReturns(tasks)
        self._interval = Interval()
        self.evaluations = Evaluations(logdir / "evaluations.csv", self._tensorboard, tasks)
        self.episodes = 0
        self.last_lag = 0.0
        self.trace: Callable[[str], contextlib.AbstractContextManager] | None = None
        self.more_columns: list[Callable[[], dict[str, float]]] = []
        self.aborted = 0
        self.env_restarts = 0
        self.places: dict[int, Place] = collections.defaultdict(Place)

    @property
    def seconds(self) -> float:
        """Returns seconds since the first update, including those before the run was resumed, without start-up."""
        return self._seconds_before + self.seconds_here

    @property
    def seconds_here(self) -> float:
        """Returns the part of `seconds` in this process."""
        return 0.0 if self._first_update is None else time.perf_counter() - self._first_update

    def mean_return(self) -> float:
        """Returns the mean of the last 100 returns, with several tasks the mean of their means; nan before any."""
        with self._lock:
            return self._recent.mean()

    def mean_returns(self) -> dict[str, float]:
        """Returns the mean return of the last 100 episodes of each task."""
        with self._lock:
            return self._recent.means()

    @contextlib.contextmanager
    def timer(self, name: str):
        """Adds the seconds of its block to the column secs/name. Meanwhile the thread's place is the block."""
        place = self.places[threading.get_ident()]
        around = place.what
        place.enter(name)
        start = place.since
        trace = self.trace
        try:
            with trace(name) if trace else contextlib.nullcontext():
                yield
        finally:
            place.enter(around)
        self.add_seconds(name, place.since - start)

    def enter(self, name: str) -> None:
        """Notes that this thread is in the block `name` now, which is not timed."""
        self.places[threading.get_ident()].enter(name)

    def add_seconds(self, name: str, seconds: float) -> None:
        """Adds to the column secs/name, which is a mean, and to `total_seconds`."""
        with self._lock:
            self._interval.values[f"secs/{name}"].append(seconds)
            if self._first_update is not None and time.perf_counter() - seconds > self._first_update:
                self._totals[name] += seconds

    def total_seconds(self, name: str) -> float:
        """Returns the seconds of blocks that began after the first update; before it all wait for compilation."""
        with self._lock:
            return self._totals[name]

    def record(
        self, environment_frames: int, updates: int, learning_rate: float, batch: BatchStatistics, metrics: Array | None
    ) -> None:
        """Records an update; one without metrics was skipped. The counts and the rate are those after it.

        The policy lag is the number of updates between the acting weights and those that the update began with.
        """
        lags = updates - 1 - batch.versions
        with self._lock:
            if self._first_update is None:
                self._first_update = time.perf_counter()
            self._position = Position(environment_frames, updates, learning_rate)
            if metrics is not None:
                self._interval.metrics.append(metrics)
            self._interval.values["skipped_updates"].append(float(metrics is None))
            self._interval.values["policy_lag_mean"].append(float(lags.mean()))
            self._interval.values["policy_lag_max"].append(float(lags.max()))
            self._interval.values["dropped_unrolls"].append(batch.num_dropped)
            self.last_lag = float(lags.mean())
            self.aborted += batch.num_aborted
            if len(batch.returns):
                self._interval.batches.append((environment_frames, batch))
                self._recent.add(batch)
                self.episodes += len(batch.returns)

    def write_row(self, queue_size: int, sync: bool = False) -> dict[str, float] | None:
        """Writes one row over all that was recorded since the last, and returns it; None when nothing was.

        sync: whether to wait until the row, and the episodes in it, are on the disk.
        """
        with self._write_lock:
            with self._lock:
                if not self._interval.values["skipped_updates"]:
                    return None
                interval, position = self._interval, self._position
                self._interval = Interval()
            row = self._row(interval, position, queue_size)
            self._last_row = (row["seconds"], position.environment_frames)
            metrics, episodes = self._tables
            metrics.append(tuple(row), [as_text(row)], sync)
            episodes.append(EPISODE_COLUMNS, interval.episode_rows(self._tasks), sync)
            self._write_summaries(row, interval)
            return row

    def _row(self, interval: Interval, position: Position, queue_size: int) -> dict[str, float]:
        seconds = self.seconds
        returns, lengths = interval.returns(), interval.lengths()
        last_seconds, last_frames = self._last_row
        row: dict[str, float] = {
            "environment_frames": position.environment_frames,
            "updates": position.updates,
            "seconds": seconds,
            "frames_per_sec": (position.environment_frames - last_frames) / (seconds - last_seconds),
            "episodes": self.episodes,
            "episode_return_last_100": self.mean_return(),
            "episode_return": float(np.mean(returns)) if returns else float("nan"),
            "episode_length": float(np.mean(lengths)) if lengths else float("nan"),
            "learning_rate": position.learning_rate,
            "queue_size": queue_size,
            "resident_mib": psutil.Process().memory_info().rss / 2**20,
        }
        if len(self._tasks) > 1:
            with self._lock:
                means, normalised = self._recent.means(), self._recent.normalised()
            row |= {f"return/{task}": mean for task, mean in means.items()}
            row |= {f"normalised_{name}": value for name, value in normalised._asdict().items()}
        row |= interval.columns(self._names)
        for columns in self.more_columns:
            row |= columns()
        return row

    def _write_summaries(self, row: dict[str, float], interval: Interval) -> None:
        """Writes the row, with single episodes in the place of its means over episodes."""
        frames = int(row["environment_frames"])
        skipped = ("environment_frames", "episode_return", "episode_length")
        scalars = {name: value for name, value in row.items() if name not in skipped and not np.isnan(value)}
        self._tensorboard.add_scalars(frames, scalars)
        episodes = list(zip(interval.returns(), interval.lengths(), strict=True))
        for episode_return, length in episodes[:: max(1, len(episodes) // TENSORBOARD_EPISODES)]:
            self._tensorboard.add_scalars(frames, {"episode_return": episode_return, "episode_length": length})
        self._tensorboard.flush()

    def count_restarts(self, number: int = 1) -> None:
        """Counts environments that were made anew."""
        with self._lock:
            self.env_restarts += number

    def restart_columns(self) -> dict[str, float]:
        """Returns the columns of a run whose environments may be made anew; the counts are of the whole run."""
        with self._lock:
            return {"env_restarts": self.env_restarts, "aborted_episodes": self.aborted}

    def write_text(self, name: str, text: str) -> None:
        """Writes a note for TensorBoard's TEXT page."""
        self._tensorboard.add_text(self._position.environment_frames, name, text)

    def state(self) -> dict:
        """Returns what a checkpoint needs so that the records go on, as JSON."""
        with self._lock:
            return dict(
                seconds=self.seconds,
                episodes=self.episodes,
                aborted=self.aborted,
                env_restarts=self.env_restarts,
                recent_returns=self._recent.state(),
            )

    def restore(self, state: dict, environment_frames: int) -> None:
        """Goes on from a checkpoint. Rows past it belong to updates that were lost, so they are dropped."""
        self._seconds_before = state["seconds"]
        self.episodes = state["episodes"]
        self.aborted = state.get("aborted", 0)  # A checkpoint of an earlier version has no such counts.
        self.env_restarts = state.get("env_restarts", 0)
        self._recent.restore(state["recent_returns"])
        self._last_row = (state["seconds"], environment_frames)
        self._tensorboard.restart_after(environment_frames)
        for name in TABLES:
            kept = drop_rows_after(self._logdir / name, environment_frames)
            if kept.damage:
                warn(kept.damage)

    def check(self, state: dict) -> None:
        """Raises KeyError, ValueError or TypeError when `restore` could not take the state."""
        seconds, episodes, returns = (state[name] for name in ("seconds", "episodes", "recent_returns"))
        if not (np.isfinite(seconds) and seconds >= 0 and episodes >= 0 and set(returns) <= set(self._tasks)):
            raise ValueError("its records are not those of this run")

    def close(self) -> None:
        for table in self._tables:
            table.close()
        self._tensorboard.close()
