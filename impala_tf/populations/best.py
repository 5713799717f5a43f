"""Copies the best member of a population into a log directory of its own, with an export."""

import shutil

from impala_tf.config import Config
from impala_tf.populations.directory import Assignment, PopulationDirectory, member_config
from impala_tf.populations.history import Row
from impala_tf.populations.options import Options
from impala_tf.records.logdir import CHECKPOINTS, LogDir
from impala_tf.support.messages import warn
from impala_tf.support.startup import import_tensorflow


def export_best(directory: PopulationDirectory, config: Config, options: Options, row: Row) -> None:
    """Writes the checkpoint, the settings and the export of a member into directory.best.

    row: piece of the member after which its checkpoint was written.
    """
    import_tensorflow()
    from impala_tf.running.training import export_newest, save_at_end
    from impala_tf.running.wiring import connect

    shutil.rmtree(directory.best, ignore_errors=True)
    (directory.best / CHECKPOINTS).mkdir(parents=True)
    shutil.copy(directory.checkpoint(row.member, row.updates), directory.best / CHECKPOINTS)
    end = Assignment(row.hyperparameters, row.environment_frames, config.total_environment_frames, 0)
    config = member_config(config, options, directory.best, row.member, end)
    logdir = LogDir(config, warn)
    run = connect(config, logdir)
    logdir.write_settings(config)
    save_at_end(run, [])
    export_newest(run, [])
    run.metrics.close()
    for actor in run.actors:
        actor.close()
