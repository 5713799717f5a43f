"""A stand-in for `deepmind_lab` with its documented Python API, as strict as the C module, and known episodes.

An episode has `LENGTH` frames. Frame t (1, 2, ...) pays t, and 1,000 more when the action fires. The picture and the
instruction are functions of the episode's number, seed, and the frame. Source: google-deepmind/lab,
docs/users/python_api.md and python/dmlab_module.c; the levels are the files in game_scripts/levels.
"""

import numpy as np

LENGTH = 22  # No multiple of 4: the last of 6 steps is cut short.
INT_MIN, INT_MAX = -(2**31), 2**31 - 1

HELD_OUT = ("rooms_collect_good_objects_test", "rooms_exploit_deferred_effects_test")
DMLAB30 = (
    *HELD_OUT,
    "explore_goal_locations_large", "explore_goal_locations_small", "explore_object_locations_large",
    "explore_object_locations_small", "explore_object_rewards_few", "explore_object_rewards_many",
    "explore_obstructed_goals_large", "explore_obstructed_goals_small", "language_answer_quantitative_question",
    "language_execute_random_task", "language_select_described_object", "language_select_located_object",
    "lasertag_one_opponent_large", "lasertag_one_opponent_small", "lasertag_three_opponents_large",
    "lasertag_three_opponents_small", "natlab_fixed_large_map", "natlab_varying_map_randomized",
    "natlab_varying_map_regrowth", "psychlab_arbitrary_visuomotor_mapping", "psychlab_continuous_recognition",
    "psychlab_sequential_comparison", "psychlab_visual_search", "rooms_collect_good_objects_train",
    "rooms_exploit_deferred_effects_train", "rooms_keys_doors_puzzle", "rooms_select_nonmatching_object",
    "rooms_watermaze", "skymaze_irreversible_path_hard", "skymaze_irreversible_path_varied",
)  # fmt: skip
LEVELS = (*(f"contributed/dmlab30/{level}" for level in DMLAB30), "seekavoid_arena_01")
ACTION_SPEC = [
    {"min": -512, "max": 512, "name": "LOOK_LEFT_RIGHT_PIXELS_PER_FRAME"},
    {"min": -512, "max": 512, "name": "LOOK_DOWN_UP_PIXELS_PER_FRAME"},
    {"min": -1, "max": 1, "name": "STRAFE_LEFT_RIGHT"},
    {"min": -1, "max": 1, "name": "MOVE_BACK_FORWARD"},
    {"min": 0, "max": 1, "name": "FIRE"},
    {"min": 0, "max": 1, "name": "JUMP"},
    {"min": 0, "max": 1, "name": "CROUCH"},
]

made: list["Lab"] = []


def instruction_at(episode, t):
    return f"Pick the {'red' if t < 10 else 'blue'} object, no. {episode}! (~{{}}^)"


class Lab:
    def __init__(self, level, observations, config=None, renderer="software", level_cache=None):
        assert level_cache is None
        config = {} if config is None else config
        for value, kind in ((level, str), (observations, list), (config, dict), (renderer, str)):
            if type(value) is not kind:
                raise TypeError(f"{value!r} must be {kind}")
        if not all(type(text) is str for item in config.items() for text in item):
            raise TypeError(f"keys and values must be strings: {config}")
        if renderer not in ("software", "hardware"):
            raise RuntimeError(f'renderer must be "hardware" or "software", not {renderer}')
        if level not in LEVELS:
            raise RuntimeError(f"Invalid levelName flag '{level}'")
        if level.endswith(HELD_OUT) and config.get("allowHoldOutLevels") != "true":
            raise RuntimeError("This level must only be used during evaluation.")
        if set(observations) - {"RGB_INTERLEAVED", "INSTR"}:
            raise ValueError(f"Unknown observation in {observations}")
        self.level, self.config, self.renderer = level, config, renderer
        self.resets, self.actions = [], []
        self.closed, self._running = False, False
        self._names = observations
        self._shape = int(config.get("height", "240")), int(config.get("width", "320")), 3
        self._next_episode = 0
        made.append(self)

    def reset(self, episode=-1, seed=None):
        self._not_closed()
        if type(episode) is not int or type(seed) is not int:
            raise ValueError(f"'seed' must be int or None, was {type(seed)}")
        if not INT_MIN <= seed <= INT_MAX:
            raise OverflowError(seed)
        if episode >= 0:
            self._next_episode = episode
        self._episode, self._seed, self._t, self._running = self._next_episode, seed, 0, True
        self._next_episode += 1
        self.resets.append((self._episode, seed))
        return True

    def step(self, action, num_steps=1):
        if not self._running:
            raise RuntimeError("Environment in wrong status to advance.")
        if type(action) is not np.ndarray or type(num_steps) is not int or num_steps < 1:
            raise TypeError((action, num_steps))
        if action.shape != (len(ACTION_SPEC),) or action.dtype != np.intc:
            raise ValueError(f"action must have shape (7) and dtype np.intc, not {action.shape} {action.dtype}")
        for value, spec in zip(action, ACTION_SPEC, strict=True):
            assert spec["min"] <= value <= spec["max"], (value, spec)
        self.actions.append((action.tolist(), num_steps))
        reward = 0.0
        for _ in range(num_steps):
            self._t += 1
            reward += self._t + 1000.0 * action[4]
            if self._t == LENGTH:
                self._running = False
                break
        return reward

    def observations(self):
        if not self._running:
            raise RuntimeError("Environment in wrong status for call to observations()")
        random = np.random.default_rng([self._seed, self._t, self._episode])
        frame = random.integers(256, size=self._shape, dtype=np.uint8)
        frame[0, 0, 0] = self._t
        values = {"RGB_INTERLEAVED": frame, "INSTR": instruction_at(self._episode, self._t)}
        return {name: values[name] for name in self._names}

    def is_running(self):
        return self._running

    def action_spec(self):
        self._not_closed()
        return [dict(dimension) for dimension in ACTION_SPEC]

    def close(self):
        self._running, was_closed, self.closed = False, self.closed, True
        return not was_closed

    def _not_closed(self):
        if self.closed:
            raise RuntimeError("closed")
