"""Declares the settings of networks/."""

import dataclasses

from impala_tf.settings.setting import COMMON, NETWORK, OWN, PAPER, above, at_least, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The network leads from the observation to the policy and the baseline."""

    network: str = setting(
        "auto",
        "Torso of the network. For images: shallow or deep, the paper's two (figure 3); nature, the three "
        "convolutions that the paper's text on Atari may mean instead of shallow; minatar, Conv 16 3x3, FC 128. auto: "
        "shallow, below 20x20 pixels minatar. Other parts of an observation have an mlp, and texts the paper's "
        "LSTM; mlp: images too. module:function: your own, from the observation space to a Keras layer.",
        choices=(OWN, "auto", "mlp", "shallow", "deep", "nature", "minatar"),
        roles=(COMMON, NETWORK),
    )
    hidden_sizes: tuple[int, ...] = setting((64, 64), "Layer sizes of the mlp.", "units", roles=(COMMON, NETWORK))
    activation: str = setting("tanh", "Activation of the mlp.", choices=("tanh", "relu"), roles=(NETWORK,))
    core: str = setting(
        "none",
        "Recurrent core after the torso. gru: a quarter fewer weights than lstm and half the state.",
        source=f"{PAPER} figure 3: lstm",
        choices=("none", "lstm", "gru"),
        roles=(COMMON, NETWORK),
    )
    core_size: int = setting(
        256, "Units of the recurrent core.", "units", f"{PAPER} figure 3: 256", bounds=at_least(1), roles=(NETWORK,)
    )
    separate_value_network: bool = setting(
        True, "Give the baseline a torso and core of its own instead of sharing the policy's.", roles=(NETWORK,)
    )
    use_last_action_and_reward: bool = setting(
        False,
        "Feed the last action and clip(last reward, -1, 1) beside the observation.",
        source=PAPER,
        roles=(NETWORK,),
    )
    normalise_observations: bool = setting(
        False,
        "Give the network observations with mean 0 and variance 1, of all that was learned from; frames (bytes, at "
        "least 20x20) excepted.",
        roles=(COMMON, NETWORK),
    )
    centre_frames: bool = setting(
        False,
        "Subtract the mean frame, over one row of each unroll. A grey background, as Pong's, else moves all weights "
        "of a filter together, and large steps leave it without any activation.",
        source=f"{PAPER}: false",
        roles=(NETWORK,),
    )
    policy_init_scale: float = setting(
        0.01, "Multiplies the initial weights of the policy head; 1 is the paper's initialisation.", bounds=above(0)
    )
