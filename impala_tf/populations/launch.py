"""Runs the members of a population on Ray Tune, which places them, lets them take turns, and starts lost ones again.

Ray is imported when this module is; nothing else of the package needs it.
"""

import contextlib
import functools
import math
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from impala_tf.config import Config
from impala_tf.populations.directory import PopulationDirectory
from impala_tf.populations.exchange import Exchange
from impala_tf.populations.options import Options
from impala_tf.populations.work import Worker
from impala_tf.running.hosts.ray_hosts import join
from impala_tf.support.messages import warn, with_place

RETRIES = 3  # A member whose process or machine is lost starts again so often.
_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # A module of the user's may read files by relative paths.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


class MemberError(Exception):
    """A member has failed. The message is one line."""


class Member(tune.Trainable):
    """Trains pieces of the member that its configuration names; all state is in the population's directory."""

    def setup(self, config: dict[str, Any]) -> None:
        self._member: int = config["member"]
        self._worker: Worker | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Goes on with another member in the same process. Returns that it can."""
        self._member = new_config["member"]
        return True

    def step(self) -> dict[str, Any]:
        try:
            if self._worker is None:
                self._worker = self.config["make_worker"]()
            result = self._worker.train(self._member)
        except Exception as error:
            return dict(error=with_place(error), done=True, environment_frames=0, score=-float("inf"))
        return result | dict(done=result["environment_frames"] >= self.config["total_frames"])

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, int]:
        return dict(member=self._member)

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass


class TakeTurns(FIFOScheduler):
    """Lets the members take turns after each piece, where fewer fit than there are; the one that is behind is next."""

    def on_trial_result(self, tune_controller, trial, result) -> str:
        waiting = any(x.status in (x.PENDING, x.PAUSED) for x in tune_controller.get_trials())
        return TrialScheduler.PAUSE if waiting else TrialScheduler.CONTINUE

    def choose_trial_to_run(self, tune_controller):
        waiting = [x for x in tune_controller.get_trials() if x.status in (x.PENDING, x.PAUSED)]
        return min(waiting, key=lambda x: (x.last_result or {}).get("environment_frames", 0)) if waiting else None


class Records(tune.Callback):
    """Hands every result to the exchange, before Tune lets the member go on."""

    def __init__(self, exchange: Exchange, total_frames: int):
        self._exchange = exchange
        self._total_frames = total_frames

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
        if "error" in result:
            raise MemberError(f"member {trial.config['member']}: {result['error']}")
        warn(self._exchange.take(result))

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:
        if trial.last_result["environment_frames"] < self._total_frames:
            warn(self._exchange.stop(trial.config["member"]))


def scheduler_of(config: Config, options: Options) -> TrialScheduler:
    if options.scheduler == "population":
        return TakeTurns()
    if options.scheduler == "random":
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="environment_frames", max_t=config.total_environment_frames, grace_period=options.burn_in_frames,
        stop_last_trials=False,
    )  # fmt: skip


def run(directory: PopulationDirectory, config: Config, options: Options, going: list[int], exchange: Exchange) -> bool:
    """Runs the members `going` to their end. Returns False when SIGINT or SIGTERM has ended it before.

    Raises MemberError when a member has failed, and RuntimeError when it was lost too often.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        join(config, math.ceil(options.cpus_per_member))
        with signals_interrupt():
            return _fit(directory, config, options, going, exchange)
    except KeyboardInterrupt:
        return False
    finally:
        ray.shutdown()


def _fit(directory: PopulationDirectory, config: Config, options: Options, going: list[int], exchange) -> bool:
    resources = {"cpu": options.cpus_per_member} | ({"gpu": options.gpus_per_member} if options.gpus_per_member else {})
    shutil.rmtree(directory.tune, ignore_errors=True)  # Nothing is read from what Tune has written before.
    # Tune would make a tuple of options that it finds in the configuration.
    make_worker = functools.partial(Worker, directory, config, options)
    shared = dict(make_worker=make_worker, total_frames=config.total_environment_frames)
    tuner = tune.Tuner(
        tune.with_resources(Member, resources),
        param_space=shared | dict(member=tune.grid_search(going)),
        tune_config=tune.TuneConfig(
            scheduler=scheduler_of(config, options), metric="score", mode="max", reuse_actors=True
        ),
        run_config=tune.RunConfig(
            name="trials", storage_path=str(directory.tune), verbose=0,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[Records(exchange, config.total_environment_frames)],
        ),
    )  # fmt: skip
    try:
        results = tuner.fit()
    except Exception as error:
        failed = _cause(error)
        if failed:
            raise failed from None
        raise
    if results.errors:
        raise MemberError(f"a member was lost {RETRIES + 1} times: {with_place(results.errors[0])}")
    return True


def _cause(error: BaseException | None) -> MemberError | None:
    """Returns the member's error among the causes of one that Tune has wrapped."""
    while error is not None and not isinstance(error, MemberError):
        error = error.__cause__ or error.__context__
    return error


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """Lets SIGTERM raise KeyboardInterrupt, as SIGINT does. A crash may come at any time, so this may, too.

    Ray puts handlers of its own in their place when it starts, so this comes after it.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
