"""Draws combinations of flags for fuzz_flags.py by Hypothesis: usual values, bounds, and what is just outside of them.

A combination is a small run with up to eight other flags. Numbers that only make a run longer or larger stay small.
"""

import dataclasses
import math
import re

import hypothesis
from hypothesis import strategies as st

from impala_tf.config import Config, SettingError, fields

# Every combination has these, unless it gives others. They make a run of a few updates.
SMALL = {
    "num_actors": "2",
    "num_envs_per_actor": "2",
    "batch_size": "4",
    "unroll_length": "3",
    "hidden_sizes": "8",
    "core_size": "4",
    "total_environment_frames": "120",
    "replay_capacity": "64",
    "log_every_secs": "0.05",
    "evaluate_num_episodes": "1",
    "test_num_episodes": "1",
}
# A number that makes a run larger is one of these.
SIZES = {
    "num_actors": (1, 2, 3, 4, 0, -1),
    "num_envs_per_actor": (1, 2, 3, 4, 8, 0),
    "batch_size": (1, 2, 3, 4, 6, 8, 16, 0),
    "unroll_length": (1, 2, 3, 5, 8, 0),
    "core_size": (1, 3, 16, 0),
    "total_environment_frames": (1, 7, 120, 400, 0),
    "actors_per_host": (1, 2, 3, 0),
    "concurrent_actors": (0, 1, 2, 9, -1),
    "envs_per_step": (0, 1, 2, 3),
    "env_threads": (0, 1, 2, 1025),
    "queue_capacity": (0, 1, 2, 4, 7, 64, -1),
    "buffer_batches": (0, 1, 2, 3, -1),
    "batch_uses": (0, 1, 2, 3),
    "minibatches": (0, 1, 2, 3, 4, 5),
    "replay_capacity": (1, 2, 4, 64, 10**15, 0),
    "frame_stack": (1, 2, 4, 0),
    "noop_max": (0, 1, 30, -1),
    "num_action_repeats": (1, 2, 4, 0),
    "max_episode_frames": (0, 1, 2, 50, -1),
    "num_learners": (1, 1, 1, 2, 0),
    "learner_index": (0, 1, -1),
    "evaluate_every_frames": (0, 1, 50, 10**9),
    "evaluate_num_episodes": (1, 2, 0),
    "test_num_episodes": (1, 2, 0),
    "keep_checkpoints": (1, 2, 0),
    "checkpoint_every_updates": (0, 1, 3, -1),
    "policy_lag": (0, 1, 3, -1),
    "max_policy_lag": (0, 1, 2, 50),
    "dynamic_batching_min": (1, 2, 64, 0),
    "dynamic_batching_max": (1, 2, 4, 64, 0),
    "seed": (0, 1, 2**31, 2**40, 2**53, 2**63 // 1000 - 1, 2**63, -1),
}
TEXTS = {
    "env_id": (
        *("CartPole-v1", "Pendulum-v1", "Acrobot-v1", "FrozenLake-v1", "MountainCarContinuous-v0", "Blackjack-v1"),
        *("MinAtar/Breakout-v0", "ALE/Pong-v5", "CartPole-v1,Acrobot-v1", "CartPole-v1,Pendulum-v1", "Taxi-v3"),
        *("CartPole-v1,CartPole-v1", "minatar5", "CartPole", "NoSuch-v0", "no_module:X-v0", "", ",", "a b", "é-v0"),
    ),
    "network": ("no_module:function", "os:getcwd", ":"),
    "algorithm": ("no_module:Class", "os:getcwd", ":"),
    "freeze": ("", "torso", "heads", "core", "torso,heads", "torso,core,heads", "x", ","),
    "init_parts": ("torso", "heads", "torso,core,heads", "", "x"),
    "init_from": ("", "", "/no/such/place", "."),
    "teacher": ("", "", "/no/such/place", ".", ","),
    "ray_address": ("", "localhost:1"),
    "learner_hosts": ("", "", "localhost", "localhost:1,localhost:1", "a,b"),
    "dmlab_dataset_path": ("", "/no/such/place"),
    "mode": ("train", "train", "test"),
}
# ray starts for ten seconds, and the profile takes four.
LEFT_OUT = {"logdir": None, "actor_backend": ("ray",), "profile": ("true",)}
FLOATS = (0.0, 0.1, 0.5, 0.9, 1.0, 2.0, 1e-8, 1e8, 1e30, -1.0, math.inf, -math.inf, math.nan)
INTS = (0, 1, 2, 3, 5, 1000, 10**12, 10**20, -1)
NO_TYPE = ("", "x", "1.5.2", "True-ish")  # A value of no type, or of another.


def values_of(field: dataclasses.Field) -> st.SearchStrategy[str]:
    """Returns a strategy of the texts behind the = of a flag. Few are of no type."""
    name, default, metadata = field.name, field.default, field.metadata
    if name in SIZES:
        right = st.sampled_from(SIZES[name]).map(str)
    elif isinstance(default, bool):
        right = st.sampled_from(("true", "false"))
    elif isinstance(default, int):
        right = st.sampled_from(INTS).map(str)
    elif isinstance(default, float):
        limits = [
            x for x in (metadata["bounds"].low, metadata["bounds"].above, metadata["bounds"].high) if x is not None
        ]
        right = st.sampled_from([default, *FLOATS, *limits, *(x + d for x in limits for d in (-0.01, 0.01))]).map(str)
    elif isinstance(default, tuple):
        right = st.sampled_from(("8", "4,4", "3,5,7", "0", "8,", "-1", "a", "8.0"))
    else:
        choices = [x for x in metadata["choices"] if x not in LEFT_OUT.get(name, ()) and x != "module:function"]
        right = st.sampled_from([*choices, *TEXTS.get(name, ()), "nonsense"])
    return st.integers(0, 23).flatmap(lambda i: st.sampled_from(NO_TYPE) if i == 17 else right)


@st.composite
def combinations(draw) -> tuple[str, ...]:
    """Draws the flags of a run. Half of those that `Config` refuses follow the advice of its message."""
    names = [field.name for field in fields() if field.name not in ("logdir", "profile")]
    by_name = {field.name: field for field in fields()}
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=8, unique=True))
    given = SMALL | {name: draw(values_of(by_name[name])) for name in chosen}
    if draw(st.booleans()):
        given = as_advised(given)
    return tuple(f"--{name}={value}" for name, value in given.items())


def as_advised(given: dict[str, str]) -> dict[str, str]:
    """Changes the flags as the messages of `Config` say, as long as they say something new."""
    for _ in range(6):
        message = refusal(given)
        advice = re.findall(r"give (?:.*? )?--(\w+)=(\w+(?:\.\d+)?)", message)
        if not advice or given.get(advice[0][0]) == advice[0][1]:
            wrong = re.match(r"--(\w+)=", message)
            if "leave" not in message or not wrong or wrong[1] not in given:
                return given
            given = {name: value for name, value in given.items() if name != wrong[1]}
        else:
            given = given | {advice[0][0]: advice[0][1]}
    return given


def refusal(given: dict[str, str]) -> str:
    """Returns why `Config` refuses these values; "" when it takes them or they have no types."""
    types = {field.name: type(field.default) for field in fields()}
    try:
        Config(**{name: parsed(value, types[name]) for name, value in given.items()})
    except SettingError as error:
        return str(error)
    except ValueError:
        return ""
    return ""


def parsed(text: str, of_type: type):
    """Returns the value of a flag's text. Raises ValueError when it is of another type."""
    if of_type is bool:
        return {"true": True, "false": False}[text] if text in ("true", "false") else int(text) > 0
    if of_type is tuple:
        return tuple(int(item) for item in text.split(","))
    return of_type(text)


def draw_combinations(seed: int, number: int) -> list[tuple[str, ...]]:
    """Returns so many different combinations; the same seed gives the same ones."""
    found: dict[tuple[str, ...], None] = {}

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=3 * number,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(combinations())
    def collect(flags: tuple[str, ...]) -> None:
        found[flags] = None

    collect()
    return list(found)[:number]
