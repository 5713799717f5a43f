"""Trains IMPALA.

  python -m impala_tf.experiment --num_actors=4
  python -m impala_tf.experiment --flagfile=flags/cartpole_woo.flags --logdir=runs/woo --seed=2

Give a --logdir that holds a checkpoint to go on with its run, with the settings that it had and those that are given.
"""

import pathlib
import shlex
import sys
from typing import TYPE_CHECKING

import impala_tf
from impala_tf.config import GROUPS, Config, SettingError
from impala_tf.running import launcher
from impala_tf.support import command_line, others
from impala_tf.support.messages import number, warn
from impala_tf.support.named_by_files import go_on

if TYPE_CHECKING:
    from impala_tf.records.summary import Summary


def main() -> None:
    """Does what --mode says, with the settings of the flags."""
    config = command_line.config_from_flags()
    if config.mode == "test":
        evaluate_export(config)
    elif config.num_learners > 1 and not config.learner_hosts:
        launch(config)
    elif config.learner_hosts:
        with others.ending_at_once(command_line.USAGE_ERROR):
            train_and_report(config)
    else:
        train_and_report(config)


def launch(config: Config) -> None:
    """Trains with several learners, which are processes of their own, and ends with their exit code."""
    from impala_tf.records.logdir import LogDir
    from impala_tf.records.summary import finished

    # What is wrong with the log directory is said by the launcher and by the first learner.
    logdir = LogDir(config, lambda line: None) if config.logdir else None
    if logdir and (summary := finished(config, logdir, warn)):
        report(config, summary)
    else:
        sys.exit(launcher.launch(config))


def train_and_report(config: Config) -> None:
    """Trains, then prints a few lines about the run."""
    summary = impala_tf.train(config)
    if config.learner_index == 0:  # The chief says it.
        report(config, summary)


def report(config: Config, summary: "Summary") -> None:
    """Prints a few lines about a run, the command that evaluates it, and where it stopped if it is not finished."""
    from impala_tf.records.logdir import SAVED_MODEL

    # Modules are imported only when the user names them.
    environment = f" --env_id={shlex.quote(config.env_id)}" if ":" in config.env_id else ""
    print(
        f"frames: {summary.environment_frames:,} in {summary.seconds:.1f} s of training, {summary.updates:,} updates\n"
        f"mean return of the last 100 of {summary.episodes:,} episodes: {number(summary.mean_return)}\n"
        f"{summary.bottleneck}\n"
        f"log directory: {summary.logdir.path}\n"
        f"evaluate: python -m impala_tf.evaluate --saved_model={shlex.quote(str(summary.logdir.path / SAVED_MODEL))}"
        f"{environment}"
    )
    if summary.environment_frames < config.total_environment_frames:
        print(go_on(config, summary.logdir.path, summary.environment_frames))


def saved_arguments(logdir: str) -> list:
    """Returns the flags of the run in a log directory."""
    from impala_tf.records import logdir as logdir_lib

    return logdir_lib.saved_arguments(logdir)


def evaluate_export(config: Config) -> None:
    """Evaluates the export in the log directory, sampling actions as the released code does."""
    from impala_tf.evaluation import evaluate_exports
    from impala_tf.records.logdir import SAVED_MODEL
    from impala_tf.support.own_code import modules_in_ids, trusted_modules

    if not config.logdir:
        raise SettingError("--logdir=: --mode=test needs the log directory of a run")
    directory = pathlib.Path(config.logdir) / SAVED_MODEL
    trusted = modules_in_ids(config.env_id) | trusted_modules(config.trust_modules)
    options = evaluate_exports.Options(config.test_num_episodes, config.seed, trusted_modules=trusted)
    evaluate_exports.evaluate([directory], options, flag="logdir")


if __name__ == "__main__":
    command_line.define_config_flags()
    command_line.run_main(main, usage=__doc__, groups=GROUPS, saved_arguments=saved_arguments)
