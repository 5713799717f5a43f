"""What a file may not choose: modules, teachers and Ray's address. And the settings of a run that goes on."""

import pathlib

import pytest

from impala_tf.config import Config, SettingError
from impala_tf.records.files import write_npz
from impala_tf.records.logdir import saved_arguments
from impala_tf.support import command_line
from impala_tf.support.flag_files import Argument
from impala_tf.support.named_by_files import check, go_on
from tests.support.mains import Mains


def arguments(*lines, given=()):
    return [*(Argument(line, f"x.flags line {n}") for n, line in enumerate(lines, 1)), *map(Argument, given)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--env_id=evil:X-v0", "--env_id=evil:X-v0: runs code of the module evil (not installed), which only you can"),
        ("--env_id=A-v0,evil.b:X-v0", "code of the module evil.b (not installed), "),
        ("--network=evil:f", "x.flags line 1: --network=evil:f: runs code of the module evil (not installed)"),
        ("--algorithm=evil:f", "if you trust that, add --trust_modules=evil"),
        ("--algorithm=evil:f:g", "add --trust_modules=evil"),
        ("--env_id=json:X-v0", f"module json ({pathlib.__file__.replace('pathlib', 'json/__init__')})"),
        ("--teacher=runs/x/saved_model", "if you trust that, give --teacher=runs/x/saved_model on the command line"),
        ("--ray_address=10.0.0.1:6379", "give --ray_address=10.0.0.1:6379 on the command line"),
        ("--trust_modules=evil", "--trust_modules: a file cannot say whom you trust; give it on the command line"),
    ],
)
def test_a_file_does_not_choose_what_runs(line, message):
    with pytest.raises(SettingError) as error:
        check(arguments(line, given=["--logdir=x"]), {"other"})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_user_may_name_it():
    lines = arguments("--env_id=one:X-v0", "--network=two:f", "--algorithm=impala", "--teacher=", "--env_id=A-v0")
    check(lines, {"two"})
    given = ["--network=two:f", "--teacher=runs/x", "--ray_address", "auto"]
    check(arguments("--network=two:f", "--teacher=runs/x", "--ray_address=y", given=given), set())


def test_the_command_that_goes_on_says_what_the_file_may_not(tmp_path):
    config = Config(env_id="a:X-v0,b:Y-v0", network="b:f", teacher="x y", num_actors=2)
    line = go_on(config, tmp_path, 12_345)
    assert line.startswith("stopped at 12,345 of 1,000,000 environment frames; this goes on: ")
    command = "python -m impala_tf.experiment --logdir={} --trust_modules=a,b '--teacher=x y'"
    assert line.endswith(command.format(tmp_path))
    assert go_on(Config(), pathlib.Path("d"), 1).endswith(": python -m impala_tf.experiment --logdir=d")


@pytest.fixture(scope="module")
def mains():
    with Mains() as mains:
        yield mains


@pytest.fixture
def go(mains, tmp_path, tmp_path_factory):
    """A function that goes on with a run whose settings.flags has these lines. A planted module lies beside it."""
    write_npz(tmp_path / "run" / "checkpoints" / "checkpoint-0000000001.npz", {}, {})
    (tmp_path / "evil.py").write_text("import pathlib; pathlib.Path('EVIL').touch()\n")

    def go(lines, *given):
        (tmp_path / "run" / "settings.flags").write_text("\n".join(lines) + "\n")
        result = mains.run("experiment", "--logdir=run", *given, cwd=tmp_path, output=tmp_path_factory.mktemp("output"))
        assert "Traceback" not in result.stderr
        return result.returncode, [line.removeprefix("impala_tf: ") for line in result.stderr.splitlines()]

    return go


def test_a_run_goes_on_with_the_settings_that_it_had(go):
    """What is given wins. The ids do not exist, so that the line of the mistake says which one counts."""
    assert go(["--seed=3", "--env_id=Saved-v0"])[1][0].startswith("--env_id=Saved-v0: unknown environment")
    assert go(["--env_id=Saved-v0"], "--env_id", "Given-v0")[1][0].startswith("--env_id=Given-v0: unknown environment")
    assert "run/saved_model is not an export" in go(["--network=evil:f"], "--mode=test")[1][0], "which does not read it"


def test_lines_that_are_no_settings_do_not_stop_it(go):
    lines = ["", "# A comment.", "--batch_size=many", "torn", "--pdb=true", "--logdir=elsewhere", "--env_id=Saved-v0"]
    code, (first, second) = go(lines)
    assert first == "run/settings.flags line 3: --batch_size=many: no flag of this version; 3 such lines are not used"
    assert second.startswith("--env_id=Saved-v0: unknown environment")
    assert code == 2


@pytest.mark.parametrize("line", ["--env_id=evil:X-v0", "--network=evil:f", "--algorithm=evil:f", "--teacher=x"])
def test_a_log_directory_does_not_choose_what_runs(go, line, tmp_path):
    code, [message] = go([line])
    assert message.startswith(f"run/settings.flags line 1: {line}: ")
    assert code == 2
    assert not (tmp_path / "EVIL").exists()


def test_a_module_is_found_in_the_working_directory_when_the_user_trusts_it(go, tmp_path):
    _, [message] = go(["--env_id=evil:X-v0"])
    assert f"({tmp_path}/evil.py)" in message
    _, lines = go(["--env_id=evil:X-v0"], "--trust_modules=other,evil")
    assert lines[0].startswith("--env_id=evil:X-v0: unknown environment"), "the module registers nothing"
    assert (tmp_path / "EVIL").exists()


def test_a_directory_without_a_checkpoint_has_nothing_to_go_on_with(tmp_path):
    (tmp_path / "settings.flags").write_text("--seed=3\n")
    assert saved_arguments(str(tmp_path)) == []
    assert saved_arguments("") == []
    write_npz(tmp_path / "checkpoints" / "checkpoint-0000000001.npz", {}, {})
    assert saved_arguments(str(tmp_path)) == [Argument("--seed=3", f"{tmp_path}/settings.flags line 1")]


def test_the_last_value_of_a_flag_is_the_one_that_counts():
    given = [Argument(text) for text in ("--logdir=a", "--seed=1", "--logdir", "b")]
    assert command_line._given(given, "logdir") == "b"
    assert command_line._given(given[:2], "logdir") == "a"
    assert command_line._given(given, "mode") == ""
