"""Writes flags/cartpole.flags, the defaults of `impala_tf.config.Config` with each setting's help above it."""

import dataclasses
import pathlib

from impala_tf.config import GROUPS, Config, to_flag_lines

PATH = pathlib.Path(__file__).resolve().parent.parent / "flags" / "cartpole.flags"


def main() -> None:
    line_of = {line[2:].split("=")[0]: line for line in to_flag_lines(Config())}
    lines = [
        "# CartPole-v1 in seconds on two cores: the defaults, written out by scripts/write_cartpole_flags.py.",
        "# Values without a published source were chosen by the runs in docs/cartpole.md.",
    ]
    for group in GROUPS:
        lines += ["", f"# {group.__name__}: {group.__doc__}", ""]
        for field in dataclasses.fields(group):
            if field.name in line_of:
                notes = [f"[{key}: {field.metadata[key]}]" for key in ("unit", "source") if field.metadata[key]]
                lines += [" ".join(["#", field.metadata["help"], *notes]), line_of[field.name]]
    PATH.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
