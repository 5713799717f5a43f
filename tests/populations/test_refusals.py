"""The main answers a mistake in one line with exit code 2, before Ray starts and anything is written."""

import pytest

from tests.support.mains import Mains


@pytest.fixture(scope="module")
def mains():
    with Mains() as found:
        yield found


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "a population needs Ray (import of ray halted; None in sys.modules): pip install 'impala_tf[ray]'"),
        (("--population=1",), "--population=1: members compare with others; give at least 2"),
        (("--vary=speed:1:2",), "--vary=speed:1:2: there is no setting speed; --helpfull shows all"),
        (("--margin=-1",), "flag --margin=-1: -1.0 is not a non-negative number"),
        (("--env_id=NoSuchGame-v0",), "--env_id=NoSuchGame-v0: "),
    ],
)
def test_a_mistake_is_one_line(mains, tmp_path, flags, message):
    cwd, output = tmp_path / "cwd", tmp_path / "output"
    for path in (cwd, output):
        path.mkdir()
    done = mains.run("population", *flags, cwd=cwd, output=output, without=("ray",))
    assert done.returncode == 2
    assert done.stderr.startswith(f"impala_tf: {message}")
    assert done.stderr.count("\n") == 1
    assert not list(cwd.iterdir())
