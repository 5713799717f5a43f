"""Prints where the time of a trace went (python -m impala_tf.experiment --profile), by thread and block or op.

  python scripts/sum_profile.py runs/profiled [--rows=40]

Also writes trace.json.gz beside the trace, which ui.perfetto.dev opens. Needs the extra `profile`.
"""

import argparse
import collections
import gzip
import json
import pathlib
import sys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logdir", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=40)
    arguments = parser.parse_args()
    traces = sorted(arguments.logdir.glob("plugins/profile/*/*.xplane.pb"))
    if not traces:
        sys.exit(f"{arguments.logdir}: no trace in it; make one with --profile")
    try:
        from xprof.convert import raw_to_tool_data
    except ImportError:
        sys.exit("xprof is not installed: pip install 'impala_tf[profile]'")
    text, _ = raw_to_tool_data.xspace_to_tool_data([str(traces[-1])], "trace_viewer", {})
    output = traces[-1].with_name("trace.json.gz")
    with gzip.open(output, "wt") as file:
        file.write(text)
    events = json.loads(text)["traceEvents"]
    processes = {e["pid"]: e["args"]["name"] for e in events if e.get("name") == "process_name"}
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    millis: collections.Counter = collections.Counter()
    counts: collections.Counter = collections.Counter()
    for event in events:
        if event.get("ph") == "X":
            thread = names.get((event["pid"], event["tid"]), processes.get(event["pid"], ""))
            key = (f"{thread} {event['tid']}", event["name"])
            millis[key] += event["dur"] / 1000
            counts[key] += 1
    print(f"{'ms':>10}{'calls':>9}  thread: block or op (a block's time holds that of those inside it)")
    for key, total in millis.most_common(arguments.rows):
        print(f"{total:10.1f}{counts[key]:9d}  {key[0]}: {key[1]}")
    print(f"written for ui.perfetto.dev: {output}")


if __name__ == "__main__":
    main()
