"""The fits on a Dask cluster: two workers and no network but this machine's own."""

from dataclasses import replace
from types import SimpleNamespace

import distributed
import pytest
from helpers.comparisons import CHEAP, Broken, without_seconds

from metriclearn import cli
from metriclearn.compare import _compare as door
from metriclearn.compare import _run as run
from metriclearn.compare import compare
from metriclearn.compare._running._protocol import run_task
from metriclearn.deep import DeepEmbedder

ON_THIS_MACHINE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "memory_limit": 0}


@pytest.fixture(scope="module")
def cluster():
    """Two workers, and no network but this machine's own."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **ON_THIS_MACHINE) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        yield client


@pytest.mark.parametrize(
    "learner",
    [
        "nca",
        pytest.param(
            DeepEmbedder(max_epochs=2, n_components=4, validation=None),
            marks=pytest.mark.slow,
            id="deep",
        ),
    ],
)
def test_a_cluster_of_two_workers_gives_the_same_numbers(blobs, client, learner):
    learners = {"it": learner, "broken": Broken()}
    arguments = {"n_folds": 2, "tune": "random", "tune_budget": 2, "dimensions": [2]}
    alone = compare(*blobs, learners=learners, **arguments)
    together = compare(*blobs, learners=learners, **arguments, client=client)
    assert [*map(without_seconds, together.records)] == [*map(without_seconds, alone.records)]
    assert [*map(without_seconds, together.curve_records)] == [
        *map(without_seconds, alone.curve_records)
    ]
    assert len(together.records) == 2 * 2 * 2
    assert together.run.n_jobs == 2


def test_both_workers_of_a_cluster_work(blobs, client, monkeypatch):
    def run_and_tell(task, X, y):
        record = run_task(task, X, y)
        return replace(record, notes=(distributed.get_worker().address,))

    monkeypatch.setattr(run, "run_task", run_and_tell)
    result = compare(*blobs, learners=CHEAP, n_folds=3, client=client)
    assert len({record.notes for record in result.records}) == 2


def test_the_command_runs_on_a_cluster(cluster, capsys):
    arguments = ["iris", "--folds", "2", "--learners", "euclidean,mahalanobis"]
    assert cli.main(["compare", *arguments, "--dask", cluster.scheduler_address]) == 0
    assert "Mahalanobis" in capsys.readouterr().out


def test_an_interrupt_on_a_cluster_keeps_what_is_finished(blobs, client, monkeypatch):
    class Stop(door.NoProgress):
        n_finished = 0

        def finished(self, record):
            self.n_finished += 1
            if self.n_finished == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(door, "NoProgress", Stop)
    with pytest.warns(UserWarning, match="interrupted: 3 of 12 fits were finished"):
        result = compare(*blobs, learners=CHEAP, n_folds=3, client=client)
    assert len(result.records) == 3


def test_a_cluster_that_dies_keeps_what_is_finished(blobs, client, monkeypatch):
    def dying(task, X, y):
        if task.split.fold == 1:
            raise distributed.KilledWorker("run", SimpleNamespace(address="gone"), 3)
        return run_task(task, X, y)

    monkeypatch.setattr(run, "run_task", dying)
    with pytest.warns(UserWarning, match="a worker process died"):
        result = compare(*blobs, learners=CHEAP, n_folds=3, client=client)
    assert 1 <= len(result.records) < 12


def test_a_client_that_cannot_be_used_is_one_clear_error(blobs, client):
    with pytest.raises(ValueError, match=r"client must be a dask.distributed.Client .* got 'tcp:"):
        compare(*blobs, learners=CHEAP, client="tcp://localhost:1")
    with pytest.raises(ValueError, match="n_jobs=2 and client are two answers"):
        compare(*blobs, learners=CHEAP, client=client, n_jobs=2)


def test_a_cluster_without_workers_is_one_clear_error(blobs):
    with (
        distributed.LocalCluster(n_workers=0, **ON_THIS_MACHINE) as empty,
        distributed.Client(empty) as client,
        pytest.raises(ValueError, match="client: its cluster has no worker yet"),
    ):
        compare(*blobs, learners=CHEAP, client=client)
