"""Gives a new run the weights of another one (--init_from)."""

import pathlib

import numpy as np
import tensorflow as tf

from impala_tf.config import Config, SettingError
from impala_tf.evaluation.export import exported_arrays
from impala_tf.learning.state import arrays_by_part
from impala_tf.networks import Agent
from impala_tf.networks.parts import take
from impala_tf.records.exports import read_info, unchecked
from impala_tf.records.files import DamagedFileError, read_npz
from impala_tf.settings.transfer import parts_in
from impala_tf.support.messages import one_line, warn


def take_weights(config: Config, agent: Agent, start: pathlib.Path | None) -> None:
    """Gives the agent the weights and statistics that fit, and says which did not.

    start: checkpoint or directory of an export; None leaves the agent as it is.
    Raises SettingError when it cannot be read, or nothing in it fits.
    """
    if start is None:
        return
    if start.is_dir():
        for line in unchecked(start, read_info(start, "init_from"), "init_from"):
            warn(line)
    taken = take(agent.variables_by_part(), read(config.init_from, start), parts_in(config.init_parts))
    if not taken.fitted:
        raise SettingError(
            f"--init_from={config.init_from}: nothing in it fits ({taken.in_words()}); give weights of a like network, "
            "or leave the flag out"
        )
    warn(f"--init_from={config.init_from}: {taken.in_words()}")


def read(init_from: str, start: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the weights and statistics of a checkpoint or an export by PART/NAME; see `take_weights`."""
    try:
        arrays = exported_arrays(start) if start.is_dir() else arrays_by_part(read_npz(start)[0])
        if not all(name.isprintable() for name in arrays):  # Such text could control the terminal.
            raise ValueError("its names are not printable text")
        return arrays
    except SettingError:
        raise
    except KeyError as error:
        raise SettingError(
            f"--init_from={init_from}: {start} has no {one_line(error)}, as those of earlier versions; give one that "
            "this version wrote (a run that is resumed writes one)"
        ) from error
    except (DamagedFileError, OSError, ValueError, TypeError, tf.errors.OpError) as error:
        raise SettingError(f"--init_from={init_from}: {start} cannot be read ({one_line(error)[:200]})") from error
