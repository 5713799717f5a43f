"""Plays episodes with exported agents and reports their returns.

  python -m impala_tf.evaluate --saved_model=runs/NAME/saved_model --num_episodes=100 --greedy
  python -m impala_tf.evaluate --saved_model=runs/pong/saved_model --protocol=paper
  python -m impala_tf.evaluate --saved_model=runs/seed1/saved_model,runs/seed2/saved_model --picture=seeds.png

It needs the SavedModels only, not the log directories that they came from.
"""

import pathlib

from absl import flags

from impala_tf.config import SettingError
from impala_tf.evaluation import evaluate_exports
from impala_tf.support import command_line
from impala_tf.support.own_code import trusted_modules


def main() -> None:
    values = flags.FLAGS
    if not values.saved_model:
        raise SettingError("--saved_model=: give the saved_model directory of a run, or several with commas")

    def path(text: str) -> pathlib.Path | None:
        return pathlib.Path(text) if text else None

    options = evaluate_exports.Options(
        values.num_episodes,
        values.seed,
        values.env_id,
        values.greedy,
        values.protocol,
        trusted_modules(values.trust_modules),
    )
    files = evaluate_exports.Files(path(values.output), path(values.picture), path(values.video))
    evaluate_exports.evaluate([pathlib.Path(item) for item in values.saved_model], options, files)


if __name__ == "__main__":
    flags.DEFINE_list("saved_model", [], "Directory of the export; several with commas are also aggregated.")
    flags.DEFINE_string(
        "env_id",
        "",
        "A gymnasium id. Empty: all that the agent was trained on. "
        "A module:id of the export is imported only if it is given here, or its module in --trust_modules.",
    )
    flags.DEFINE_string(
        "protocol",
        "training",
        "training: the environment as in training, 100 episodes. paper: Atari as Espeholt et al. 2018, 200 episodes, "
        "up to 30 no-ops. machado: Atari as Machado et al. 2018, sticky actions, full action set. Always whole games.",
    )
    flags.DEFINE_integer("num_episodes", None, "Episodes to play, of each task. Empty: as many as the protocol says.")
    flags.DEFINE_boolean("greedy", False, "Take the most probable action instead of sampling.")
    flags.DEFINE_integer("seed", 1, "Seed of the environments, of sampled actions and of the bootstrap.", lower_bound=0)
    flags.DEFINE_string("video", "", "Also play one episode into this .mp4 or .gif file (extra: video).")
    flags.DEFINE_string("output", "", "JSON file with the result. Empty: beside the exports.")
    flags.DEFINE_string("picture", "", "Draw the returns of all exports into this .png, .svg or .pdf (extra: plots).")
    flags.DEFINE_string("trust_modules", "", "Modules that may be imported because the export names them.")
    command_line.run_main(main, usage=__doc__)
