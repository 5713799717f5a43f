"""The type and the bounds of one setting."""

import json
import pathlib
import re

import numpy as np
import pytest

from impala_tf.config import Config, SettingError, fields, to_flag_lines


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_actors": "4"}, "--num_actors='4': must be a whole number"),
        ({"num_actors": 4.0}, "--num_actors=4.0: must be a whole number"),
        ({"num_actors": True}, "--num_actors=True: must be a whole number"),
        ({"num_actors": np.float32(4)}, "--num_actors=np.float32(4.0): must be a whole number"),
        ({"num_actors": None}, "--num_actors=None: must be a whole number"),
        ({"profile": 1}, "--profile=1: must be true or false"),
        ({"profile": "false"}, "--profile='false': must be true or false"),
        ({"learning_rate": "x"}, "--learning_rate='x': must be a number"),
        ({"learning_rate": True}, "--learning_rate=True: must be a number"),
        ({"learning_rate": 10**400}, "--learning_rate=1000"),
        ({"env_id": 3}, "--env_id=3: must be text"),
        ({"network": None}, "--network=None: must be text"),
        ({"hidden_sizes": 64}, "--hidden_sizes=64: must be whole numbers, such as (64, 64)"),
        ({"hidden_sizes": "64,64"}, "--hidden_sizes='64,64': must be whole numbers, such as (64, 64)"),
        ({"hidden_sizes": (64, 1.5)}, "--hidden_sizes=1.5: must be a whole number"),
        ({"hidden_sizes": np.ones([30, 30])}, "--hidden_sizes=array([[1., 1., "),
    ],
)
def test_another_type_is_refused_in_one_short_line(settings, message):
    with pytest.raises(SettingError, match=f"^{re.escape(message)}") as error:
        Config(**settings)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 150


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({"learning_rate": 1}, 1.0),
        ({"learning_rate": np.float64(0.5)}, 0.5),
        ({"num_actors": np.int64(3)}, 3),
        ({"hidden_sizes": [32, np.int32(16)]}, (32, 16)),
        ({"logdir": pathlib.Path("runs/a")}, "runs/a"),
    ],
)
def test_what_means_the_same_gets_the_own_type_of_the_setting(settings, value):
    (name,) = settings
    stored = getattr(Config(**settings), name)
    assert stored == value
    assert type(stored) is type(value)
    json.dumps(stored)


def test_a_whole_number_for_a_float_is_the_same_line_of_a_flag_file():
    assert to_flag_lines(Config(learning_rate=1)) == to_flag_lines(Config(learning_rate=1.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "--batch_size=0: must be at least 1"),
        ({"unroll_length": 0}, "--unroll_length=0: must be at least 1"),
        ({"env_threads": 1025}, "--env_threads=1025: must be at least 0 and at most 1024"),
        ({"clip_rho_threshold": -0.5}, "--clip_rho_threshold=-0.5: must be at least 0"),
        ({"clip_pg_rho_threshold": -1.0}, "--clip_pg_rho_threshold=-1.0: must be at least 0"),
        ({"discounting": 1.5}, "--discounting=1.5: must be at least 0 and at most 1"),
        ({"learning_rate": 0}, "--learning_rate=0.0: must be above 0"),
        ({"learning_rate": float("nan")}, "--learning_rate=nan: must be above 0"),
        ({"learning_rate": float("inf")}, "--learning_rate=inf: must be above 0 and finite"),
        ({"reward_clipping": "abs"}, "--reward_clipping=abs: must be one of none, abs_one, soft_asymmetric"),
        ({"network": "big"}, "--network=big: must be one of module:function, auto, mlp, shallow, deep"),
        ({"hidden_sizes": ()}, "--hidden_sizes=: give one or more sizes of at least 1"),
        ({"hidden_sizes": (64, 0)}, "--hidden_sizes=64,0: give one or more sizes of at least 1"),
    ],
)
def test_a_value_out_of_bounds_is_refused_in_one_line(settings, message):
    with pytest.raises(SettingError, match=f"^{re.escape(message)}") as error:
        Config(**settings)
    assert "\n" not in str(error.value)


def test_a_module_and_function_of_the_user_is_a_choice_of_the_network():
    assert Config(network="own.nets:make").network == "own.nets:make"


def test_infinite_thresholds_mean_no_clipping():
    assert Config(clip_rho_threshold=float("inf"), clip_c_threshold=float("inf")).clip_c_threshold > 1e30


@pytest.mark.parametrize("name", [field.name for field in fields() if isinstance(field.default, float)])
def test_no_setting_takes_nan(name):
    with pytest.raises(SettingError, match=rf"^--{name}=nan: must be "):
        Config(**{name: float("nan")})


@pytest.mark.parametrize("field", fields(), ids=lambda field: field.name)
def test_no_setting_takes_an_object(field):
    with pytest.raises(SettingError, match=rf"^--{field.name}=<object"):
        Config(**{field.name: object()})
