"""Some flags of earlier versions are gone. Flag files that people keep, and those of old runs, may still name them."""

from typing import NamedTuple


class Removed(NamedTuple):
    """This flag is accepted and does nothing.

    default: the value that asked for nothing, as it stands in old settings.flags.
    why: text of the message, which says why the flag is gone and what to use instead.
    """

    default: bool
    why: str


REMOVED = {
    "split_timing": Removed(False, "the learner has one way to update; --profile shows its forward and backward pass"),
}
