"""What `python -m impala_tf.benchmark` measures. Each suite has `rows(config, secs, repeats)`: dicts with a `name`."""

from impala_tf.benchmarks import architectures, ceilings, scaling, single

SUITES = {
    "ceilings": ceilings.rows,
    "architectures": architectures.rows,
    "scaling": scaling.rows,
    "single": single.rows,
}
