"""Trains a population: runs with different settings, which copy each other (population based training).

  python -m impala_tf.population --population=4 --learning_rate_schedule=constant
  python -m impala_tf.population --flagfile=flags/dmlab30.flags --population=24 --logdir=/shared/pbt
  python -m impala_tf.population --population=16 --scheduler=asha --vary=learning_rate:1e-4:1e-2

Settings are those of each member; the budget is a member's, too. A member trains for a piece, is scored,
and looks at one random other: if that is better by more than --margin, its weights and settings are copied.
Then each varied setting is multiplied by 1.2 or 1/1.2 with probability 33 %, copied or not (Espeholt et al.
2018, appendix F). Members take turns where fewer fit on the machine, or on the cluster of $RAY_ADDRESS,
than there are. Give the --logdir of a population to go on with it. It holds population.csv, population.png,
members/ and best/. A population needs the extra ray.
"""

import datetime
import pathlib
import re
import shlex
import sys

from absl import flags

from impala_tf import config as config_lib
from impala_tf.config import Config, SettingError
from impala_tf.populations import options as options_lib
from impala_tf.populations.directory import PopulationDirectory
from impala_tf.populations.exchange import Exchange, best_row, in_words
from impala_tf.populations.options import Options
from impala_tf.populations.ranges import PAPER, parse
from impala_tf.support import command_line
from impala_tf.support.messages import number, warn

NAMES = [name for name in Options._fields if name != "ranges"]


def main() -> None:
    config = command_line.config_from_flags()
    given = {name: getattr(flags.FLAGS, name) for name in NAMES}
    options = options_lib.completed(Options(ranges=parse(flags.FLAGS.vary or PAPER), **given), config)

    from impala_tf import environments

    environments.spec_for_training(config)
    try:
        from impala_tf.populations import launch
    except ImportError as error:
        raise SettingError(f"a population needs Ray ({error}): pip install 'impala_tf[ray]'") from None
    directory = PopulationDirectory(pathlib.Path(config.logdir) if config.logdir else new_directory(config.env_id))
    goes_on = directory.open(config, options)
    exchange = Exchange(directory, config, options)
    going = exchange.begin()
    warn(
        f"{config.env_id}; {'goes on with ' if goes_on else ''}{len(going)} of {options.population} members; scored by "
        f"{options.score}; pieces of {options.interval_frames:,} frames"
        f"{f' or {options.interval_episodes:,} episodes' if options.interval_episodes else ''}; burn-in "
        f"{options.burn_in_frames:,} frames; log directory {directory.path}"
    )
    if options.scheduler == "population" and config.learning_rate_schedule != "constant":
        warn(
            f"--learning_rate_schedule={config.learning_rate_schedule} lowers the learning rates that the population "
            "chooses; constant leaves them alone"
        )
    try:
        if going and not launch.run(directory, config, options, going, exchange):
            warn(f"stopped; the pieces in hand go on from their last checkpoints: {command_again(directory)}")
            return
    except launch.MemberError as error:
        raise SettingError(f"{error}. To go on where the others were:\n{command_again(directory)}") from None
    report(directory, config, options, exchange)


def report(directory: PopulationDirectory, config: Config, options: Options, exchange: Exchange) -> None:
    """Draws the history, exports the best member and says where all is."""
    from impala_tf.populations.best import export_best
    from impala_tf.populations.picture import draw
    from impala_tf.records.logdir import SAVED_MODEL

    rows = exchange.history.rows()
    best = best_row(exchange.history.latest())
    drawn = draw(rows, directory.picture)
    copies = sum(row.copied_from is not None for row in rows)
    print(f"{options.population} members, {len(rows):,} pieces, {copies:,} copies")
    if best is None:
        print("no member has a score")
    else:
        export_best(directory, config, options, best)
        print(
            f"best: member {best.member}, score {best.score:.4g}, return {number(best.mean_return)}, with "
            f"{in_words(best.hyperparameters)}"
        )
    print(f"history: {directory.history}{f', {directory.picture}' if drawn else ''}")
    if best is not None:
        model = directory.best / SAVED_MODEL
        print(f"evaluate: python -m impala_tf.evaluate --saved_model={shlex.quote(str(model))}")


def new_directory(env_id: str) -> pathlib.Path:
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return pathlib.Path("runs") / f"population-{re.sub('[/:,]', '-', env_id)[:60]}-{stamp}"


def command_again(directory: PopulationDirectory) -> str:
    """Returns the command that goes on with the population."""
    arguments = [item for item in sys.argv[1:] if not item.startswith("--logdir")]
    return shlex.join(["python", "-m", "impala_tf.population", *arguments, f"--logdir={directory.path}"])


if __name__ == "__main__":
    command_line.define_config_flags()
    flags.DEFINE_integer("population", 8, "Number of members.", lower_bound=1)
    flags.DEFINE_enum(
        "scheduler",
        "population",
        list(options_lib.SCHEDULERS),
        "population: as above. random: members only train. asha: the worse ones are stopped early.",
    )
    flags.DEFINE_string(
        "vary",
        "",
        "Settings that differ: NAME:LOW:HIGH (log-uniform), NAME:A/B (one of these). Empty: table D.1's.",
    )
    flags.DEFINE_enum(
        "score",
        "auto",
        list(options_lib.SCORES),
        "capped: mean capped normalised score. return: mean return. auto: capped where all tasks have references.",
    )
    flags.DEFINE_float("margin", 0.05, "A copied member is better by more: of return, this share.", lower_bound=0.0)
    flags.DEFINE_integer(
        "burn_in_frames",
        0,
        "A member copies after so many frames. 0: 20M, at most a tenth of the budget.",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "interval_frames", 0, "A piece ends after so many frames. 0: a twentieth of the budget.", lower_bound=0
    )
    flags.DEFINE_integer(
        "interval_episodes", 5000, "A piece ends after so many episodes, if that is earlier. 0: not.", lower_bound=0
    )
    flags.DEFINE_float("cpus_per_member", 1.0, "Cores of a member; decides how many train at once.", lower_bound=0.01)
    flags.DEFINE_float("gpus_per_member", 0.0, "GPUs of a member; a fraction shares one.", lower_bound=0.0)
    command_line.run_main(main, usage=__doc__, groups=config_lib.GROUPS)
