import numpy as np
import pytest

from impala_tf.records.checkpoints import Checkpoints
from impala_tf.records.files import write_npz


def arrays(value):
    return {"weights/0": np.full((50, 40), value, np.float32), "updates": np.int64(value)}


def load(checkpoints):
    lines = []
    return checkpoints.load_newest(lines.append), lines


def test_the_newest_is_loaded_and_old_ones_go(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert load(checkpoints) == (None, [])
    for value in (5, 10, 100):
        checkpoints.save(value, arrays(value), {"episodes": value, "nan": None})
    assert [path.name for path in checkpoints.paths()] == ["checkpoint-0000000010.npz", "checkpoint-0000000100.npz"]
    (loaded, info), lines = load(checkpoints)
    np.testing.assert_array_equal(loaded["weights/0"], arrays(100)["weights/0"])
    assert (int(loaded["updates"]), info["episodes"], lines) == (100, 100, [])
    assert [path.name for path in (tmp_path / "checkpoints").iterdir() if path.suffix == ".tmp"] == []


def flip(data):
    return data[:1000] + bytes([data[1000] ^ 1]) + data[1001:]


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:2000], lambda data: b"", lambda data: b"x" * 99, flip],
    ids=["cut", "empty", "text", "bit"],
)
def test_a_damaged_one_is_passed_over(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for value in (1, 2):
        checkpoints.save(value, arrays(value), {})
    newest = checkpoints.paths()[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    (loaded, _), lines = load(checkpoints)
    assert int(loaded["updates"]) == 1
    assert len(lines) == 1
    assert str(newest) in lines[0]
    assert "falling back" in lines[0]


def test_what_is_not_finite_is_not_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, arrays(1), {})
    with pytest.raises(FloatingPointError, match="update 2: weights/0 is not finite"):
        checkpoints.save(2, arrays(2) | {"weights/0": np.array([np.nan])}, {})
    assert len(checkpoints.paths()) == 1
    assert load(checkpoints)[0] is not None


def test_due_by_updates_and_by_time(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    by_updates = Checkpoints(tmp_path, keep=1, every_updates=10)
    assert [by_updates.due(n) for n in (9, 10)] == [False, True]
    by_updates.save(10, arrays(10), {})
    assert [by_updates.due(n) for n in (19, 20)] == [False, True]
    by_time = Checkpoints(tmp_path, keep=1, every_secs=5)
    assert not by_time.due(1000)
    now[0] += 5
    assert by_time.due(1)
    assert not Checkpoints(tmp_path, keep=1).due(10**9)


def test_a_damaged_newer_one_does_not_push_out_whole_ones(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(100, arrays(100), {})
    (tmp_path / "checkpoint-0000000200.npz").write_bytes(b"")
    checkpoints.save(150, arrays(150), {})
    (loaded, _), _ = load(checkpoints)
    assert int(loaded["updates"]) == 150


def test_the_first_of_a_new_run_comes_early(tmp_path, monkeypatch):
    """It comes after the first log, counted from the first update; then every 600 s."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, keep=1, every_secs=600, first_after_secs=0.5)
    now[0] += 30  # Tracing and compilation.
    assert not checkpoints.due(1)
    now[0] += 0.4
    assert not checkpoints.due(2)
    now[0] += 0.1
    assert checkpoints.due(3)
    checkpoints.save(3, arrays(3), {})
    now[0] += 599
    assert not checkpoints.due(4)
    now[0] += 1
    assert checkpoints.due(5)


def test_no_early_one_when_checkpoints_are_off_or_the_run_was_resumed(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    off = Checkpoints(tmp_path, keep=1, first_after_secs=0.5)
    resumed = Checkpoints(tmp_path, keep=1, every_secs=600, first_after_secs=0.5)
    resumed.saved(100)
    for _ in range(3):
        assert not off.due(101)
        assert not resumed.due(101)
        now[0] += 1


def test_arrays_of_any_kind_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    saved = {"format": np.int64(2), "names": np.array(["a", "b"]), "flags": np.array([True]), "weights": np.zeros(2)}
    checkpoints.save(1, saved, {})
    loaded, _ = load(checkpoints)[0]
    assert {name: array.tolist() for name, array in loaded.items()} == {n: a.tolist() for n, a in saved.items()}


def test_one_that_is_not_finite_is_passed_over_though_its_checksum_is_right(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    checkpoints.save(1, arrays(1), {})
    write_npz(tmp_path / "checkpoint-0000000002.npz", arrays(2) | {"weights/0": np.array([1, np.inf])}, {})
    (loaded, _), (line,) = load(checkpoints)
    assert int(loaded["updates"]) == 1
    assert line.endswith("is damaged (weights/0 is not finite); falling back to the checkpoint before it")
    assert checkpoints.loaded.name == "checkpoint-0000000001.npz"
    assert checkpoints.load_newest(pytest.fail, before=checkpoints.loaded) is None


def test_one_that_cannot_be_written_is_put_off(tmp_path, monkeypatch):
    """It is said once, until one could be written."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, keep=1, every_secs=60)
    now[0] += 60
    assert checkpoints.due(1)
    assert checkpoints.put_off(1)
    assert not checkpoints.due(2)
    now[0] += 60
    assert checkpoints.due(3)
    assert not checkpoints.put_off(3)
    checkpoints.save(4, arrays(4), {})
    assert checkpoints.put_off(5)
