"""Episode statistics and learner statistics; metrics.csv, episodes.csv and TensorBoard in the log directory."""

import collections
import contextlib
import csv
import pathlib
import threading
import time
from collections.abc import Callable

import numpy as np
import psutil
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DataType
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from impala_tf.environments import suites
from impala_tf.experience.batch_statistics import BatchStatistics
from impala_tf.types import Array

MEAN_WINDOW = 100  # Episodes in the running mean, as in CartPole-v1's definition of solved.
TENSORBOARD_EPISODES = 100  # Single episodes written to TensorBoard per row at most; episodes.csv has all.

EPISODE_COLUMNS = ("environment_frames", "actor", "task", "episode_return", "episode_length")

EVALUATION_COLUMNS = (
    "environment_frames", "updates", "task", "mean", "standard_error", "low_95", "high_95", "num_episodes",
)  # fmt: skip

# Means over an interval: the learner's times per update, the actors' (from "weights" on) per unroll.
TIMES = (
    "wait", "batch", "update", "weights", "turn", "act", "environment", "put", "gradient",
)  # fmt: skip

# How TensorBoard groups the columns; what is not here comes under "run".
_GROUPS = (
    ("losses", ("total", "policy_gradient", "baseline", "entropy", "gradient_norm")),
    ("policy", ("mean_entropy", "ratio_mean", "ratio_max", "ratio_min", "ratio_clipped_fraction")),
    ("episodes", ("episodes", "episode_return", "episode_length", "episode_return_last_100")),
    ("normalised", ("normalised_mean", "normalised_median", "normalised_mean_capped")),
)
_TAGS = {name: f"{group}/{name}" for group, names in _GROUPS for name in names}

# How the values of an interval become one row. The rest of a row is read off at its end.
_REDUCTIONS = {"ratio_max": np.max, "ratio_min": np.min, "policy_lag_max": np.max}  # Else the mean.


class Metrics:
    """Collects from the learner thread, writes from the main thread.

    logdir: where the files go; None writes nothing. names: of the learner's statistics vector. tasks: their ids.
    """

    def __init__(self, logdir: pathlib.Path | None, names: tuple[str, ...], tasks: tuple[str, ...] = ("",)):
        self._logdir = logdir
        self._names = names
        self._lock = threading.Lock()
        self._seconds_before = 0.0
        self._first_update: float | None = None
        # TensorBoard's own writer takes a whole row at once; tf.summary would be an op for each scalar.
        self._writer = EventFileWriter(str(logdir)) if logdir else None
        self._last_row = (0.0, 0)  # seconds, frames
        self._position = (0, 0, 0.0)  # frames, updates, learning rate
        self._totals: dict[str, float] = collections.defaultdict(float)
        # By task: a game with short episodes must not crowd out the others.
        self._recent_returns: dict[str, collections.deque[float]] = {
            task: collections.deque(maxlen=MEAN_WINDOW) for task in tasks
        }
        self.episodes = 0
        self.last_lag = 0.0
        self.trace: Callable[[str], contextlib.AbstractContextManager] | None = None  # See profile.py.
        self._begin_interval()

    def _begin_interval(self) -> None:
        self._statistics: list[Array] = []
        self._values: dict[str, list[float]] = collections.defaultdict(list)
        self._interval_episodes: list[tuple[int, BatchStatistics]] = []

    @property
    def seconds(self) -> float:
        """Of training, from the first update on, over all parts of a resumed run; start-up is not in it."""
        return self._seconds_before + self.seconds_here

    @property
    def seconds_here(self) -> float:
        """The part of them in this process."""
        return 0.0 if self._first_update is None else time.perf_counter() - self._first_update

    def mean_return(self) -> float:
        """Of the last 100 episodes; nan before the first. With several tasks: the mean of theirs."""
        return float(np.mean(list(self.mean_returns().values())))

    def mean_returns(self) -> dict[str, float]:
        """Of the last 100 episodes of each task."""
        with self._lock:
            return {
                task: float(np.mean(returns)) if returns else float("nan")
                for task, returns in self._recent_returns.items()
            }

    @contextlib.contextmanager
    def timer(self, name: str):
        """Adds the seconds of its block to the column secs/name."""
        start = time.perf_counter()
        trace = self.trace
        with trace(name) if trace else contextlib.nullcontext():
            yield
        self.add_seconds(name, time.perf_counter() - start)

    def add_seconds(self, name: str, seconds: float) -> None:
        """Adds to the column secs/name, which is a mean, and to `total_seconds`."""
        with self._lock:
            self._values[f"secs/{name}"].append(seconds)
            if self._first_update is not None and time.perf_counter() - seconds > self._first_update:
                self._totals[name] += seconds

    def total_seconds(self, name: str) -> float:
        """Of what began after the first update: before it everybody waits for tracing and compilation."""
        with self._lock:
            return self._totals[name]

    def record(
        self, environment_frames: int, updates: int, learning_rate: float, batch: BatchStatistics, statistics: Array
    ) -> None:
        """After an update; the counts and the rate are those after it, so the lag is the age of the acting weights."""
        lags = updates - 1 - batch.versions
        with self._lock:
            if self._first_update is None:
                self._first_update = time.perf_counter()
            self._position = (environment_frames, updates, learning_rate)
            self._statistics.append(statistics)
            self._values["policy_lag_mean"].append(float(lags.mean()))
            self._values["policy_lag_max"].append(float(lags.max()))
            self.last_lag = float(lags.mean())
            if len(batch.returns):
                self._interval_episodes.append((environment_frames, batch))
                for index, recent in enumerate(self._recent_returns.values()):
                    recent.extend(batch.returns[batch.tasks == index].tolist())
                self.episodes += len(batch.returns)

    def write_row(self, queue_size: int) -> dict | None:
        """One row of metrics.csv and TensorBoard over all that was recorded since the last, if anything was.

        Returns the row.
        """
        with self._lock:
            if not self._statistics:
                return None
            statistics, values, episodes = self._statistics, self._values, self._interval_episodes
            environment_frames, updates, learning_rate = self._position
            self._begin_interval()
        matrix = np.stack([np.asarray(vector) for vector in statistics])
        columns = {name: matrix[:, i] for i, name in enumerate(self._names)}
        timed = [f"secs/{name}" for name in TIMES]
        columns |= {name: np.array(values[name]) for name in ("policy_lag_mean", "policy_lag_max", *timed)}
        returns = [float(x) for _, batch in episodes for x in batch.returns]
        lengths = [float(x) for _, batch in episodes for x in batch.lengths]
        seconds = self.seconds
        row = {
            "environment_frames": environment_frames,
            "updates": updates,
            "seconds": seconds,
            "frames_per_sec": (environment_frames - self._last_row[1]) / (seconds - self._last_row[0]),
            "episodes": self.episodes,
            "episode_return_last_100": self.mean_return(),
            "episode_return": np.mean(returns) if returns else float("nan"),
            "episode_length": np.mean(lengths) if lengths else float("nan"),
            "learning_rate": learning_rate,
            "queue_size": queue_size,
            "resident_mib": psutil.Process().memory_info().rss / 2**20,
        }
        if len(self._recent_returns) > 1:
            row |= self._task_columns()
        for name, column in columns.items():
            row[name] = float(_REDUCTIONS.get(name, np.mean)(column)) if len(column) else float("nan")
        self._last_row = (seconds, environment_frames)
        if self._logdir:
            self._append_csv(
                "metrics.csv",
                tuple(row),
                [[f"{value:.6g}" if isinstance(value, float) else value for value in row.values()]],
            )
            self._append_csv("episodes.csv", EPISODE_COLUMNS, self._episode_rows(episodes))
            self._write_summaries(row, returns, lengths)
        return row

    def _task_columns(self) -> dict[str, float]:
        scores = self.mean_returns()
        normalised = suites.summarise(scores)._asdict()
        return {f"return/{task}": score for task, score in scores.items()} | {
            f"normalised_{name}": value for name, value in normalised.items()
        }

    def _episode_rows(self, episodes: list[tuple[int, BatchStatistics]]) -> list[list]:
        names = list(self._recent_returns)
        rows = []
        for frames, batch in episodes:
            columns = (batch.actors, batch.tasks, batch.returns, batch.lengths)
            for actor, task, episode_return, length in zip(*columns, strict=True):
                rows.append([frames, actor, names[task], f"{episode_return:g}", length])
        return rows

    def _append_csv(self, name: str, header: tuple[str, ...], rows: list[list]) -> None:
        assert self._logdir
        path = self._logdir / name
        is_new = not path.exists() or path.stat().st_size == 0
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(header)
            writer.writerows(rows)

    def _write_summaries(self, row: dict, returns: list[float], lengths: list[float]) -> None:
        assert self._writer
        frames = row["environment_frames"]
        skipped = ("environment_frames", "episode_return", "episode_length")
        self._add_scalars(frames, {n: v for n, v in row.items() if n not in skipped and not np.isnan(v)})
        stride = max(1, len(returns) // TENSORBOARD_EPISODES)
        for episode_return, length in list(zip(returns, lengths, strict=True))[::stride]:
            self._add_scalars(frames, {"episode_return": episode_return, "episode_length": length})
        self._writer.flush()

    def record_evaluation(self, environment_frames: int, updates: int, task: str, result: dict) -> None:
        """A row of evaluations.csv and TensorBoard. result: see `playing.report`. From a thread of its own."""
        low, high = result["interval_95"]
        numbers = [f"{x:.6g}" for x in (result["mean"], result["standard_error"], low, high)]
        row = [environment_frames, updates, task, *numbers, result["num_episodes"]]
        self._append_csv("evaluations.csv", EVALUATION_COLUMNS, [row])
        suffix = f"/{task}" if len(self._recent_returns) > 1 else ""
        self._add_scalars(environment_frames, {f"evaluation/mean_return{suffix}": result["mean"]})

    def evaluated(self, environment_frames: int) -> set[str]:
        """The tasks that evaluations.csv has a row of after so many frames."""
        assert self._logdir
        path = self._logdir / "evaluations.csv"
        if not path.exists():
            return set()
        with path.open(newline="") as file:
            rows = csv.DictReader(file)
            return {row["task"] for row in rows if int(row["environment_frames"]) == environment_frames}

    def write_text(self, name: str, text: str) -> None:
        """A note for TensorBoard's TEXT page."""
        if self._writer:
            tensor = TensorProto(dtype=DataType.DT_STRING, string_val=[text.encode()])
            metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
            value = Summary.Value(tag=name, metadata=metadata, tensor=tensor)
            step = self._position[0]
            self._writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=[value])))

    def _add_scalars(self, step: int, scalars: dict[str, float]) -> None:
        assert self._writer
        values = [Summary.Value(tag=_tag(name), simple_value=value) for name, value in scalars.items()]
        self._writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=values)))

    def state(self) -> dict:
        """As JSON; the part of a checkpoint that lets the statistics go on."""
        with self._lock:
            recent = {task: list(returns) for task, returns in self._recent_returns.items()}
            return dict(seconds=self.seconds, episodes=self.episodes, recent_returns=recent)

    def restore(self, state: dict, environment_frames: int) -> None:
        """Goes on from a checkpoint. Rows past it belong to updates that were lost, so they are dropped."""
        self._seconds_before = state["seconds"]
        self.episodes = state["episodes"]
        for task, returns in state["recent_returns"].items():
            self._recent_returns[task].extend(returns)
        self._last_row = (state["seconds"], environment_frames)
        if self._writer:
            # TensorBoard drops what earlier files have from this step on.
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(step=environment_frames + 1, wall_time=time.time(), session_log=start))
        if self._logdir:
            for name in ("metrics.csv", "episodes.csv", "evaluations.csv"):
                _drop_rows_after(self._logdir / name, environment_frames)

    def close(self) -> None:
        if self._writer:
            self._writer.close()


def _tag(name: str) -> str:
    return name if "/" in name else _TAGS.get(name, f"run/{name}")


def _drop_rows_after(path: pathlib.Path, environment_frames: int) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    header, *rows = path.read_text().splitlines(keepends=True)
    column = header.strip().split(",").index("environment_frames")
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[column]) <= environment_frames]
    if len(kept) < len(rows):
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join([header, *kept]))
        temporary.replace(path)
