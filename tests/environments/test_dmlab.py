"""DeepMind Lab's adapter, against a stand-in for the library with known episodes."""

import functools
import math
import pathlib
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.environments import suites
from impala_tf.environments.families.dmlab_level import DMLabLevel
from impala_tf.environments.reference_scores import DMLAB30, DMLAB30_TEST
from tests.support import fake_deepmind_lab
from tests.support.fake_deepmind_lab import LENGTH, instruction_at

ROOT = pathlib.Path(__file__).parent.parent.parent
ID = "DMLab/language_execute_random_task-v0"
FORWARD, FIRE = 0, 8
# Frame t pays t: frames 1-4, 5-8, ..., 21-22.
REWARDS = [10, 26, 42, 58, 74, 43]


@pytest.fixture(autouse=True)
def labs(monkeypatch):
    """What the stand-in has made."""
    monkeypatch.setitem(sys.modules, "deepmind_lab", fake_deepmind_lab)
    monkeypatch.setattr(fake_deepmind_lab, "made", [])
    return fake_deepmind_lab.made


def test_spaces():
    env = gym.make(ID)
    frame, instruction = env.observation_space["frame"], env.observation_space["instruction"]
    assert set(env.observation_space) == {"frame", "instruction"}
    assert frame == gym.spaces.Box(0, 255, (72, 96, 3), np.uint8)
    assert isinstance(instruction, gym.spaces.Text)
    assert "" in instruction
    assert "Are all cars blue?" in instruction
    assert env.action_space == gym.spaces.Discrete(9)


@pytest.mark.filterwarnings("error")
def test_it_is_an_environment_to_gymnasium():
    check_env(DMLabLevel("rooms_watermaze", render_mode="rgb_array"), skip_render_check=True)


def test_what_the_library_is_asked_for(labs):
    gym.make("DMLab/rooms_watermaze-v0")
    assert labs[0].level == "contributed/dmlab30/rooms_watermaze"
    assert labs[0].config == {"width": "96", "height": "72"}
    assert labs[0].renderer == "software"
    gym.make("DMLab/seekavoid_arena_01-v0")
    assert labs[1].level == "seekavoid_arena_01"


def test_the_nine_actions(labs):
    """[look right, look down, strafe right, forward, fire, jump, crouch]"""
    env = gym.make(ID)
    for action in range(9):
        env.reset()
        env.step(np.int64(action))
    assert [action for action, _ in labs[0].actions] == [
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, -1, 0, 0, 0],
        [0, 0, -1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0],
        [-20, 0, 0, 0, 0, 0, 0],
        [20, 0, 0, 0, 0, 0, 0],
        [-20, 0, 0, 1, 0, 0, 0],
        [20, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
    ]
    assert env.unwrapped.get_action_meanings()[6:] == ["FORWARD_LOOK_LEFT", "FORWARD_LOOK_RIGHT", "FIRE"]


def test_another_order_of_action_dimensions_is_noticed(monkeypatch):
    monkeypatch.setattr(fake_deepmind_lab, "ACTION_SPEC", fake_deepmind_lab.ACTION_SPEC[::-1])
    with pytest.raises(AssertionError, match="CROUCH"):
        DMLabLevel("rooms_watermaze")


@pytest.mark.parametrize("num_action_repeats", [1, 4])
def test_episodes_of_known_length(num_action_repeats, labs):
    """Two episodes, with their raw rewards and instructions; the end is a termination and shows the frame before it."""
    env = gym.make(ID, num_action_repeats=num_action_repeats)
    num_steps = math.ceil(LENGTH / num_action_repeats)
    for episode in range(2):
        observation, _ = env.reset(seed=7 if episode == 0 else None)
        rewards = []
        for step in range(num_steps):
            t = step * num_action_repeats
            assert observation["frame"][0, 0, 0] == t
            assert observation["instruction"] == instruction_at(episode, t)
            assert observation in env.observation_space
            before = observation
            observation, reward, terminated, truncated, _ = env.step(FORWARD)
            rewards.append(reward)
            assert (terminated, truncated) == (step == num_steps - 1, False)
        np.testing.assert_array_equal(observation["frame"], before["frame"])
        assert observation["instruction"] == before["instruction"]
        assert sum(rewards) == LENGTH * (LENGTH + 1) / 2
        assert rewards == (REWARDS if num_action_repeats == 4 else list(range(1, LENGTH + 1)))
        assert type(rewards[0]) is float
    assert {num for _, num in labs[0].actions} == {num_action_repeats}
    with pytest.raises(RuntimeError, match="wrong status to advance"):
        env.step(FORWARD)


def test_rewards_count_every_repeat():
    env = gym.make(ID)
    env.reset()
    assert env.step(FIRE)[1] == 4010
    for _ in range(4):
        env.step(FORWARD)
    assert env.step(FIRE)[1] == 2043, "the last step has two frames"


def test_seeds(labs):
    def play(seed):
        """Frames and library seeds of two episodes of two steps, from one seed on."""
        env.reset(seed=seed)
        frames = [env.step(FORWARD)[0]["frame"]]
        frames += [env.reset()[0]["frame"], env.step(FORWARD)[0]["frame"]]
        return np.stack(frames), labs[0].resets[-2:]

    env = gym.make(ID)
    first, again, other = play(3), play(3), play(4)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1], "also the numbers of the episodes"
    assert (first[0] != other[0]).any()
    drawn = {seed for _, seed in (*first[1], *other[1])}
    assert len(drawn) == 4, "every episode has a seed of its own"
    env.reset(seed=None)
    for _ in range(200):
        env.reset()  # The stand-in refuses what does not fit a C int.


@pytest.mark.parametrize("text", ["x" * 513, "caf\u00e9", b"red"])
def test_an_instruction_that_does_not_fit_the_space_is_refused(text, monkeypatch):
    monkeypatch.setattr(fake_deepmind_lab, "instruction_at", lambda episode, t: text)
    with pytest.raises(ValueError, match="not an instruction of at most 512 ASCII characters"):
        gym.make(ID).reset()


@pytest.fixture
def _in_new_processes(tmp_path, monkeypatch):
    """New processes take over sys.path and find the stand-in there."""
    (tmp_path / "deepmind_lab.py").write_text("from tests.support.fake_deepmind_lab import Lab\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_in_new_processes")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_in_gymnasium_vectors(kind):
    """The row after an end is the first of a new episode, whatever the action; texts arrive as they were."""
    makers = [functools.partial(gym.make, f"impala_tf.environments:{ID}")] * 2
    if kind == "sync":
        vector = SyncVectorEnv(makers)
    else:
        vector = AsyncVectorEnv(makers, context="spawn", shared_memory=False)
    observation, _ = vector.reset(seed=[5, 6])
    rows = [(observation, None, None, None)]
    rows += [vector.step(np.full(2, FORWARD))[:4] for _ in range(8)]
    vector.close()
    # Episode 0 has 6 steps: its last row shows the frame of the one before; row 7 begins episode 1.
    seen = [(0, 0), (0, 4), (0, 8), (0, 12), (0, 16), (0, 20), (0, 20), (1, 0), (1, 4)]
    for row, (episode, t) in zip(rows, seen, strict=True):
        assert row[0]["frame"].shape == (2, 72, 96, 3)
        assert row[0]["frame"].dtype == np.uint8
        assert row[0]["frame"][:, 0, 0, 0].tolist() == [t, t]
        assert row[0]["instruction"] == (instruction_at(episode, t),) * 2
    assert (rows[0][0]["frame"][0] != rows[0][0]["frame"][1]).any(), "seeded apart"
    np.testing.assert_array_equal([row[1] for row in rows[1:]], np.repeat([[*REWARDS, 0, 10]], 2, axis=0).T)
    assert [row[2].all() for row in rows[1:]] == [False] * 5 + [True] + [False] * 2
    assert not any(row[3].any() for row in rows[1:])


def test_actions_are_repeated_once(labs):
    """--num_action_repeats goes to DeepMind Lab, not to the wrapper as well."""
    config = Config(env_id=ID, num_action_repeats=4, vectorization="sync")
    vector = environments.make_vector_environment(config, 1, 0, 2)
    vector.reset()
    assert vector.step(np.full(2, FORWARD)).reward.tolist() == [10, 10]
    assert [lab.actions for lab in labs[-2:]] == [[([0, 0, 0, 1, 0, 0, 0], 4)]] * 2
    assert vector.frames_per_sec == 60, "frames; steps are --num_action_repeats of them"
    assert vector.action_names[FIRE] == "FIRE"
    vector.close()
    assert all(lab.closed for lab in labs)


@pytest.mark.usefixtures("_in_new_processes")
def test_each_environment_has_a_process_and_texts_are_not_shared_memory():
    """gymnasium reads texts in shared memory once only, when the vector is made."""
    vector = environments.make_vector_environment(Config(env_id=ID, num_action_repeats=4), 1, 0, 2)
    assert len(vector._env.processes) == 2
    assert not vector._env._rows.has_observations
    vector.reset()
    assert vector.step(np.full(2, FORWARD)).reward.tolist() == [10, 10]
    vector.close()


@pytest.mark.parametrize(("frames", "steps"), [(8, 2), (10, 2), (3, 1)])
def test_a_limit_of_ours_truncates_and_shows_the_true_frame(frames, steps):
    config = Config(env_id=ID, num_action_repeats=4, vectorization="sync", max_episode_frames=frames)
    vector = environments.make_vector_environment(config, 1, 0, 1)
    vector.reset()
    for step in range(1, steps + 1):
        row = vector.step(np.full(1, FORWARD))
        assert row.truncated.all() == (step == steps)
    assert not row.terminated.any()
    assert row.observation["frame"][0, 0, 0, 0] == 4 * steps
    vector.close()


def test_pictures():
    env = gym.make(ID, render_mode="rgb_array")
    observation, _ = env.reset()
    np.testing.assert_array_equal(env.render(), observation["frame"])


def test_settings_reach_the_library(labs):
    config = Config(env_id=ID, vectorization="sync", dmlab_renderer="hardware", dmlab_dataset_path="pictures")
    environments.make_vector_environment(config, 1, 0, 1).close()
    assert labs[-1].renderer == "hardware"
    assert labs[-1].config["datasetPath"] == "pictures"
    with pytest.raises(SettingError, match="--dmlab_renderer=hardware: does nothing without a DMLab id; given: Cart"):
        environments.spec_of(Config(dmlab_renderer="hardware"))
    with pytest.raises(SettingError, match="--dmlab_dataset_path=x: does nothing"):
        environments.spec_of(Config(dmlab_dataset_path="x"))


def test_testing_uses_other_seeds_and_held_out_levels(labs):
    for task in DMLAB30_TEST:
        gym.make(task)
    # 0x600D5EED, the released code's.
    assert all(lab.config["mixerSeed"] == "1611489005" for lab in labs)
    held_out = {lab.level.rpartition("/")[2] for lab in labs} & set(fake_deepmind_lab.HELD_OUT)
    assert held_out == set(fake_deepmind_lab.HELD_OUT)
    labs.clear()
    for task in DMLAB30:
        gym.make(task)
    assert not any("mixerSeed" in lab.config or "allowHoldOutLevels" in lab.config for lab in labs)
    assert len({lab.level for lab in labs}) == 30


@pytest.mark.parametrize(
    "env_id", ["dmlab30_test", "DMLabTest/rooms_watermaze-v0", f"{ID},DMLabTest/rooms_watermaze-v0"]
)
def test_nobody_trains_on_what_is_for_testing(env_id):
    with pytest.raises(SettingError, match=r"is for testing; train on a DMLab/ id or on dmlab30") as error:
        environments.spec_for_training(Config(env_id=env_id, num_actors=30))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("env_id", [ID, "DMLabTest/rooms_watermaze-v0"])
def test_a_missing_library_is_named_in_one_line(env_id, monkeypatch):
    monkeypatch.setitem(sys.modules, "deepmind_lab", None)
    with pytest.raises(SettingError, match=rf"^--env_id={env_id}: deepmind_lab is not installed, .* build") as error:
        environments.spec_of(Config(env_id=env_id))
    assert "\n" not in str(error.value)


def test_evaluation_plays_whole_episodes():
    assert environments.for_evaluation(Config(env_id=next(iter(DMLAB30_TEST)))).max_episode_frames == 0


def test_the_suite():
    assert len(DMLAB30) == len(DMLAB30_TEST) == 30
    for suite in (DMLAB30, DMLAB30_TEST):
        assert set(suite) < set(gym.registry)
    # The stand-in has the list of DeepMind Lab's files: 28 levels and two in two versions.
    ids = {f"DMLab/{level}-v0" for level in fake_deepmind_lab.DMLAB30 if not level.endswith("_test")}
    assert set(DMLAB30) == ids


def test_normalised_scores():
    """(score - random) / (human - random), of a level to train on by the scores of its held-out version."""
    watermaze = "DMLab/rooms_watermaze-v0"
    assert suites.normalised(watermaze, 4.065) == 0
    assert suites.normalised(watermaze, 54) == 1
    assert suites.normalised("DMLab/rooms_collect_good_objects_train-v0", 10) == 1
    assert suites.normalised("DMLabTest/rooms_collect_good_objects_test-v0", 0.073) == 0
    # All levels at human play but two: one at random play, one ten times above. Table 3 caps the second.
    scores = {task: reference.expert for task, reference in DMLAB30.items()}
    scores["DMLab/rooms_watermaze-v0"] = 4.065
    skymaze = DMLAB30["DMLab/skymaze_irreversible_path_varied-v0"]
    scores["DMLab/skymaze_irreversible_path_varied-v0"] = skymaze.random + 10 * (skymaze.expert - skymaze.random)
    summary = suites.summarise(scores)
    np.testing.assert_allclose(summary, [(28 + 10) / 30, 1, 29 / 30])


def config_of(path):
    """As absl reads it: a later line wins."""
    values = {}

    def read(path):
        for line in path.read_text().splitlines():
            if line.startswith("--flagfile="):
                read(path.parent / line.removeprefix("--flagfile="))
            elif line.startswith("--"):
                name, value = line[2:].split("=", 1)
                default = getattr(Config(), name)
                values[name] = value == "true" if isinstance(default, bool) else type(default)(value)

    read(path)
    return Config(**values)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dmlab_single", dict(entropy_cost=0.00025, learning_rate=0.00048, reward_clipping="abs_one", num_actors=48)),
        ("dmlab30", dict(entropy_cost=0.0033391318945337044, learning_rate=0.00031866995608948655, num_actors=150,
                         reward_clipping="soft_asymmetric", total_environment_frames=10**10, env_id="dmlab30")),
    ],
)  # fmt: skip
def test_flag_files(name, settings):
    config = config_of(ROOT / "flags" / f"{name}.flags")
    both = dict(
        epsilon=0.1, decay=0.99, momentum=0, discounting=0.99, baseline_cost=0.5, unroll_length=100, batch_size=32,
        num_action_repeats=4, network="deep", core="lstm", core_size=256, use_last_action_and_reward=True,
    )  # fmt: skip
    assert {key: getattr(config, key) for key in (both | settings)} == both | settings
    assert config.num_actors >= len(suites.tasks_of(config))
