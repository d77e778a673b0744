"""Episodes played on a Ray cluster of two nodes are those of this process, also where a node dies."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import ray
from line_world import LineSpec, line_actor
from ray.cluster_utils import Cluster as Machines
from two_machines import two_machines

from vantage.collect.cluster import Ray, packed, unpacked
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, open_pool, play_here
from vantage.commands.runs import processes
from vantage.disk.files import sha256_folder
from vantage.errors import LostProcess
from vantage.types import VantageError

COUNT = 12


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two nodes of one processor; the second one may be taken away."""
    started = two_machines(tmp_path_factory.mktemp("machines"))
    yield started
    started.shutdown()


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """Trials of a policy in a world that only this test knows."""
    folder = tmp_path_factory.mktemp("actor")
    line_actor(folder)
    plain = Job(0, LineSpec(task="line", limit=400), folder, NoOne(), seed=0, policy_version=3)
    return [replace(plain, number=number, seed=number) for number in range(COUNT)]


def test_a_cluster_plays_what_one_process_plays_though_a_node_dies(
    machines: Machines, jobs: list[Job], tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    expected = {played.number: played for played in play_here([replace(job, journal=here) for job in jobs])}

    played = []
    with open_pool(Ray(machines.address)) as pool:
        assert ray.cluster_resources()["CPU"] == 2
        nodes = set(pool.each(node_where_both_are, [str(tmp_path / "met")] * 2))
        assert len(nodes) == 2

        for one in pool([replace(job, journal=there) for job in jobs]):
            if not played:
                (second,) = [node for node in machines.worker_nodes]
                machines.remove_node(second, allow_graceful=False)
            played.append(one)

    assert sorted(one.number for one in played) == [*range(COUNT)], "each once"
    assert {one.number: one for one in played} == expected
    assert sha256_folder(there) == sha256_folder(here)


@pytest.mark.parametrize("content", [b"", b"x", bytes(100_000), np.random.default_rng(0).bytes(1000)])
def test_what_crosses_the_network_comes_out_as_it_went_in(content: bytes) -> None:
    size, crossing = packed(content)
    assert unpacked(size, crossing) == content
    assert len(crossing) < len(content) / 4 or len(content) <= 1000


def node_where_both_are(meeting: str) -> str:
    """The node that this runs on, once another one has come here too."""
    node = ray.get_runtime_context().get_node_id()
    Path(meeting).mkdir(exist_ok=True)
    (Path(meeting) / node).touch()
    until = time.monotonic() + 60
    while len([*Path(meeting).iterdir()]) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    return node


def test_what_goes_wrong_there_is_said_as_here(machines: Machines) -> None:
    with pytest.raises(ZeroDivisionError), open_pool(Ray(machines.address)) as pool:
        list(pool.each(divide, [0]))


def test_a_machine_that_is_listed_though_it_died_is_passed_over(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node in [*machines.worker_nodes]:
        machines.remove_node(node, allow_graceful=False)
    nodes = ray.nodes
    listed = []

    def stale() -> list[dict[str, object]]:
        listed.extend(nodes())
        return [node | {"Alive": True} for node in nodes()]

    monkeypatch.setattr(ray, "nodes", stale)
    with open_pool(Ray(machines.address)) as pool:
        assert list(pool.each(divide, [2])) == [0.5]
    assert not all(node["Alive"] for node in listed)


def divide(number: int) -> float:
    return 1 / number


def test_another_version_on_a_machine_is_refused(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vantage.collect.cluster.__version__", "0.0.1")
    with (
        pytest.raises(VantageError, match=r"a machine of the cluster, has vantage .* and this one 0\.0\.1"),
        open_pool(Ray(machines.address)),
    ):
        pass


def test_a_checkpoint_is_read_once_for_all_jobs(
    machines: Machines, jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    plain = Path.read_bytes

    def counted(path: Path) -> bytes:
        read.append(path)
        return plain(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    with open_pool(Ray(machines.address)) as pool:
        list(pool([replace(job, journal=tmp_path) for job in jobs[:3]]))
        files = [path for path in jobs[0].actor.rglob("*") if path.is_file()]
        assert sorted(read) == sorted(files)
        with pytest.raises(VantageError, match=r"nowhere holds no file, and the machines of the cluster"):
            list(pool([replace(jobs[0], actor=tmp_path / "nowhere", journal=tmp_path)]))


@dataclass(frozen=True)
class Chooses:
    """What makes a policy choose, with a folder of its own."""

    critic: Path


@dataclass(frozen=True)
class Asked:
    actor: Path
    acting: Chooses | None


def folders_there(asked: Asked) -> list[tuple[str, str]]:
    """Where the folders of an item are on the other side, and what is in them."""
    folders = [asked.actor, *([asked.acting.critic] if asked.acting else [])]
    return [(str(folder), (folder / "weights").read_text()) for folder in folders]


def test_a_policy_that_acts_on_a_gpu_does_not_wait_for_one_for_ever(
    machines: Machines, jobs: list[Job], tmp_path: Path
) -> None:
    there = replace(jobs[0], device="cuda:0", journal=tmp_path)
    with (
        pytest.raises(VantageError, match="acts on cuda:0, and no machine of the cluster has a GPU"),
        open_pool(Ray(machines.address)) as pool,
    ):
        list(pool([there]))


def test_folders_of_what_acts_go_along(machines: Machines, tmp_path: Path) -> None:
    """Best-of-N and steering read a folder beside the checkpoint's, which another machine does not have."""
    for name in ("actor", "critic"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(name)
    with open_pool(Ray(machines.address)) as pool:
        choosing = Asked(tmp_path / "actor", Chooses(tmp_path / "critic"))
        ((actor, first), (critic, second)) = next(iter(pool.each(folders_there, [choosing])))
        assert (first, second) == ("actor", "critic")
        assert str(tmp_path) not in actor and str(tmp_path) not in critic
        (alone,) = pool.each(folders_there, [Asked(tmp_path / "actor", None)])
        assert [text for _, text in alone] == ["actor"]


def test_what_ray_says_is_a_sentence(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster without room for what is sent, and any other error of Ray's own."""

    def full(*_: object, **__: object) -> object:
        raise ray.exceptions.ObjectStoreFullError("no room for 3 GB")

    with open_pool(Ray(machines.address)) as pool:
        monkeypatch.setattr("vantage.collect.cluster.Cluster._send", full)
        monkeypatch.setattr("vantage.collect.cluster._paths", lambda item: {"actor": Path("here")})
        with pytest.raises(LostProcess, match=r"could not take .* \(ObjectStoreFullError: .*no room"):
            list(pool.each(divide, [1]))


def test_no_cluster_is_a_sentence() -> None:
    nowhere = Ray("127.0.0.1:1")
    with pytest.raises(VantageError, match=r"no Ray cluster at '127\.0\.0\.1:1'"), open_pool(nowhere):
        pass
    assert processes("ray") == Ray("auto") and processes("ray:10.0.0.1:6379") == Ray("10.0.0.1:6379")
    assert processes(3) == 3
    with pytest.raises(VantageError, match="say a number, ray, or ray:ADDRESS"):
        processes("slurm")
