"""The description beside an export: what may stand in it, and how damage to the export is seen."""

import json

import pytest

from impala_tf.config import SettingError
from impala_tf.records.exports import check_export, read_info, unchecked, write_info

FIELDS = dict(environment={"env_id": "A-v0"}, observation=["observation"], weights=["torso/a"], action_scale_init=0.5)


@pytest.fixture
def export(tmp_path):
    """An export whose files are no models, which nothing here reads."""
    (tmp_path / "variables").mkdir()
    for name in ("saved_model.pb", "fingerprint.pb", "variables/variables.index", "variables/variables.data-0"):
        (tmp_path / name).write_bytes(name.encode() * 50)
    write_info(tmp_path, FIELDS)
    return tmp_path


def error_of(export):
    with pytest.raises(SettingError) as error:
        check_export(export, "teacher")
    text = str(error.value)
    assert text.startswith(f"--teacher={export}: cannot be loaded (")
    assert text.isprintable()
    return text


def test_an_export_says_what_was_written(export):
    info = check_export(export, "saved_model")
    assert {name: value for name, value in info._asdict().items() if name in FIELDS} == FIELDS
    assert sorted(info.files) == [
        *("fingerprint.pb", "saved_model.pb", "variables/variables.data-0", "variables/variables.index")
    ]  # fmt: skip
    assert unchecked(export, info, "saved_model") == []


def test_files_that_tensorflow_does_not_read_may_lie_in_it(export):
    for name in ("README.md", "evil.py", "numpy.py"):
        (export / name).write_text("")
    check_export(export, "saved_model")


@pytest.mark.parametrize("name", ["saved_model.pb", "fingerprint.pb", "variables/variables.index"])
def test_a_file_that_was_changed_or_lost_is_named(export, name):
    path = export / name
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    assert f"{name} is damaged, or is another export's: its checksum is wrong" in error_of(export)
    path.unlink()
    if name != "saved_model.pb":
        assert f"{name} is missing" in error_of(export)


@pytest.mark.parametrize("name", ["saved_model.cpb", "saved_model.pbtxt", "assets/a", "variables/variables.data-1"])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_file_that_tensorflow_would_read_and_nobody_wrote_is_refused(export, name, sealed):
    (export / name).parent.mkdir(exist_ok=True)
    (export / name).write_text("")
    if not sealed:
        (export / "impala_tf.json").write_text(json.dumps(FIELDS))
    if sealed or name.startswith("saved_model"):
        assert f"'{name}' does not belong to it" in error_of(export)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["environment"].update(env_id="B-v0"), "its checksum is wrong"),
        (lambda content: content.update(action_scale_init=0.25), "its checksum is wrong"),
        (lambda content: content.pop("weights"), "its checksum is wrong"),
        (lambda content: content.pop("sha256"), "its checksum is wrong"),
        (lambda content: content.pop("files"), "its checksum is wrong"),
        (lambda content: content.update(sha257=content.pop("sha256")), "'sha257' is no field of it"),
        (lambda content: content.update(network="evil:f"), "'network' is no field of it"),
        (lambda content: content.update(environment=[]), "environment must be an object"),
        (lambda content: content.update(observation="observation"), "observation must be a list of names"),
        (lambda content: content.update(weights=["a\x1b[2J"]), "weights must be a list of names"),
        (lambda content: content.update(action_scale_init=True), "action_scale_init must be a number above 0"),
        (lambda content: content.update(action_scale_init=float("nan")), "action_scale_init must be a number above 0"),
        (lambda content: content.update(best={"score": "1"}), "best must be an object of numbers"),
        (lambda content: content.update(files={"saved_model.pb": "x"}), "files must be an object of checksums"),
        (lambda content: content.update(sha256=5), "sha256 must be a checksum"),
    ],
)
def test_a_description_that_was_changed_is_refused(export, change, message):
    content = json.loads((export / "impala_tf.json").read_text())
    change(content)
    (export / "impala_tf.json").write_text(json.dumps(content))
    assert message in error_of(export)


def test_space_between_its_fields_does_not_matter(export):
    content = json.loads((export / "impala_tf.json").read_text())
    (export / "impala_tf.json").write_text(json.dumps(dict(reversed(content.items()))))
    check_export(export, "saved_model")


def test_one_of_before_is_read_and_said_to_be_unchecked(export):
    (export / "impala_tf.json").write_text(json.dumps(FIELDS | dict(best=dict(score=1.5, environment_frames=7))))
    info = read_info(export)
    assert info.files is None
    [line] = unchecked(export, info, "saved_model")
    assert line.startswith(f"--saved_model={export}: an earlier version wrote it, without checksums")
