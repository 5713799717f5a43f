"""Has the suites of `python -m impala_tf.benchmark`. Each has `rows(config, secs, repeats)`, which yields dicts.

The suite of a cluster, `cluster.rows`, takes its own settings as well.
"""

from impala_tf.benchmarks import architectures, backends, ceilings, cluster_picture, scaling, single

SUITES = {
    "ceilings": ceilings.rows,
    "architectures": architectures.rows,
    "backends": backends.rows,
    "scaling": scaling.rows,
    "single": single.rows,
}
PICTURES = {"scaling": scaling.write, "cluster": cluster_picture.write}
