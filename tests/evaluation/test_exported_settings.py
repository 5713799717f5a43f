"""An export that a stranger wrote: what its impala_tf.json may say, and that it runs no code of his."""

import json
import sys

import pytest

from impala_tf import environments, experiment
from impala_tf.config import Config, SettingError, environment_settings
from impala_tf.evaluation import evaluate_exports, protocols
from impala_tf.evaluation.evaluate_exports import Options

EVIL = "import pathlib; pathlib.Path('EVIL').touch()\nimport gymnasium as gym\ngym.register('X-v0', lambda: 1 / 0)\n"


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A function that writes an export with these settings and gives its directory; `evil.py` lies in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    directory = tmp_path / "pong" / "saved_model"
    directory.mkdir(parents=True)
    (directory / "evil.py").write_text(EVIL)
    (directory / "saved_model.pb").write_bytes(b"")

    def write(settings, **others):
        content = dict(environment=environment_settings(Config()) | settings, observation=["observation"]) | others
        (directory / "impala_tf.json").write_text(json.dumps(content))
        return directory

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "pong"]:
        del sys.modules[name]
    environments.clear_caches()


@pytest.mark.parametrize("env_id", ["", "CartPole-v1", "evil:X-v0"])
@pytest.mark.parametrize(
    "settings",
    [
        dict(env_id="pong.saved_model.evil:X-v0"),
        dict(env_id="CartPole-v1,pong.saved_model.evil:X-v0"),
        dict(env_id="ALE/Pong-v5,pong.saved_model.evil:X-v0"),
        dict(env_id="impala_tf.types:pong.saved_model.evil:X-v0"),
        dict(network="pong.saved_model.evil:X"),
        dict(hidden_sizes="pong.saved_model.evil:X"),
        dict(dmlab_dataset_path="pong.saved_model.evil:X"),
    ],
    ids=lambda settings: "-".join(f"{name}={value}" for name, value in settings.items()),
)
def test_no_module_that_an_export_names_is_imported(stranger, settings, env_id, tmp_path):
    directory = stranger(settings)
    with pytest.raises(SettingError):
        evaluate_exports.evaluate([directory], Options(1, env_id=env_id))
    assert not (tmp_path / "EVIL").exists()


def test_the_message_names_the_module_and_how_to_allow_it(stranger, tmp_path):
    directory = stranger(dict(env_id="pong.saved_model.evil:X-v0"))
    message = rf"module pong.saved_model.evil \({tmp_path}/pong\); if .* add --trust_modules=pong.saved_model.evil$"
    with pytest.raises(SettingError, match=message):
        evaluate_exports.evaluate([directory], Options(1))


@pytest.mark.parametrize("named", ["env_id", "trusted_modules"])
def test_a_module_that_the_user_names_is_imported(stranger, named, tmp_path):
    env_id = "pong.saved_model.evil:X-v0"
    directory = stranger(dict(env_id=env_id))
    value = env_id if named == "env_id" else frozenset(["pong.saved_model.evil"])
    with pytest.raises(SettingError, match="gymnasium could not make it: ZeroDivisionError"):
        evaluate_exports.evaluate([directory], Options(1, **{named: value}))
    assert (tmp_path / "EVIL").exists()


def test_naming_one_of_two_modules_does_not_allow_the_other(stranger):
    directory = stranger(dict(env_id="one:A,two:B"))
    with pytest.raises(SettingError, match=r"code of the module two \(not installed\); .* add --trust_modules=two$"):
        protocols.evaluation_config(directory, "one:A")
    assert protocols.evaluation_config(directory, "one:A,two:B").env_id == "one:A,two:B"


def test_a_named_environment_that_is_the_trainings_changes_nothing_else(stranger):
    directory = stranger(dict(env_id="own:A", vectorization="sync"))
    assert protocols.evaluation_config(directory, "own:A").vectorization == "sync"
    assert protocols.evaluation_config(directory, "CartPole-v1").vectorization == "auto"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(network="mlp"), "'network' is no setting of an environment"),
        (dict(surprise=1), "'surprise' is no setting of an environment"),
        (dict(env_id=5), "--env_id=5: must be text"),
        (dict(env_id="a\x1b[31mb"), "env_id must be printable text"),
        (dict(frame_stack="4"), "--frame_stack='4': must be a whole number"),
        (dict(frame_stack=True), "--frame_stack=True: must be a whole number"),
        (dict(frame_stack=4.0), "--frame_stack=4.0: must be a whole number"),
        (dict(full_action_set=1), "--full_action_set=1: must be true or false"),
        (dict(sticky_actions="0.1"), "--sticky_actions='0.1': must be a number"),
        (dict(frame_stack=0), "--frame_stack=0: must be at least 1"),
    ],
)
def test_settings_are_taken_by_their_type(stranger, settings, message):
    with pytest.raises(SettingError, match=f"^--saved_model=.*cannot be loaded .impala_tf.json: .*{message}") as error:
        protocols.evaluation_config(stranger(settings))
    assert "\n" not in str(error.value)


def test_a_whole_number_may_stand_for_a_float_and_missing_settings_have_their_defaults(stranger):
    directory = stranger({})
    (directory / "impala_tf.json").write_text('{"environment": {"env_id": "ALE/Pong-v5", "sticky_actions": 0}}')
    config = protocols.evaluation_config(directory)
    assert (config.sticky_actions, config.frame_stack) == (0, Config().frame_stack)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"environment": 3}', "{}", "[" * 100_000])
def test_a_file_that_is_no_description_is_one_line(stranger, content):
    directory = stranger({})
    (directory / "impala_tf.json").write_text(content)
    with pytest.raises(SettingError, match=r"cannot be loaded .impala_tf.json: ") as error:
        protocols.evaluation_config(directory)
    assert "\n" not in str(error.value)


def test_mode_test_trusts_the_modules_of_its_env_id(stranger, monkeypatch):
    asked = []
    monkeypatch.setattr(evaluate_exports, "evaluate", lambda *arguments, flag: asked.append(arguments))
    for env_id in ("own:A,other.module:B", "CartPole-v1"):
        experiment.evaluate_export(Config(mode="test", logdir="x", env_id=env_id))
    (_, first), (_, second) = asked
    assert first.trusted_modules == {"own", "other.module"}
    assert first.env_id == "", "the export says what is played"
    assert second.trusted_modules == set()
