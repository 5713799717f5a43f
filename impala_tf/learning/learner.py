"""Has the learner, which makes one update of the weights from each batch of unrolls."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.experience.marks import all_fresh
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.interfaces import Algorithm, Motivation, Term
from impala_tf.learning import controllers, finite, optimizers, state
from impala_tf.learning.cluster import ALONE, Learners, join_metrics
from impala_tf.learning.devices import wants_xla
from impala_tf.learning.last_finite import LastFinite
from impala_tf.learning.objective import Evaluated, Objective
from impala_tf.learning.optimizers import Hyperparameters
from impala_tf.networks import Agent
from impala_tf.networks.agent import RowMoments
from impala_tf.networks.moments import BatchMoments
from impala_tf.networks.parts import names_of
from impala_tf.support.diverged import Diverged
from impala_tf.support.graphs import direct_call
from impala_tf.types import Array, Marks, Unroll


class UpdateResult(NamedTuple):
    """An update returns this.

    metrics: [len(Learner.metric_names)] float32, the objective's metrics, the gradient's norm and the entropy cost;
        None where the update was skipped.
    flat_weights: [num_parameters] float32, weights after the update.
    is_finite: [] bool, whether losses, gradient and new weights are finite.
    places: [L, len(finite.PLACES)] float32, where each learner found something that is not finite.
    advantage_tm1: [T, B] float32, the algorithm's advantages; None where a worker computed the gradients, or the
        update was skipped.
    tally: [2] float32, sums of `Learners.tally` over all learners; None where there is only one.
    """

    metrics: Array  # A tensor or None.
    flat_weights: tf.Tensor
    is_finite: tf.Tensor
    places: tf.Tensor
    advantage_tm1: tf.Tensor | None = None
    tally: tf.Tensor | None = None


class Learner:
    """Owns the weights, the optimizer and the counters.

    learners: all learners of the run, of which this is one.

    objective: the sum of the algorithm's loss and additional terms.
    metric_names: names of `UpdateResult.metrics`, in order.
    hyperparameters: numbers of the next update, before the schedules; they may be replaced at any time.
    updates: number of batches learned from.
    environment_frames: number of frames in them; reset rows are not counted.
    uses_xla: whether XLA compiles the update.
    has_diverged: whether an update was not finite, and the run ends. The weights are then those before it.
    skipped: text that says why the last update was skipped (--on_nonfinite); "" where it was not.
    num_skipped: number of updates that were skipped, since this was made or restored.
    all_end: whether one of several learners has asked all to end.
    """

    def __init__(
        self,
        config: Config,
        agent: Agent,
        algorithm: Algorithm,
        device: str,
        terms: Sequence[Term] = (),
        shape_rewards: Callable[[Unroll], tf.Tensor] | None = None,
        motivation: Motivation | None = None,
        learners: Learners = ALONE,
    ):
        is_alone = learners.size == 1
        self.agent = agent
        self.learners = learners
        self.objective = Objective(algorithm, agent, terms, shape_rewards, motivation)
        self._motivation = motivation
        self.device = device
        self.metric_names = (*self.objective.metric_names, "gradient_norm", "entropy_cost")
        self._controllers = controllers.make_controllers(config, self.metric_names)
        self.hyperparameters = optimizers.hyperparameters_of(config)
        self.optimizer = optimizers.make_optimizer(config, agent.keras_variables)
        self.updates = 0
        self.environment_frames = 0
        self.has_diverged = False
        self.skipped = ""
        self.num_skipped = 0
        self.all_end = False
        self._config = config
        self.uses_xla = wants_xla(config, agent, device)
        self._call: Callable | None = None
        self._update = tf.function(self._update_graph, autograph=False, jit_compile=self.uses_xla and is_alone)
        self._apply = tf.function(self._apply_graph, autograph=False, jit_compile=self.uses_xla)
        # Alone they are parts of one compiled function. XLA does not compile exchanges, so else each is one of its own.

        def part(function: Callable) -> Callable:
            return function if is_alone else tf.function(function, autograph=False, jit_compile=self.uses_xla)

        self._moments = part(self._moments_graph)
        self._evaluate = part(self._evaluate_graph)
        self._step = part(self._step_graph)
        can_skip = config.on_nonfinite == "skip"
        changing = [variable.value for variable in self._named_variables().values()] if can_skip else []
        self._last_finite = LastFinite(agent, changing)
        self._num_in_a_row = 0  # So many of the last updates were not finite.
        self._target_period = algorithm.needs.target_period
        self._target_weights: tf.Tensor | None = None

    @property
    def learning_rate(self) -> float:
        """Returns the learning rate of the next update."""
        return self.scheduled.learning_rate

    @property
    def scheduled(self) -> Hyperparameters:
        """Returns the numbers of the next update, after the schedules."""
        return optimizers.scheduled(self.hyperparameters, self._config, self.environment_frames, self.updates)

    def update(self, groups: Unroll, num_steps: int, marks: Marks | None = None, ends: bool = False) -> UpdateResult:
        """Learns from a batch; with several learners from the batches of all, when all have called this.

        groups: the batch in groups of unrolls, as the queue gives it, on the learner's device.
        num_steps: number of valid steps in it that are counted as new.
        marks: marks of the unrolls; None means that all come straight from actors.
        ends: whether several learners are to end with this update.

        Raises Diverged when the update is not finite, unless it is skipped (--on_nonfinite), and LearnersLost when
        another learner is gone.
        """
        marks = marks or all_fresh(groups.task.shape.num_elements())
        num_leaves = len(tf.nest.flatten(groups))

        def graph(*inputs):
            leaves, (is_fresh, weight, is_first, *others, hyperparameters) = inputs[:num_leaves], inputs[num_leaves:]
            batch = tf.nest.pack_sequence_as(groups, leaves)
            targets, told = others[: len(self._targets())], others[len(self._targets()) :]
            result = self._update(batch, Marks(is_fresh, weight), is_first, targets, hyperparameters, told)
            return result, self._last_finite.read()

        with tf.device(self.device):
            is_first = tf.convert_to_tensor(np.array(self.updates == self.num_skipped))
            told = self.learners.tally(num_steps, ends)
        inputs = [*tf.nest.flatten(groups), *marks, is_first, *self._targets(), *told]
        return self._call_graph(graph, inputs, num_steps)

    def _targets(self) -> list[tf.Tensor]:
        """Returns the target network's flat weights, as a list that is empty without a target network."""
        if not self._target_period:
            return []
        if self._target_weights is None:
            self._target_weights = self.agent.flat_weights()
        return [self._target_weights]

    def apply(
        self, places: tf.Tensor, losses: list[tf.Tensor], gradients: list[tf.Tensor], num_steps: int
    ) -> UpdateResult:
        """Takes a step along gradients that a `GradientWorker` computed from `num_steps` valid steps.

        Raises Diverged when the update is not finite, unless it is skipped (--on_nonfinite).
        """

        def graph(*inputs):
            places, *tensors, hyperparameters = inputs
            result = self._apply(places, tensors[: len(losses)], tensors[len(losses) :], hyperparameters)
            return result, self._last_finite.read()

        return self._call_graph(graph, [places, *losses, *gradients], num_steps)

    def _call_graph(self, graph: Callable, tensors: list[tf.Tensor], num_steps: int) -> UpdateResult:
        """Calls `graph` on the tensors and the present hyperparameters, and counts the update."""
        with tf.device(self.device):
            self._last_finite.begin()
            inputs = [*tensors, self.scheduled.as_tensor()]
            if self._call is None:
                self._call = direct_call(graph, inputs)
            with self.learners.watched():
                outputs = self._call(inputs)
                num_results = len(outputs) - self._last_finite.num_values
                result = UpdateResult(*outputs[:num_results])
                # A GPU computes after the call has returned. Reading a result waits for it, so times are right.
                is_finite = result.is_finite.numpy()
            if is_finite:
                self._num_in_a_row, self.skipped = 0, ""
                self._last_finite.keep(result.flat_weights, outputs[num_results:])
            else:
                result = self._take_back(result)
        if result.tally is not None:
            num_steps, num_endings = map(int, result.tally.numpy())
            self.all_end = num_endings > 0
        self.updates += 1
        self.environment_frames += num_steps * self._config.num_action_repeats
        if self._target_period and self.updates % self._target_period == 0:
            self._target_weights = result.flat_weights
        if self._controllers and result.metrics is not None:
            metrics = dict(zip(self.metric_names, result.metrics.numpy().tolist(), strict=True))
            self.hyperparameters = controllers.adapt(self._controllers, self.hyperparameters, metrics)
        return result

    def _take_back(self, result: UpdateResult) -> UpdateResult:
        """Undoes an update that is not finite. Returns its result as that of one that was skipped, or raises Diverged.

        Several learners do the same: they have the same losses, gradients and weights.
        """
        outcome = finite.Outcome(
            result.places.numpy(),
            dict(zip(self.metric_names, result.metrics.numpy().tolist(), strict=True)),
            *np.split(result.flat_weights.numpy(), [sum(v.shape.num_elements() for v in self.agent.variables)]),
        )
        flat_weights = self._last_finite.restore()
        self._num_in_a_row += 1
        what = f"is not finite: {finite.what_went_first(outcome, self._config)}"
        if self._config.on_nonfinite == "skip" and self._num_in_a_row < finite.MAX_SKIPPED:
            self.num_skipped += 1
            self.skipped = what
            return result._replace(metrics=None, flat_weights=flat_weights, advantage_tm1=None)
        self.has_diverged = True
        in_a_row = f", as the {self._num_in_a_row - 1} before it," if self._num_in_a_row > 1 else ""
        raise Diverged(f"update {self.updates + 1}{in_a_row} {what}")

    def _update_graph(
        self, groups: Unroll, marks: Marks, is_first, targets: list, hyperparameters, tally: list
    ) -> UpdateResult:
        """Computes an update from a batch: gradients, their sum over all learners, a step.

        is_first: [] bool, whether there was no update before. tally: what `Learners.tally` returns.
        """
        batch = join_groups(groups)
        _, moments = self.learners.exchange([], self._moments(batch, marks))
        own, metrics, value_moments, places = self._evaluate(batch, marks, is_first, moments, targets, hyperparameters)
        num_valid = tf.reduce_sum(tf.cast(tf.logical_not(batch.env_outputs.first[1:]), tf.float32))
        sums, parts = self.learners.exchange([own.gradients, tally], [metrics, num_valid, places, value_moments])
        gradients, tally = sums
        result = self._step(*parts[:3], gradients, hyperparameters, parts[3])
        is_finite = result.is_finite
        if self._motivation:
            self._motivation.step(own.motivation_gradients)
            # A gradient whose square overflows spoils the optimizer, though the weights that it makes are finite.
            norm = tf.linalg.global_norm(own.motivation_gradients)
            is_finite &= finite.are_finite([norm, *self._motivation.variables])
        joined_tally = tally[0] if tally else None
        return result._replace(is_finite=is_finite, advantage_tm1=own.advantage_tm1, tally=joined_tally)

    def _moments_graph(self, batch: Unroll, marks: Marks) -> RowMoments:
        return self.agent.row_moments(batch.env_outputs, batch.task, marks.is_fresh)

    def _evaluate_graph(
        self, batch: Unroll, marks: Marks, is_first, moments: RowMoments, targets: list, hyperparameters
    ) -> tuple[Evaluated, tf.Tensor, list[BatchMoments], tf.Tensor]:
        """Returns the objective with its gradients, its metrics in one tensor, moments of the baseline's targets, and
        [len(finite.PLACES)] float32, where something is not finite.

        moments: moments of the batch, in parts [L, ...] of each learner.
        """
        state_marks = finite.state_marks(self.agent, self._motivation)
        # The standard deviation of returns includes this batch; otherwise the first batch would have none.
        self.agent.merge_return_moments(moments)
        # The loss normalises observations as the actors did, whose statistics do not include this batch. Only the first
        # batch is included: there were no statistics yet, and raw observations would make too large an update.
        self._merge_observation_moments(moments, is_first)
        costs = Hyperparameters(*tf.unstack(hyperparameters)).costs
        evaluated = self.objective.evaluate(batch, marks, costs, targets[0] if targets else None)
        self._merge_observation_moments(moments, tf.logical_not(is_first))
        value_moments = self.agent.value_moments(evaluated.vs_tm1, batch.env_outputs, batch.task)
        places = tf.concat([state_marks, evaluated.batch_marks], axis=0)
        return evaluated, tf.stack(evaluated.metrics), value_moments, places

    def _merge_observation_moments(self, moments: RowMoments, condition: tf.Tensor) -> None:
        if self.agent.has_observation_statistics:
            tf.cond(condition, lambda: self.agent.merge_observation_moments(moments), lambda: None)

    def _apply_graph(self, places, losses: list, gradients: list, hyperparameters: tf.Tensor) -> UpdateResult:
        # The worker's weights were published; what is changed here may have been spoilt since.
        own = tf.concat([finite.state_marks(self.agent), tf.zeros([len(finite.BATCH)])], axis=0)
        places = tf.maximum(places, own)[tf.newaxis]
        return self._step_graph(tf.stack(losses)[tf.newaxis], tf.ones([1]), places, gradients, hyperparameters, [])

    def _step_graph(
        self,
        metrics: tf.Tensor,
        num_valid: tf.Tensor,
        places: tf.Tensor,
        gradients: list,
        hyperparameters: tf.Tensor,
        value_moments: list[BatchMoments],
    ) -> UpdateResult:
        """Takes a step along the gradients.

        metrics, num_valid: arguments of `join_metrics`.
        places: [L, len(finite.PLACES)] float32, where each learner found something that is not finite.
        value_moments: moments of the baseline's targets, in parts [L, ...] of each learner.
        """
        inputs = Hyperparameters(*tf.unstack(hyperparameters))
        norm = optimizers.step(self.optimizer, self.agent.learning_variables, gradients, inputs)
        # Deviation: Hessel et al. 2018 update PopArt's statistics before the loss, for which the network would be
        # computed twice. Here the loss sees statistics of the batches before it; the rest of the order is the same.
        self.agent.merge_value_moments(value_moments)
        flat_weights = self.agent.flat_weights()
        metrics = join_metrics(self.objective.metric_names, metrics, num_valid)
        # Other metrics may be infinite where nothing is wrong, such as a ratio that V-trace clips. The optimizer's mean
        # squares are finite where the norm of the gradient is.
        is_finite = finite.are_finite([metrics[0], norm, flat_weights])
        metrics = tf.concat([metrics, [norm, inputs.entropy_cost]], axis=0)
        return UpdateResult(metrics, flat_weights, is_finite, places)

    def _named_variables(self) -> dict[str, tf.Variable]:
        """Returns all variables that are saved, by name."""
        weights = self.agent.keras_variables
        named = dict(zip((f"weights/{name}" for name in names_of(weights)), weights, strict=True))
        statistics = self.agent.keras_statistics
        named |= zip((f"statistics/{name}" for name in names_of(statistics)), statistics, strict=True)
        named |= self._motivation.named_variables() if self._motivation else {}
        optimizer_variables = state.optimizer_variables(self.optimizer, weights)
        return named | {f"optimizer/{name}": variable for name, variable in optimizer_variables.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Returns everything that an exact resume of the learner needs, by name; see `state.py`."""
        return {name: np.asarray(variable.value) for name, variable in self._named_variables().items()} | {
            **({"target": self._targets()[0].numpy()} if self._target_period else {}),
            "format": np.asarray(state.FORMAT),
            "parts": np.asarray(list(self.agent.variables_by_part())),
            "optimizer": np.asarray(state.FAMILIES[self._config.optimizer]),
            "updates": np.asarray(self.updates),
            "environment_frames": np.asarray(self.environment_frames),
            **controllers.saved(self.hyperparameters, self._controllers),
        }

    def take_from_chief(self) -> None:
        """Gives all learners the state of the chief's, when all have called this."""
        if self.learners.size > 1:
            is_chief = self.learners.index == 0
            content = self.learners.from_chief(state.to_bytes(self.state()) if is_chief else b"")
            if not is_chief:
                self.restore(state.from_bytes(content))

    def restore(self, arrays: dict[str, np.ndarray]) -> list[str]:
        """Inverts `state`; also reads states of the version before.

        Returns a line for each thing that did not fit: another --optimizer, or one with another --momentum.
        Raises KeyError or ValueError when the state belongs to another network.
        """
        names = [names_of(x) for x in (self.agent.keras_variables, self.agent.keras_statistics)]
        arrays = state.in_format_2(arrays, *names)
        variables = self._named_variables()
        arrays, notes = state.for_optimizer(arrays, state.FAMILIES[self._config.optimizer], list(variables))
        if len([n for n in arrays if n.startswith(("weights/", "statistics/"))]) != len(names[0]) + len(names[1]):
            raise ValueError("it has more weights")
        taken = {n: x for n, x in variables.items() if n in arrays or not n.startswith("optimizer/")}
        for name, variable in taken.items():  # All are checked before any is taken.
            state.check_fits(name, arrays[name], variable)
        for name, variable in taken.items():
            variable.assign(arrays[name])
        self._target_weights = tf.convert_to_tensor(arrays["target"]) if "target" in arrays else None
        self._last_finite.forget()
        self.has_diverged = False
        self.num_skipped = self._num_in_a_row = 0
        self.updates = int(arrays["updates"])
        self.environment_frames = int(arrays["environment_frames"])
        self.hyperparameters = controllers.restored(self.hyperparameters, self._controllers, arrays)
        return notes
