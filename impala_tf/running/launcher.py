"""Starts several learners, and all again from the checkpoint when one dies."""

import signal
import time
from collections.abc import Sequence
from typing import Protocol

from impala_tf import environments
from impala_tf.config import Config, to_flag_lines
from impala_tf.records.logdir import LogDir
from impala_tf.running.local_learners import LocalLearner, LocalLearners
from impala_tf.running.ray_learners import GONE, RayLearner, RayLearners
from impala_tf.support import signals
from impala_tf.support.messages import warn
from impala_tf.support.others import LOST

MAX_RESTARTS = 3
PATIENCE_SECS = 20.0  # After the first has ended with an error, the others have so long to notice.
POLL_SECS = 0.1
LAST_LINES = 30  # A learner that is not the chief shows so many lines of its output, if its error ends the run.


class Place(Protocol):
    """The machines on which learners run."""

    def start(self, arguments: Sequence[str]) -> Sequence[LocalLearner | RayLearner]:
        """Starts --num_learners learners that know of each other. The chief's output is shown, the others' is kept.

        arguments: flags of python -m impala_tf.experiment but for the names of the learners.
        """

    def close(self) -> None:
        """Gives back what the place has taken."""


def launch(config: Config) -> int:
    """Trains with --num_learners processes until all have ended. Returns the exit code of the run.

    Raises SettingError for a wrong setting, before any process is started.
    """
    environments.spec_for_training(config)
    place: Place = RayLearners(config) if config.learner_backend == "ray" else LocalLearners(config)
    try:
        return _launch(config, place)
    finally:
        place.close()


def _launch(config: Config, place: Place) -> int:
    logdir = LogDir(config, lambda line: None)  # The chief says the same lines.
    path = logdir.path.absolute() if config.learner_backend == "ray" else logdir.path
    arguments = [*to_flag_lines(config), f"--logdir={path}"]
    with signals.requests("the learners finish the update in hand") as request:
        for restart in range(1, MAX_RESTARTS + 2):
            learners = place.start(arguments)
            try:
                codes = _wait(learners, request)
            finally:
                for learner in learners:
                    learner.kill()
            cause, code = _outcome(codes)
            if code == 0 or request.made:
                return code
            if code != LOST:
                for line in learners[cause].output().splitlines()[-LAST_LINES:]:
                    warn(f"learner {cause}: {line}")
                logdir.remove_if_empty()
                return code
            what = f"learner {cause} {_how(codes[cause])}"
            if restart > MAX_RESTARTS:
                warn(
                    f"{what}; that was the {restart}th time, so the run ends; its checkpoints are kept in {logdir.path}"
                )
                return code
            warn(f"{what}; all start again from the last checkpoint (restart {restart} of {MAX_RESTARTS})")
    raise AssertionError("the loop returns")


def _wait(learners: Sequence[LocalLearner | RayLearner], request: signals.Request) -> list[int | None]:
    """Waits for all learners, asks them to end when a signal comes, and kills those that do not end after an error.

    Returns their exit codes; None for those that were killed here.
    """
    asked = False
    deadline: float | None = None
    while True:
        codes = [learner.poll() for learner in learners]
        if None not in codes:
            return codes
        if request.made and not asked:
            asked = True
            for learner in learners:
                learner.send_signal(signal.SIGINT)
        if deadline is None and any(code not in (None, 0) for code in codes):
            deadline = time.monotonic() + PATIENCE_SECS
        ended = {code for code in codes if code is not None}
        # One is left, and all others have ended because of it.
        if deadline is not None and (time.monotonic() > deadline or (ended == {LOST} and codes.count(None) == 1)):
            return codes
        time.sleep(POLL_SECS)


def _outcome(codes: Sequence[int | None]) -> tuple[int, int]:
    """Returns the learner that caused the end, and the exit code of the run.

    codes: exit codes of the learners; None for one that did not answer.

    The code is LOST where another start may do better.
    """
    own_errors = [index for index, code in enumerate(codes) if code is not None and code > 0 and code != LOST]
    if own_errors:
        return own_errors[0], codes[own_errors[0]] or 0
    gone = [index for index, code in enumerate(codes) if code is None or code < 0]
    lost = [index for index, code in enumerate(codes) if code == LOST]
    return ((gone or lost)[0], LOST) if gone or lost else (0, 0)


def _how(code: int | None) -> str:
    if code is None:
        return "did not answer"
    if code == GONE:
        return "is gone with its Ray actor"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else "lost the others"
