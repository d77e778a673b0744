"""A Ray cluster of two nodes of one processor, on this machine, each with a temporary folder of its own."""

from pathlib import Path

from ray.cluster_utils import Cluster

SETTINGS = {
    "worker_niceness": 0,
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 6,
}
"""By default Ray's workers yield to everything else on the machine (niceness 15), and it takes half a minute
to notice that a node is gone. A node that is gone refuses and is given up after three seconds; one that is
only slow has half a minute."""


def two_machines(folder: Path) -> Cluster:
    """Started; the second node, the only one of its `worker_nodes`, may be taken away.

    Their temporary folders are `folder/first` and `folder/second`.
    """
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": SETTINGS}
    head["env_vars"] = _temporary(folder / "first")
    started = Cluster(initialize_head=True, head_node_args=head, connect=False)
    started.add_node(num_cpus=1, env_vars=_temporary(folder / "second"), wait=True)
    return started


def _temporary(folder: Path) -> dict[str, str]:
    """The variables of a node whose processes keep what is temporary there."""
    folder.mkdir()
    return {"TMPDIR": str(folder)}
