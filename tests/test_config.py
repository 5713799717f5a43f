import dataclasses
import itertools
import pathlib
import re

import pytest

from impala_tf import config as config_lib
from impala_tf.config import Config, SettingError, differences, to_flag_lines
from impala_tf.settings.removed import REMOVED

FLAGS = pathlib.Path(__file__).parent.parent / "flags"
# The flags of the version with 33 modules side by side. Flag files that people keep name them.
FLAGS_OF_OLD = re.findall(
    r"\w+",
    """
mode logdir seed total_environment_frames test_num_episodes architecture env_id num_action_repeats
vectorization env_threads envs_per_step atari_preprocessing atari_ram frame_stack max_episode_frames noop_max
life_loss_ends_episode sticky_actions full_action_set dmlab_renderer dmlab_dataset_path num_actors
num_envs_per_actor unroll_length concurrent_actors policy_lag dynamic_batching dynamic_batching_min
dynamic_batching_max dynamic_batching_timeout_ms network hidden_sizes activation separate_value_network core
core_size use_last_action_and_reward normalise_observations centre_frames normalise_returns policy_init_scale
action_bounds action_scale action_scale_init batch_size queue_capacity xla learning_rate decay momentum
epsilon initial_mean_square clip_norm entropy_cost baseline_cost discounting bootstrap_at_time_limits
reward_clipping clip_rho_threshold clip_c_threshold clip_pg_rho_threshold vtrace_lambda evaluate_every_frames
evaluate_num_episodes evaluate_greedy log_every_secs checkpoint_every_secs checkpoint_every_updates
keep_checkpoints profile split_timing
""",
)


def settings_of(path):
    lines = [line.strip() for line in path.read_text().splitlines()]
    return dict(line[2:].split("=", 1) for line in lines if line.startswith("--"))


def test_cartpole_flags_is_the_default():
    defaults = dict(line[2:].split("=", 1) for line in to_flag_lines(Config()))
    assert settings_of(FLAGS / "cartpole.flags") == defaults


@pytest.mark.parametrize("path", sorted(FLAGS.glob("*.flags")), ids=lambda path: path.stem)
def test_each_line_of_a_flag_file_has_its_source_above_and_is_a_setting(path):
    names = {field.name for field in config_lib.fields()}
    lines = path.read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if line.startswith("--"):
            assert above.startswith("# "), f"{path.name}: {line} has no comment above it"
            name, value = line[2:].split("=", 1)
            assert name in names or (FLAGS / value).is_file()
    assert lines[0].startswith("# ")


def test_every_setting_explains_itself():
    for field in config_lib.fields():
        assert len(field.metadata["help"]) > 10, field.name
        assert field.metadata["help"].endswith("."), field.name


def test_differences():
    lines = to_flag_lines(Config(hidden_sizes=(32,), learning_rate=0.5))
    assert differences(Config(hidden_sizes=(32,)), lines, network=True) == []
    assert differences(Config(), lines, network=False) == ["--learning_rate=0.5 (given: 0.003)"]
    assert differences(Config(core="lstm"), lines, network=True) == [
        "--hidden_sizes=32 (given: 64,64)",
        "--core=none (given: lstm)",
    ]


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 2


def test_every_flag_of_old_is_a_setting_or_known_as_removed():
    names = {field.name for field in config_lib.fields()}
    assert set(FLAGS_OF_OLD) - names == set(REMOVED) == {"split_timing"}
    assert not names & set(REMOVED)


def test_config_has_every_field_of_every_group_once():
    assert sorted(field.name for field in config_lib.fields()) == sorted(f.name for f in dataclasses.fields(Config))
    assert all(len(dataclasses.fields(group)) >= 3 for group in config_lib.GROUPS)


def test_a_setting_can_be_replaced_by_name():
    config = dataclasses.replace(Config(batch_size=3), num_actors=2)
    assert (config.batch_size, config.num_actors) == (3, 2)
    with pytest.raises(SettingError, match="--num_actors=0: must be at least 1"):
        dataclasses.replace(config, num_actors=0)


def test_the_flag_file_of_the_defaults_has_the_groups_as_headings():
    text = (FLAGS / "cartpole.flags").read_text()
    places = [text.index(f"\n# {group.__name__}: {group.__doc__}\n") for group in config_lib.GROUPS]
    assert places == sorted(places)
