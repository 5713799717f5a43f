"""Writes flags/cartpole.flags, the defaults of `impala_tf.config.Config` with each setting's help above it.

python scripts/write_cartpole_flags.py            writes the file
python scripts/write_cartpole_flags.py --check    only looks whether it is up to date
"""

import argparse
import dataclasses
import pathlib
import sys

from impala_tf.config import GROUPS, Config, to_flag_lines

PATH = pathlib.Path(__file__).resolve().parent.parent / "flags" / "cartpole.flags"


def text() -> str:
    """What the file must hold."""
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
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file would change")
    parser.add_argument("--output", type=pathlib.Path, default=PATH, help="flag file; default: %(default)s")
    arguments = parser.parse_args()
    if not arguments.check:
        arguments.output.write_text(text())
    elif arguments.output.read_text() != text():
        sys.exit(f"{arguments.output}: does not hold the defaults; run python scripts/write_cartpole_flags.py")


if __name__ == "__main__":
    main()
