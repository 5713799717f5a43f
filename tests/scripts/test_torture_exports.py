"""A small form of scripts/torture_exports.py: its corruptions, without evaluating the exports."""

import importlib
import random
import shutil

import pytest

from impala_tf.config import Config, SettingError, environment_settings
from impala_tf.evaluation.protocols import evaluation_config
from impala_tf.records.exports import check_export, write_info
from tests.support.paths import ROOT

NUM = 200


@pytest.fixture
def torture(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("torture_exports")


def write(directory, fill):
    (directory / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "fingerprint.pb", "variables/variables.index", "variables/variables.data"):
        (directory / name).write_bytes(random.Random(f"{fill}{name}").randbytes(2000))
    settings = environment_settings(Config(num_action_repeats=2, max_episode_frames=120, vectorization="sync"))
    write_info(directory, dict(environment=settings, observation=["observation"], weights=["torso/a"]))


def outcome_of(export):
    """What the export says, as it would be played; its error if it is refused."""
    try:
        return check_export(export, "saved_model").files, evaluation_config(export)
    except SettingError as error:
        return str(error)


def test_a_corruption_is_seen_or_changes_nothing(torture, tmp_path):
    write(tmp_path / "sound", 1)
    write(tmp_path / "other", 2)
    sound = outcome_of(tmp_path / "sound")
    assert sound[1].num_action_repeats == 2
    refused, kinds = 0, set()
    for number in range(NUM):
        draw = random.Random(number)
        export = tmp_path / "export"
        shutil.copytree(tmp_path / "sound", export)
        corruption = draw.choice(torture.CORRUPTIONS)(export, tmp_path / "other", draw)
        kinds.add(corruption.kind)
        outcome = outcome_of(export)
        if isinstance(outcome, str):
            assert outcome.isprintable(), corruption
            refused += 1
        elif corruption.kind == torture.CODE:
            assert ":" not in outcome[1].env_id, "another environment, which is no module's"
        else:
            assert outcome == sound, corruption
        shutil.rmtree(export)
    assert len(kinds) == 12
    assert 0.8 * NUM < refused < NUM
