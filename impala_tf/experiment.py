"""Trains IMPALA.

  python -m impala_tf.experiment --num_actors=4
  python -m impala_tf.experiment --flagfile=flags/cartpole_woo.flags --logdir=runs/woo --seed=2

Give a --logdir that holds a checkpoint to resume its run.
"""

import pathlib
import shlex
import sys

import impala_tf
from impala_tf.config import GROUPS, Config, SettingError
from impala_tf.running import launcher
from impala_tf.support import command_line, others
from impala_tf.support.messages import number


def main() -> None:
    """Does what --mode says, with the settings of the flags."""
    config = command_line.config_from_flags()
    if config.mode == "test":
        evaluate_export(config)
    elif config.num_learners > 1 and not config.learner_hosts:
        sys.exit(launcher.launch(config))
    elif config.learner_hosts:
        with others.ending_at_once(command_line.USAGE_ERROR):
            train_and_report(config)
    else:
        train_and_report(config)


def train_and_report(config: Config) -> None:
    """Trains, then prints a few lines about the run and the command that evaluates it."""
    from impala_tf.records.logdir import SAVED_MODEL

    summary = impala_tf.train(config)
    if config.learner_index:  # The chief says it.
        return
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


def evaluate_export(config: Config) -> None:
    """Evaluates the export in the log directory, sampling actions as the released code does."""
    from impala_tf.evaluation import evaluate_exports, exported_settings
    from impala_tf.records.logdir import SAVED_MODEL

    if not config.logdir:
        raise SettingError("--logdir=: --mode=test needs the log directory of a run")
    directory = pathlib.Path(config.logdir) / SAVED_MODEL
    options = evaluate_exports.Options(
        config.test_num_episodes, config.seed, trusted_modules=exported_settings.modules_of(config.env_id)
    )
    evaluate_exports.evaluate([directory], options, flag="logdir")


if __name__ == "__main__":
    command_line.define_config_flags()
    command_line.run_main(main, usage=__doc__, groups=GROUPS)
