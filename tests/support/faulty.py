"""Environments that fail once, each in a way of its own. Importing this registers them."""

import os
import signal
import time

import gymnasium as gym
import numpy as np

from tests.support.environments import Counting

IDS = "tests.support.faulty:tests/"  # It stands in front of the ids below.
FAULTY = f"{IDS}Faulty-v0"
KINDS = ("nothing", "raises", "exits", "hangs", "is killed", "raises in its reset")
FAULTY_STEP = 3
HANGING = f"{IDS}Hanging-v0"


def seed_of(index, seed=1, actor=0):
    """The seed of an environment in a vector."""
    return int(np.random.SeedSequence([seed, actor, index]).generate_state(1)[0])


class Faulty(Counting):
    """Environment i of the vector with seed 1 fails as KINDS[i] says, in step 3 or its second reset.

    An environment that is made anew has another seed, and fails no more.

    kinds: the kinds of the environments; those after the last do nothing.
    """

    def __init__(self, kinds=KINDS):
        super().__init__()
        self.kinds = {seed_of(i): kind for i, kind in enumerate(kinds)}
        self.kind = ""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.kind = self.kinds.get(seed, "nothing")
        elif self.kind == "raises in its reset":
            raise OSError("no more episodes")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        if self.total + 1 == FAULTY_STEP:
            if self.kind == "raises":
                raise OSError("the simulator has died")
            if self.kind == "exits":
                os._exit(3)
            if self.kind == "hangs":
                time.sleep(1000)
            if self.kind == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class Crashing(Counting):
    """Raises in step 3 of its third episode, and so does each that is made anew."""

    def step(self, action):
        if self.episode == 2 and self.t == 2:
            raise OSError("the simulator has died")
        return super().step(action)


class Narrow(Counting):
    """From its second step on its observations have one number instead of three, as numpy would spread over all."""

    def step(self, action):
        observation, *others = super().step(action)
        return observation[:1] if self.total > 1 else observation, *others


if "tests/Faulty-v0" not in gym.registry:
    gym.register("tests/Faulty-v0", Faulty, disable_env_checker=True)
    gym.register("tests/FaultyInProcess-v0", Faulty, kwargs={"kinds": ("nothing", "raises")}, disable_env_checker=True)
    gym.register("tests/Hanging-v0", Faulty, kwargs={"kinds": ("hangs",)}, disable_env_checker=True)
    gym.register("tests/Crashing-v0", Crashing, disable_env_checker=True)
    gym.register("tests/Narrow-v0", Narrow, disable_env_checker=True)
