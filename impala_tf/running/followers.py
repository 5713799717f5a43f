"""Says how a learner that is not the chief differs: it keeps no records, and takes its state from the chief."""

import contextlib
import dataclasses
import tempfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from impala_tf.config import Config, SettingError, differences, fields, to_flag_lines
from impala_tf.settings.acting import ActingSettings
from impala_tf.settings.evaluation import EvaluationSettings
from impala_tf.settings.learners import num_learners
from impala_tf.settings.record import RecordSettings
from impala_tf.support.others import LearnersLost

if TYPE_CHECKING:
    from impala_tf.learning.cluster import Learners

POLL_SECS = 0.1

# Learners may have other values of these than the chief has.
_OWN_GROUPS = (ActingSettings, RecordSettings, EvaluationSettings)
_OWN = ("logdir", "init_from", "queue_capacity", "vectorization", "env_threads", "num_learners")


@contextlib.contextmanager
def own_records(config: Config) -> Iterator[Config]:
    """Gives the settings with which this learner keeps records; only the chief keeps any.

    The files of all others are in a temporary directory, which is removed with the context.
    """
    if config.learner_index == 0:
        yield config
        return
    with tempfile.TemporaryDirectory(prefix="impala_tf_learner_", ignore_cleanup_errors=True) as directory:
        yield dataclasses.replace(
            config,
            logdir=directory,
            init_from="",
            evaluate_every_frames=0,
            checkpoint_every_secs=0.0,
            checkpoint_every_updates=0,
            profile=False,
        )


def said(config: Config) -> str:
    """Returns which of several learners this is, as the end of a message; "" for one that is alone."""
    total = num_learners(config)
    return f"; learner {config.learner_index} of {total}" if total > 1 else ""


def check_number(config: Config, number: int) -> None:
    """Raises SettingError when the settings ask for more learners than there are. number: number of learners."""
    if num_learners(config) != number:
        raise SettingError(
            f"--num_learners={config.num_learners}: only python -m impala_tf.experiment starts learners; elsewhere "
            "give each learner_hosts and learner_index, or leave it out"
        )


def check_settings(config: Config, learners: "Learners") -> None:
    """Raises SettingError when this learner has another value than the chief of a setting that all must share."""
    check_number(config, learners.size)
    lines = learners.from_chief("\n".join(to_flag_lines(config)).encode()).decode().split("\n")
    own = {*_OWN, *(field.name for group in _OWN_GROUPS for field in dataclasses.fields(group))}
    shared = [line for line in lines if line[2:].partition("=")[0] not in own]
    known = {field.name for field in fields()}
    other = [text for network in (True, False) for text in differences(config, shared, network)]
    unknown = [line for line in shared if line[2:].partition("=")[0] not in known]
    if other or unknown:
        raise SettingError(
            f"--learner_index={learners.index}: the chief has other settings: {', '.join([*other, *unknown])}; all "
            "learners must have the same"
        )


def random_of(config: Config, learners: "Learners", updates: int) -> np.random.Generator:
    """Returns the generator of a learner's seeds. updates: number of updates of the run before this process."""
    if learners.index == 0:
        return np.random.default_rng(config.seed)
    return np.random.default_rng([config.seed, learners.index, updates])


def wait_for_chief(learners: "Learners") -> None:
    """Waits until the chief has written its records. Its process is also the one by which all know of each other."""

    def wait() -> None:
        with contextlib.suppress(LearnersLost):  # Nobody needs the others any more.
            learners.from_chief(b"")

    # A main thread that is blocked in an op would not see signals.
    thread = threading.Thread(target=wait, name="end", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECS)
