"""Writes flags/cartpole.flags, the defaults of `impala_tf.config.Config`, with each setting's help above it."""

import pathlib

from impala_tf.config import Config, fields, to_flag_lines

PATH = pathlib.Path(__file__).resolve().parent.parent / "flags" / "cartpole.flags"


def main() -> None:
    rules = {field.name: field.metadata for field in fields()}
    lines = [
        "# CartPole-v1 in seconds on two cores: the defaults, written out by scripts/write_cartpole_flags.py.",
        "# Values without a published source were chosen by the runs in docs/cartpole.md.",
        "",
    ]
    for line in to_flag_lines(Config()):
        rule = rules[line[2:].split("=")[0]]
        notes = [f"[{key}: {rule[key]}]" for key in ("unit", "source") if rule[key]]
        lines += [" ".join(["#", rule["help"], *notes]), line]
    PATH.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
