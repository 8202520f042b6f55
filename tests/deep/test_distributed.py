"""Two gloo processes end with the weights of one."""

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metriclearn.deep import DeepEmbedder

# What both runs execute; the processes of one group differ in RANK only.
SCRIPT = """
import pickle, sys
import numpy as np
import torch
from metriclearn.deep import DeepEmbedder

torch.set_num_threads(1)
if int(__import__("os").environ.get("WORLD_SIZE", 1)) > 1:
    from datetime import timedelta
    torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
params, X, y = pickle.load(open(sys.argv[1], "rb"))
embedder = DeepEmbedder(**params).fit(X, y)
net = embedder.net_
state = {**net.module_.state_dict(), **net.criterion_.state_dict(prefix="criterion.")}
state = {name: value.numpy() for name, value in state.items()}
embedder = pickle.loads(pickle.dumps(embedder))
pickle.dump((state, embedder.history_, embedder.transform(X)), open(sys.argv[2], "wb"))
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()
"""

# No layer that looks at the whole batch or draws at random.
PLAIN = {"hidden_units": 16, "batch_norm": False, "noise": 0}


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def run(folder, params, X, y, n_processes):
    job = folder / f"job{n_processes}"
    job.write_bytes(pickle.dumps((params, X, y)))
    port = free_port()
    processes = []
    for rank in range(n_processes):
        group = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(n_processes),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        out = folder / f"out{n_processes}_{rank}"
        command = [sys.executable, "-c", SCRIPT, str(job), str(out)]
        environment = {**os.environ, **(group if n_processes > 1 else {})}
        processes.append(subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2]))
    try:
        for process in processes:
            assert process.wait(timeout=150) == 0
    finally:
        for process in processes:
            process.kill()
    return [
        pickle.loads((folder / f"out{n_processes}_{rank}").read_bytes())
        for rank in range(n_processes)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {"loss": "proxy_anchor", "max_epochs": 3},
        {"loss": "triplet", "batch_size": 37, "sampler": "unbalanced", "max_epochs": 3},
        {
            "loss": "proxy_anchor",
            "validation": "class_disjoint",
            "patience": 2,
            "max_epochs": 25,
            "lr": 0.03,
        },
    ],
    ids=["proxies", "slices of unequal length", "early stopping"],
)
def test_two_processes_are_one(tmp_path, params):
    rng = np.random.RandomState(0)
    y = rng.permutation(np.repeat(np.arange(12), 15))
    X = (rng.randn(12, 5)[y] + rng.randn(len(y), 5)).astype(np.float32)
    params = {"module_params": PLAIN, "validation": None, "random_state": 0, **params}
    [(alone, history, _)] = run(tmp_path, params, X, y, 1)
    first, second = run(tmp_path, params, X, y, 2)
    for name in alone:
        np.testing.assert_array_equal(first[0][name], second[0][name], err_msg=name)
        np.testing.assert_allclose(first[0][name], alone[name], atol=1e-6, err_msg=name)
    assert len(first[1]) == len(second[1]) == len(history)
    if params["validation"]:
        assert len(history) < params["max_epochs"]
        for ours, theirs in zip(first[1], history, strict=True):
            assert ours["valid_recall_at_1"] == pytest.approx(theirs["valid_recall_at_1"])
    np.testing.assert_array_equal(first[2], second[2])


@pytest.mark.slow
def test_random_layers_and_batch_norm_agree_between_processes(tmp_path):
    rng = np.random.RandomState(0)
    y = rng.permutation(np.repeat(np.arange(6), 15))
    X = (rng.randn(6, 5)[y] + rng.randn(len(y), 5)).astype(np.float32)
    params = {"max_epochs": 3, "random_state": 0, "module_params": {"dropout": 0.3}}
    first, second = run(tmp_path, params, X, y, 2)
    for name in first[0]:
        np.testing.assert_array_equal(first[0][name], second[0][name], err_msg=name)
    alone = DeepEmbedder(**params).fit(X, y)
    assert first[2].shape == alone.transform(X).shape
