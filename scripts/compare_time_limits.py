"""What the time-limit rule is worth: the learned value of impala_tf/Endless-v0, where it is 1 / (1 - gamma) = 100.

  python scripts/compare_time_limits.py

With --bootstrap_at_time_limits (the default) and without, three seeds each. Writes docs/results/time_limits.csv.
"""

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


def learned_value(bootstrap: bool, seed: int) -> float:
    with tempfile.TemporaryDirectory() as logdir:
        config = impala_tf.Config(
            env_id="impala_tf/Endless-v0", bootstrap_at_time_limits=bootstrap, seed=seed, discounting=GAMMA,
            total_environment_frames=300_000, num_envs_per_actor=8, batch_size=8, learning_rate=0.02, logdir=logdir,
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
    rows = []
    for bootstrap in (True, False):
        for seed in (1, 2, 3):
            value = learned_value(bootstrap, seed)
            rows.append(dict(bootstrap=bootstrap, seed=seed, value=f"{value:.2f}", error=f"{value - TRUTH:.2f}"))
            print(rows[-1], flush=True)
    with OUTPUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
