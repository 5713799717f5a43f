"""From an action space to a distribution over its actions, by TensorFlow Probability.

A new kind of action space is a new class here and a line in `for_space`; nothing else changes, because everything
else handles `parameters`, one float32 vector [..., num_parameters], and actions as they travel (`action_spaces.py`).
"""

from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from impala_tf.config import Config
from impala_tf.settings.spaces import MIN_ACTION_SCALE
from impala_tf.spaces import action_spaces
from impala_tf.support.checks import check_tensor

tfd = tfp.distributions

# Its exp is exactly 0 in float32, and unlike -inf it makes no NaN in an entropy, a ratio or a gradient.
MASKED_LOGIT = -1e9
MAX_ENCODED = 10.0  # Of a Box without bounds, as an input of the network.
NUM_NODES = 16  # Of the quadrature behind a squashed Box's entropy.


class ActionDistribution(Protocol):
    """Distributions over one action space, given by their parameters. Leading dimensions are free.

    num_parameters: P.
    num_free_parameters: F, the last F of the P are weights of their own, the same for every observation and 0 at
        first; the policy head makes the P - F before them.
    action_shape, action_dtype: of one action as it travels.
    encoding_size: E, the size of `encode`'s result.
    mask_size: M, the size of an action mask; 0: the space has none.
    """

    num_parameters: int
    num_free_parameters: int
    action_shape: tuple[int, ...]
    action_dtype: tf.DType
    encoding_size: int
    mask_size: int

    def sample(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """[..., P] float32, [2] int32 -> an action [..., *action_shape]; the same seed gives the same action."""

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        """[..., P] float32 -> the most probable action [..., *action_shape]; of a squashed Box the median."""

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        """[..., P] float32, [..., *action_shape] -> [...] float32, nats; of a Box the density in `BoxUnits`."""

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        """[..., P] float32 -> [...] float32, nats."""

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        """[..., *action_shape] -> [..., E] float32, the action as an input of the network."""

    def bounded(self, actions: tf.Tensor) -> tf.Tensor:
        """[..., *action_shape] -> the same shape, in the environment's units and bounds; see `to_environment`."""

    def apply_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """[..., P] float32, [..., M] bool or integer -> [..., P], in which what is masked has probability 0.

        The mask has an entry for each logit, True where it is allowed: Discrete(n): n. MultiDiscrete: n of the first
        component, then n of the second, and so on, in C order. MultiBinary: one for each bit, True where the bit may
        be 1 (gymnasium's own masks of this space mean something else). Tuple and Dict: those of the parts.
        Where nothing is allowed everything is: rows that end an episode often have no legal action, and need none.
        Raises NotImplementedError for a Box.
        """


class _Distribution:
    """What all but Tuple and Dict share: a TFP distribution over values, made from the parameters."""

    num_free_parameters = 0
    mask_size = 0
    num_parameters: int

    def __init__(self, space: gym.Space):
        spec = action_spaces.travelling_spec(space)
        self.action_shape = spec.shape
        self.action_dtype = tf.as_dtype(spec.dtype)
        self._space = space

    def _distribution(self, parameters: tf.Tensor) -> Any:
        raise NotImplementedError

    def _action(self, values: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def _values(self, actions: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def _checked(self, parameters: tf.Tensor) -> Any:
        return self._distribution(_check_last(parameters, self.num_parameters, "parameters"))

    def sample(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        seed = _check_seed(seed)
        return self._action(self._checked(parameters).sample(seed=seed))

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        return self._action(self._checked(parameters).mode())

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        return self._checked(parameters).log_prob(self._values(actions))

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        return self._checked(parameters).entropy()

    def bounded(self, actions: tf.Tensor) -> tf.Tensor:
        return actions

    def apply_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError(f"{action_spaces.name_of(self._space)} has no action masks")


class Categorical(_Distribution):
    """Discrete(n, start): softmax over n logits."""

    def __init__(self, space: gym.spaces.Discrete):
        super().__init__(space)
        self.num_parameters = self.encoding_size = self.mask_size = int(space.n)
        self._start = int(space.start)

    def _distribution(self, parameters: tf.Tensor) -> Any:
        return tfd.Categorical(logits=parameters)

    def _action(self, values: tf.Tensor) -> tf.Tensor:
        return _integers(values, self._start, self.action_dtype)

    def _values(self, actions: tf.Tensor) -> tf.Tensor:
        return _indices(actions, self._start)

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(self._values(actions), self.encoding_size)

    def apply_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        _check_last(mask, self.mask_size, "mask")
        return _mask_logits(parameters, mask)


class MultiCategorical(_Distribution):
    """MultiDiscrete(nvec, start) of any shape: an independent softmax for each component."""

    def __init__(self, space: gym.spaces.MultiDiscrete):
        super().__init__(space)
        self._sizes = [int(n) for n in space.nvec.flat]
        self._start = np.asarray(space.start, np.int64).ravel()
        self.num_parameters = self.encoding_size = self.mask_size = sum(self._sizes)

    def _distribution(self, parameters: tf.Tensor) -> Any:
        # [..., P] -> [..., components, largest n]; shorter ones are filled up with what is never chosen.
        logits = [_fill_up(row, max(self._sizes)) for row in tf.split(parameters, self._sizes, axis=-1)]
        return tfd.Independent(tfd.Categorical(logits=tf.stack(logits, axis=-2)), 1)

    def _action(self, values: tf.Tensor) -> tf.Tensor:
        return _unflatten(_integers(values, self._start, self.action_dtype), self.action_shape)

    def _values(self, actions: tf.Tensor) -> tf.Tensor:
        return _indices(_flatten(actions, self.action_shape), self._start)

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        columns = tf.unstack(self._values(actions), axis=-1)
        return tf.concat([tf.one_hot(i, n) for i, n in zip(columns, self._sizes, strict=True)], axis=-1)

    def apply_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        _check_last(mask, self.mask_size, "mask")
        rows = zip(tf.split(parameters, self._sizes, -1), tf.split(mask, self._sizes, -1), strict=True)
        return tf.concat([_mask_logits(logits, allowed) for logits, allowed in rows], axis=-1)


class Bernoulli(_Distribution):
    """MultiBinary of any shape: independent bits, each with the logit of being 1."""

    def __init__(self, space: gym.spaces.MultiBinary):
        super().__init__(space)
        self.num_parameters = self.encoding_size = self.mask_size = int(np.prod(space.shape, dtype=int))

    def _distribution(self, parameters: tf.Tensor) -> Any:
        return tfd.Independent(tfd.Bernoulli(logits=parameters), 1)

    def _action(self, values: tf.Tensor) -> tf.Tensor:
        return _unflatten(tf.cast(values, self.action_dtype), self.action_shape)

    def _values(self, actions: tf.Tensor) -> tf.Tensor:
        return tf.cast(_flatten(actions, self.action_shape), tf.float32)

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        return self._values(actions)

    def apply_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        _check_last(mask, self.mask_size, "mask")
        return tf.where(tf.cast(mask, tf.bool), parameters, MASKED_LOGIT)


class Normal(_Distribution):
    """Box of floats: independent normals in the units of `action_spaces.BoxUnits`; parameters: N means, N scales.

    clip: density and entropy are those of the normal, before the environment clips (Schulman et al. 2017's code).
    tanh: those of tanh(u) on (-1, 1), Haarnoja et al. 2018 appendix C. The Jacobian of tanh does not depend on the
    parameters, so it changes neither ratios nor the policy gradient, but the entropy: that has no closed form, and the
    mean of the log-Jacobian is taken by Gauss-Hermite quadrature (off by less than 0.01 nats for scales up to 2, 0.1 at
    5). Its gradient holds the mean back from where tanh is flat, which the normal's entropy would not.
    """

    def __init__(self, space: gym.spaces.Box, config: Config):
        super().__init__(space)
        self._units = action_spaces.box_units(space, config.action_bounds)
        self._squashed = self._units.squashed.ravel()
        self._num = self.encoding_size = int(np.prod(space.shape, dtype=int))
        self.num_parameters = 2 * self._num
        self.num_free_parameters = self._num if config.action_scale == "learned" else 0
        # A scale parameter of 0 means the initial scale: softplus(offset) + minimum.
        self._offset = float(np.log(np.expm1(config.action_scale_init - MIN_ACTION_SCALE)))
        self._encoded_bounds = [self._encoded(self._units.low), self._encoded(self._units.high)]
        nodes, weights = np.polynomial.hermite.hermgauss(NUM_NODES)
        self._nodes = (np.sqrt(2.0) * nodes).astype(np.float32)[:, np.newaxis]
        self._weights = (weights / np.sqrt(np.pi)).astype(np.float32)[:, np.newaxis]

    def _encoded(self, bounds: np.ndarray) -> np.ndarray:
        """[*shape] -> [N] float32: where the bounds are in the travelling units, at most MAX_ENCODED away."""
        distance = bounds.astype(np.float64) - self._units.origin
        unit = self._units.unit
        distance = np.divide(distance, unit, out=np.zeros_like(distance), where=unit > 0)
        return np.clip(distance, -MAX_ENCODED, MAX_ENCODED).astype(np.float32).ravel()

    def _normal(self, parameters: tf.Tensor) -> Any:
        loc, scale = tf.split(parameters, 2, axis=-1)
        return tfd.Normal(loc, MIN_ACTION_SCALE + tf.math.softplus(scale + self._offset))

    def _distribution(self, parameters: tf.Tensor) -> Any:
        return tfd.Independent(self._normal(parameters), 1)

    def _action(self, values: tf.Tensor) -> tf.Tensor:
        return _unflatten(values, self.action_shape)

    def _values(self, actions: tf.Tensor) -> tf.Tensor:
        return _flatten(actions, self.action_shape)

    def _log_jacobian(self, values: tf.Tensor) -> tf.Tensor:
        """[..., N] -> [..., N]: log(1 - tanh(u)^2), finite for every u, where squashed; else 0."""
        log_det = tfp.bijectors.Tanh().forward_log_det_jacobian(values, event_ndims=0)
        return tf.where(self._squashed, log_det, 0.0)

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        log_prob = super().log_prob(parameters, actions)
        if not self._squashed.any():
            return log_prob
        return log_prob - tf.reduce_sum(self._log_jacobian(self._values(actions)), axis=-1)

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        entropy = super().entropy(parameters)
        if not self._squashed.any():
            return entropy
        normal = self._normal(parameters)
        nodes = normal.loc[..., tf.newaxis, :] + normal.scale[..., tf.newaxis, :] * self._nodes  # [..., nodes, N]
        return entropy + tf.reduce_sum(self._weights * self._log_jacobian(nodes), axis=[-2, -1])

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        values = self._values(actions)
        values = tf.where(self._squashed, tf.tanh(values), values)
        return tf.clip_by_value(values, *self._encoded_bounds)

    def bounded(self, actions: tf.Tensor) -> tf.Tensor:
        units = self._units
        values = tf.cast(actions, tf.float64)
        values = tf.where(units.squashed, tf.tanh(values), values)
        low, high = units.low.astype(np.float64), units.high.astype(np.float64)
        return tf.cast(tf.clip_by_value(units.origin + units.unit * values, low, high), units.low.dtype)


class Joint:
    """Tuple or Dict: the parts are independent.

    parameters: those that the policy head makes, part by part, then the free ones, part by part.
    actions: [..., N] float32, part by part, flattened.
    """

    def __init__(self, space: gym.spaces.Tuple | gym.spaces.Dict, config: Config):
        spec = action_spaces.travelling_spec(space)
        self.action_shape = spec.shape
        self.action_dtype = tf.as_dtype(spec.dtype)
        self._space = space
        self._parts = [for_space(part, config) for part in action_spaces.parts_of(space)]
        self._free = [part.num_free_parameters for part in self._parts]
        self._made = [part.num_parameters - part.num_free_parameters for part in self._parts]
        self._sizes = [int(np.prod(part.action_shape, dtype=int)) for part in self._parts]
        self.num_parameters = sum(self._made) + sum(self._free)
        self.num_free_parameters = sum(self._free)
        self.encoding_size = sum(part.encoding_size for part in self._parts)
        self.mask_size = sum(part.mask_size for part in self._parts)

    def _split_parameters(self, parameters: tf.Tensor) -> list[tf.Tensor]:
        _check_last(parameters, self.num_parameters, "parameters")
        pieces = tf.split(parameters, self._made + self._free, axis=-1)
        made, free = pieces[: len(self._parts)], pieces[len(self._parts) :]
        return [tf.concat(pair, axis=-1) for pair in zip(made, free, strict=True)]

    def _join_parameters(self, parameters: list[tf.Tensor]) -> tf.Tensor:
        sizes = zip(parameters, self._made, self._free, strict=True)
        pairs = [tf.split(piece, [made, free], axis=-1) for piece, made, free in sizes]
        return tf.concat([made for made, _ in pairs] + [free for _, free in pairs], axis=-1)

    def _split_actions(self, actions: tf.Tensor) -> list[tf.Tensor]:
        columns = tf.split(actions, self._sizes, axis=-1)
        return [
            tf.cast(_unflatten(column, part.action_shape), part.action_dtype)
            for part, column in zip(self._parts, columns, strict=True)
        ]

    def _join_actions(self, actions: list[tf.Tensor]) -> tf.Tensor:
        flat = [_flatten(x, part.action_shape) for part, x in zip(self._parts, actions, strict=True)]
        return tf.concat([tf.cast(x, tf.float32) for x in flat], axis=-1)

    def _with_parameters(self, parameters: tf.Tensor) -> Any:
        return zip(self._parts, self._split_parameters(parameters), strict=True)

    def sample(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        seed = _check_seed(seed)
        # With one seed for all, parts of the same kind would always choose alike.
        seeds = tfp.random.split_seed(seed, n=len(self._parts))
        pairs = zip(self._with_parameters(parameters), seeds, strict=True)
        return self._join_actions([part.sample(p, seed=s) for (part, p), s in pairs])

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        return self._join_actions([part.mode(p) for part, p in self._with_parameters(parameters)])

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        pairs = zip(self._with_parameters(parameters), self._split_actions(actions), strict=True)
        return tf.add_n([part.log_prob(p, x) for (part, p), x in pairs])

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        return tf.add_n([part.entropy(p) for part, p in self._with_parameters(parameters)])

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        pairs = zip(self._parts, self._split_actions(actions), strict=True)
        return tf.concat([part.encode(x) for part, x in pairs], axis=-1)

    def bounded(self, actions: tf.Tensor) -> tf.Tensor:
        pairs = zip(self._parts, self._split_actions(actions), strict=True)
        return self._join_actions([part.bounded(x) for part, x in pairs])

    def apply_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        if not self.mask_size:
            raise NotImplementedError(f"{action_spaces.name_of(self._space)} has no action masks")
        _check_last(mask, self.mask_size, "mask")
        masks = tf.split(mask, [part.mask_size for part in self._parts], axis=-1)
        pairs = zip(self._with_parameters(parameters), masks, strict=True)
        return self._join_parameters([part.apply_mask(p, m) if part.mask_size else p for (part, p), m in pairs])


def for_space(space: gym.Space, config: Config | None = None) -> ActionDistribution:
    """The distribution for an action space.

    config: its action_* settings count, for Box; None: the defaults.
    Raises NotImplementedError, one line that names the space, if there is none.
    """
    action_spaces.check(space)
    if isinstance(space, gym.spaces.Discrete):
        return Categorical(space)
    if isinstance(space, gym.spaces.MultiDiscrete):
        return MultiCategorical(space)
    if isinstance(space, gym.spaces.MultiBinary):
        return Bernoulli(space)
    if isinstance(space, gym.spaces.Box):
        return Normal(space, config or Config())
    assert isinstance(space, gym.spaces.Tuple | gym.spaces.Dict), space
    return Joint(space, config or Config())


def with_free_parameters(made: tf.Tensor, free: tf.Tensor) -> tf.Tensor:
    """[..., P - F] from the policy head, [F] weights -> the parameters [..., P], float32."""
    return tf.concat([made, tf.broadcast_to(free, tf.concat([tf.shape(made)[:-1], tf.shape(free)], axis=0))], axis=-1)


def _check_seed(seed: tf.Tensor) -> tf.Tensor:
    seed = tf.convert_to_tensor(seed)
    check_tensor("seed", seed, tf.int32, [2])
    return seed


def _check_last(tensor: tf.Tensor, size: int, what: str) -> tf.Tensor:
    tensor = tf.convert_to_tensor(tensor)
    assert tensor.shape[-1] == size, f"{what} {tensor.shape}: the last dimension must be {size}"
    return tensor


def _flatten(actions: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """[..., *shape] -> [..., N]."""
    actions = tf.convert_to_tensor(actions)
    if len(shape) == 1:
        return actions
    leading = tf.shape(actions)[: actions.shape.rank - len(shape)]
    return tf.reshape(actions, tf.concat([leading, [int(np.prod(shape, dtype=int))]], axis=0))


def _unflatten(values: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """[..., N] -> [..., *shape]."""
    if len(shape) == 1:
        return values
    return tf.reshape(values, tf.concat([tf.shape(values)[:-1], tf.constant(shape, tf.int32)], axis=0))


def _indices(actions: tf.Tensor, start: Any) -> tf.Tensor:
    """Actions of any integer dtype as int32 from 0."""
    return tf.cast(tf.cast(actions, tf.int64) - start, tf.int32)


def _integers(indices: tf.Tensor, start: Any, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(tf.cast(indices, tf.int64) + start, dtype)


def _fill_up(logits: tf.Tensor, size: int) -> tf.Tensor:
    """[..., n] -> [..., size]."""
    missing = size - logits.shape[-1]
    paddings = [[0, 0]] * (logits.shape.rank - 1) + [[0, missing]]
    return tf.pad(logits, paddings, constant_values=MASKED_LOGIT) if missing else logits


def _mask_logits(logits: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
    """[..., n], [..., n] -> [..., n]."""
    allowed = tf.cast(allowed, tf.bool)
    return tf.where(allowed | ~tf.reduce_any(allowed, axis=-1, keepdims=True), logits, MASKED_LOGIT)
