"""This file holds an environment and a network of your own. Run it from the repository's root in one of three ways:

  python -m impala_tf.experiment --env_id=examples.own_environment:Catch-v0 --total_environment_frames=500000
  python -m impala_tf.experiment --env_id=examples.own_environment:Catch-v0 --total_environment_frames=500000 \
      --network=examples.own_environment:make_torso
  python -m examples.own_environment

The first two name what is in this file; the environment is known by its id because importing the file registers it. The
third is this file's own main, which hands both over in Python. Each ends with a mean return near 1: every ball caught.
To evaluate an export, name the module again: only modules that you name are imported.

  python -m impala_tf.evaluate --saved_model=runs/NAME/saved_model --env_id=examples.own_environment:Catch-v0
"""

import gymnasium as gym
import keras
import numpy as np

import impala_tf

ROWS, COLUMNS = 10, 5


class Catch(gym.Env):
    """A ball falls down a 10 x 5 board; the paddle on the lowest row moves to catch it. Return 1 or -1."""

    observation_space = gym.spaces.Box(0.0, 1.0, (ROWS, COLUMNS), np.float32)
    action_space = gym.spaces.Discrete(3)  # The paddle goes left, stays, or goes right.

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._row, self._ball = 0, int(self.np_random.integers(COLUMNS))
        self._paddle = COLUMNS // 2
        return self._board(), {}

    def step(self, action):
        self._paddle = int(np.clip(self._paddle + action - 1, 0, COLUMNS - 1))
        self._row += 1
        terminated = self._row == ROWS - 1
        reward = (1.0 if self._ball == self._paddle else -1.0) if terminated else 0.0
        return self._board(), reward, terminated, False, {}

    def _board(self):
        board = np.zeros([ROWS, COLUMNS], np.float32)
        board[self._row, self._ball] = board[ROWS - 1, self._paddle] = 1.0
        return board


gym.register("Catch-v0", Catch)


def make_torso(observation_space):
    """Returns a Keras layer that turns [N, 10, 5] observations into [N, 64] features."""
    del observation_space
    layers = keras.layers
    return keras.Sequential([layers.Flatten(), layers.Dense(64, "tanh"), layers.Dense(64, "tanh")])


def main(total_environment_frames=500_000):
    """Trains with the environment and the network of this file, and says how to evaluate the export."""
    config = impala_tf.Config(
        env_id="MyCatch-v0", total_environment_frames=total_environment_frames, learning_rate=0.003
    )
    summary = impala_tf.train(config, make_env=Catch, make_torso=make_torso)
    print(
        f"mean return {summary.mean_return:.2f} after {summary.environment_frames:,} frames\n"
        f"evaluate: python -m impala_tf.evaluate --saved_model={summary.logdir.path}/saved_model "
        "--env_id=examples.own_environment:Catch-v0"
    )
    return summary


if __name__ == "__main__":
    main()
