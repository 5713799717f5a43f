"""Takes the results of the members, decides how each goes on, and records it. It runs where the command was given."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from impala_tf.config import Config
from impala_tf.populations.directory import Assignment, PopulationDirectory
from impala_tf.populations.history import History, Row
from impala_tf.populations.options import Options, within_settings
from impala_tf.populations.ranges import start_values
from impala_tf.populations.rules import Decision, Rules, decide
from impala_tf.support.messages import number


class Exchange:
    """Keeps nothing but what is in the directory.

    options: result of `options.completed`.
    """

    def __init__(self, directory: PopulationDirectory, config: Config, options: Options):
        self._directory = directory
        self._config = config
        self._options = options
        self.history = History(directory.history, [item.name for item in options.ranges])
        self._rules = Rules(options.burn_in_frames, options.margin, options.score != "capped")

    def begin(self) -> list[int]:
        """Gives each new member its start. Returns the members that have not ended."""
        going = []
        for index in range(self._options.population):
            assignment = self._directory.assignment(index)
            if assignment is None:
                values = start_values(self._options.ranges, self._config.seed, index)
                assignment = self._piece(values, 0, 0, takes=False)
                self._directory.assign(index, assignment)
            elif assignment.until_frames <= assignment.environment_frames < self._config.total_environment_frames:
                # The budget was raised after the member had ended.
                until = self._until(assignment.environment_frames)
                self._directory.assign(index, assignment._replace(until_frames=until))
            if not assignment.stopped and assignment.environment_frames < self._config.total_environment_frames:
                going.append(index)
        return going

    def _piece(self, hyperparameters: dict[str, float], frames: int, episodes: int, takes: bool) -> Assignment:
        interval = self._options.interval_episodes
        until_episodes = episodes + interval if interval else 0
        return Assignment(hyperparameters, frames, self._until(frames), until_episodes, takes)

    def _until(self, frames: int) -> int:
        return min(self._config.total_environment_frames, frames + self._options.interval_frames)

    def take(self, result: Mapping[str, Any]) -> str:
        """Takes the result of a piece (`work.py`) and writes the member's next assignment. Returns a line about it."""
        row = Row(**{name: result[name] for name in Row._fields if name in result})
        decision = Decision(None, None, row.hyperparameters)
        at_end = row.environment_frames >= self._config.total_environment_frames
        latest = self.history.latest() | {row.member: row}
        if self._options.scheduler == "population" and not at_end:
            random = np.random.default_rng([self._config.seed, row.member, row.environment_frames])
            decision = decide(row, latest, self._rules, random)
            source = latest[decision.copied_from if decision.copied_from is not None else row.member]
            allowed = within_settings(self._config, decision.hyperparameters, source.hyperparameters)
            decision = decision._replace(hyperparameters=allowed)
        copies = decision.copied_from is not None
        if decision.copied_from is not None:
            self._directory.copy_checkpoint(decision.copied_from, latest[decision.copied_from].updates, row.member)
        self.history.add(row._replace(compared_with=decision.compared_with, copied_from=decision.copied_from))
        piece = self._piece(decision.hyperparameters, row.environment_frames, row.episodes, copies)
        self._directory.assign(row.member, piece)
        return _line(row, decision, latest)

    def stop(self, member: int) -> str:
        """Notes that the scheduler has ended a member. Returns a line about it."""
        assignment = self._directory.assignment(member)
        assert assignment is not None
        self._directory.assign(member, assignment._replace(stopped=True))
        return f"member {member}: stopped by the scheduler"


def best_row(latest: Mapping[int, Row]) -> Row | None:
    """Returns the last piece with the highest score; None where no member has a score."""
    scored = [row for row in latest.values() if math.isfinite(row.score)]
    return max(scored, key=lambda row: row.score) if scored else None


def in_words(hyperparameters: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in hyperparameters.items())


def _line(row: Row, decision: Decision, latest: Mapping[int, Row]) -> str:
    score = f"score {row.score:.3g}, return {number(row.mean_return)}" if math.isfinite(row.score) else "no score"
    text = f"member {row.member}: {row.environment_frames:,} frames, {score}, with {in_words(row.hyperparameters)}"
    if decision.copied_from is not None:
        other = latest[decision.copied_from]
        text += f"; copies member {other.member} (score {other.score:.3g})"
    if decision.hyperparameters != row.hyperparameters:
        text += f"; goes on with {in_words(decision.hyperparameters)}"
    return text
