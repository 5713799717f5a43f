"""What the time-limit rule is worth: the learned value of impala_tf/Endless-v0, where it is 1 / (1 - gamma) = 100.

  python scripts/compare_time_limits.py

Trains with --bootstrap_at_time_limits (the default) and without, three seeds each, in about a minute. Writes
docs/results/time_limits.csv, or the file that --output names.
"""

import argparse
import csv
import pathlib
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import impala_tf  # noqa: E402

GAMMA = 0.99
TRUTH = 1 / (1 - GAMMA)
OUTPUT = ROOT / "docs" / "results" / "time_limits.csv"


def learned_value(bootstrap: bool, seed: int, frames: int) -> float:
    """Trains one agent: the value that it gives to a state in the middle of an endless task."""
    with tempfile.TemporaryDirectory() as logdir:
        config = impala_tf.Config(
            env_id="impala_tf/Endless-v0", bootstrap_at_time_limits=bootstrap, seed=seed, discounting=GAMMA,
            total_environment_frames=frames, num_envs_per_actor=8, batch_size=8, learning_rate=0.02, logdir=logdir,
            clip_norm=1e9,
        )  # fmt: skip
        impala_tf.train(config)
        from impala_tf.evaluation.export import ExportedAgent

        agent = ExportedAgent(pathlib.Path(logdir) / "saved_model")
        no = np.zeros(1, bool)
        nothing = (np.zeros([1, 1], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), no)
        step = agent.step(*nothing, agent.initial_state(1), np.zeros(2, np.int32))
        return float(step["baseline"][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT, help="CSV file; default: %(default)s")
    parser.add_argument("--frames", type=int, default=300_000, help="environment frames of each run")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1 to this are run")
    arguments = parser.parse_args()
    rows = []
    for bootstrap in (True, False):
        for seed in range(1, arguments.seeds + 1):
            value = learned_value(bootstrap, seed, arguments.frames)
            rows.append(dict(bootstrap=bootstrap, seed=seed, value=f"{value:.2f}", error=f"{value - TRUTH:.2f}"))
            print(rows[-1], flush=True)
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
