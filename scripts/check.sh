#!/usr/bin/env bash
# Every check: format, lint, types, what scripts write into documents and flag files, tests. CI runs the same. Arguments
# go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m ruff format --check .
python -m ruff check .
python -m mypy
python scripts/fill_tables.py --check
python scripts/write_cartpole_flags.py --check
# Two files at a time, since tracing a graph keeps one core busy. A file stays whole: its tests share fixtures.
python -m pytest --numprocesses=2 --dist=loadfile "$@"
