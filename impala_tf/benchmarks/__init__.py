"""Has the suites of `python -m impala_tf.benchmark`. Each has `rows(config, secs, repeats)`, which yields dicts."""

from impala_tf.benchmarks import architectures, ceilings, scaling, single

SUITES = {
    "ceilings": ceilings.rows,
    "architectures": architectures.rows,
    "scaling": scaling.rows,
    "single": single.rows,
}
