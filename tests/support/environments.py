"""Environments with known values, for the tests. Importing this registers them."""

import importlib.util
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

TESTS = "tests.support.environments:tests/"  # Stands in front of the ids below.
COUNTING, LIMITED = f"{TESTS}Counting-v0", f"{TESTS}Limited-v0"
PONG = dict(env_id="ALE/Pong-v5", num_action_repeats=4)

needs_envpool = pytest.mark.skipif(
    importlib.util.find_spec("envpool") is None, reason="issue 3: EnvPool has no wheel for this Python"
)


class Counting(gym.Env):
    """Counts: the observation is [number of the episode, step in it, last action], the reward is the step's number.

    length: the steps of even episodes; odd ones have one more.
    limit: whether they end by truncation instead of termination.
    fail_at: the step, counted over all episodes, that raises OSError.
    sleep: the seconds that a step takes.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gym.spaces.Discrete(4)

    def __init__(self, length=5, limit=False, fail_at=None, sleep=0.0):
        self.episode = -1
        self.length = length
        self.limit = limit
        self.fail_at = fail_at
        self.sleep = sleep
        self.total = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.t = 0
        return np.array([self.episode, 0, -1], np.float32), {}

    def step(self, action):
        time.sleep(self.sleep)
        self.t += 1
        self.total += 1
        if self.total == self.fail_at:
            raise OSError("the simulator has died")
        ended = self.t >= self.length + self.episode % 2
        observation = np.array([self.episode, self.t, action], np.float32)
        return observation, float(self.t), ended and not self.limit, ended and self.limit, {}


class Hanging(Counting):
    """Counts; one environment of the process hangs in `hang_in`, in its 40th step or later, until `release` is set."""

    hangs = threading.Lock()
    release = threading.Event()

    def __init__(self, hang_in):
        super().__init__()
        self.hang_in = hang_in

    def may_hang(self, where):
        if where == self.hang_in and self.total >= 40 and self.hangs.acquire(blocking=False):
            self.release.wait(60)

    def reset(self, *, seed=None, options=None):
        if hasattr(self, "t"):
            self.may_hang("reset")
        return super().reset(seed=seed)

    def step(self, action):
        self.may_hang("step")
        return super().step(action)

    def close(self):
        self.may_hang("close")


class Parts:
    """Counting environments of which two random ones are ready at a time."""

    def __init__(self, num_envs):
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.envs = [Counting() for _ in range(num_envs)]
        self.random = np.random.default_rng(0)

    def begin(self):
        self.ended = [False] * len(self.envs)
        self.ready = {i: (env.reset()[0], 0.0, False, False) for i, env in enumerate(self.envs)}

    def send(self, actions, envs):
        for i, action in zip(envs, actions, strict=True):
            if self.ended[i]:
                self.ready[i] = (self.envs[i].reset()[0], 0.0, False, False)
            else:
                self.ready[i] = self.envs[i].step(action)[:4]
            self.ended[i] = self.ready[i][2] or self.ready[i][3]

    def recv(self):
        envs = self.random.permutation(list(self.ready))[:2]
        observation, reward, terminated, truncated = zip(*(self.ready.pop(i) for i in envs), strict=True)
        return envs, np.stack(observation), np.array(reward), np.array(terminated), np.array(truncated), {}


class Pictures(gym.Env):
    """A tiny image environment: random frames, episodes of 10 steps."""

    observation_space = gym.spaces.Box(0, 255, (36, 36, 1), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.frame(), {}

    def frame(self):
        return self.np_random.integers(256, size=(36, 36, 1), dtype=np.uint8)

    def step(self, action):
        self.t += 1
        return self.frame(), float(action), self.t == 10, False, {}


class Rounded(gym.Env):
    """An environment that wants whole numbers in a Box as actions; it is refused."""

    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Box(-3, 3, (2,), np.int32)


class Target(gym.Env):
    """One step, whose reward is highest where each part of the action is what the observation says.

    It asserts that actions are in the space. The bounds are not -1 and 1: the middle of the Box is at 5.

    kind: the name of the action space.
    """

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float64)
    SPACES = {  # noqa: RUF012
        "box": gym.spaces.Box(np.array([3.0, 3.0]), np.array([7.0, 7.0]), dtype=np.float64),
        "unbounded": gym.spaces.Box(-np.inf, np.inf, (1, 2), np.float32),
        "multi_discrete": gym.spaces.MultiDiscrete([2, 3], start=[1, -1]),
        "multi_binary": gym.spaces.MultiBinary(3),
        "started": gym.spaces.Discrete(3, start=-1),
        "tuple": gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Box(-1, 1, (2,))]),
        "dict": gym.spaces.Dict(a=gym.spaces.MultiBinary(2), b=gym.spaces.Dict(c=gym.spaces.Box(0, 8, (1,)))),
    }

    def __init__(self, kind):
        self.action_space = self.SPACES[kind]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.sign = float(self.np_random.choice([-1, 1]))
        return np.array([self.sign]), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        reward = self.sign * self.value(self.action_space, action)
        return np.array([self.sign]), reward, True, False, {}

    def value(self, space, action):
        """How high the action is in its space, in [-1, 1] for bounded ones."""
        if isinstance(space, gym.spaces.Tuple):
            return float(np.mean([self.value(*pair) for pair in zip(space.spaces, action, strict=True)]))
        if isinstance(space, gym.spaces.Dict):
            return float(np.mean([self.value(part, action[name]) for name, part in space.spaces.items()]))
        if isinstance(space, gym.spaces.Box):
            low, high = np.maximum(space.low, -2.0), np.minimum(space.high, 8.0)
            return float(np.mean(np.clip((action - low) / (high - low), 0, 1))) * 2 - 1
        if isinstance(space, gym.spaces.MultiBinary):
            return float(np.mean(action)) * 2 - 1
        sizes = space.n if isinstance(space, gym.spaces.Discrete) else space.nvec
        return float(np.mean((action - space.start) / (sizes - 1))) * 2 - 1


class Masked(gym.Env):
    """At each step one action is possible, which `info` tells; any other is an error. Reward 1, episodes of 7 steps."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, action_space):
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe()

    def observe(self):
        self.wanted = self.action_space.sample()
        if isinstance(self.action_space, gym.spaces.Discrete):
            mask = (np.arange(self.action_space.n) == self.wanted - self.action_space.start).astype(np.int8)
        else:
            pairs = zip(self.action_space.nvec, self.wanted, strict=True)
            mask = tuple((np.arange(n) == wanted).astype(np.int8) for n, wanted in pairs)
        return np.zeros(1, np.float32), {"action_mask": mask}

    def step(self, action):
        assert np.all(action == self.wanted), (action, self.wanted)
        self.t += 1
        observation, info = self.observe()
        return observation, 1.0, self.t == 7, False, info


class Unsupported(gym.Env):
    """An observation with a part of unknown length."""

    observation_space = gym.spaces.Dict(x=gym.spaces.Sequence(gym.spaces.Box(-1, 1, (2,))))
    action_space = gym.spaces.Discrete(2)


class Nested(gym.Env):
    """Every kind of observation at once. Each part tells the same: the step in the episode, which is of 5 steps."""

    observation_space = gym.spaces.Dict(
        text=gym.spaces.Text(20),
        numbers=gym.spaces.Tuple(
            [gym.spaces.Discrete(6, start=2), gym.spaces.MultiDiscrete([6, 7]), gym.spaces.MultiBinary(6)]
        ),
        frame=gym.spaces.Box(0, 255, (20, 22, 3), np.uint8),
        matrix=gym.spaces.Box(-np.inf, np.inf, (2, 3), np.float64),
    )
    action_space = gym.spaces.Discrete(3)

    def observe(self):
        return dict(
            text=f"step number {self.t}",
            numbers=(2 + self.t, np.array([self.t, self.t]), (np.arange(6) == self.t).astype(np.int8)),
            frame=np.full([20, 22, 3], self.t, np.uint8),
            matrix=np.full([2, 3], float(self.t)),
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        return self.observe(), float(action), self.t == 5, False, {}


def register() -> None:
    for name, entry_point in [("Counting", Counting), ("Pictures", Pictures), ("Nested", Nested)]:
        if f"tests/{name}-v0" not in gym.registry:
            gym.register(f"tests/{name}-v0", entry_point, disable_env_checker=True)
    if "tests/Rounded-v0" not in gym.registry:
        gym.register("tests/Rounded-v0", Rounded, disable_env_checker=True)
        for kind in Target.SPACES:
            gym.register(f"tests/Target-{kind}-v0", Target, kwargs={"kind": kind}, disable_env_checker=True)
        for name, space in (
            ("discrete", gym.spaces.Discrete(5, start=2)),
            ("multi_discrete", gym.spaces.MultiDiscrete([3, 4])),
        ):
            kwargs = {"action_space": space}
            gym.register(f"tests/Masked-{name}-v0", Masked, kwargs=kwargs, disable_env_checker=True)
    if "tests/Unsupported-v0" not in gym.registry:
        gym.register("tests/Unsupported-v0", Unsupported, disable_env_checker=True)
    if "tests/Failing-v0" not in gym.registry:
        gym.register("tests/Failing-v0", Counting, kwargs={"fail_at": 300}, disable_env_checker=True)
        gym.register("tests/Slow-v0", Counting, kwargs={"sleep": 0.005}, disable_env_checker=True)
        for where in ("step", "reset", "close"):
            kwargs = {"hang_in": where}
            gym.register(f"tests/Hanging-{where}-v0", Hanging, kwargs=kwargs, disable_env_checker=True)
        gym.register("tests/Limited-v0", Counting, kwargs={"limit": True}, disable_env_checker=True)


register()
