"""Has actors outside of the learner's process: in processes of this machine, or on a Ray cluster.

`actor_host.py` is what runs there. `feeder.py` is the learner's side, one thread, and knows no backend: it talks to
`answers.Hosts`, of which `processes.py` and `ray_hosts.py` are the two kinds. The learner cannot tell such an unroll
from one of a thread's.
"""
