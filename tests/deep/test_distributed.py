"""Two gloo processes end with the weights of one, however they were started."""

import os
import pickle
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from metriclearn.constraints import triplets_from_labels
from metriclearn.deep import DeepEmbedder
from metriclearn.deep.losses import CrossBatchMemory, NTXentLoss

# What both runs execute; the processes of one group differ in RANK only.
SCRIPT = """
import pickle, sys
import numpy as np
import torch
from metriclearn.deep import DeepEmbedder

torch.set_num_threads(1)
params, X, y, constraints = pickle.load(open(sys.argv[1], "rb"))
embedder = DeepEmbedder(**params).fit(X, y, constraints=constraints)
net = embedder.net_
state = {**net.module_.state_dict(), **net.criterion_.state_dict(prefix="criterion.")}
state = {name: value.numpy() for name, value in state.items()}
embedder = pickle.loads(pickle.dumps(embedder))
rank = __import__("os").environ.get("RANK", "0")
pickle.dump((state, embedder.history_, embedder.transform(X)), open(sys.argv[2] + rank, "wb"))
"""

# No layer that looks at the whole batch or draws at random.
PLAIN = {"hidden_units": 16, "batch_norm": False, "noise": 0}
MAPS = {
    "module": torch.nn.Sequential(torch.nn.Unflatten(1, (1, 5)), torch.nn.Conv1d(1, 4, 3)),
    "module_params": None,
    "head_params": {"pooling": "avg"},
    "n_components": 4,
    "max_epochs": 2,
}
IMAGES = {
    "module": "attention",
    "module_params": {"channels": (4, 8)},
    "n_components": 8,
    "image_shape": (8, 8),
    "optimizer": "sgd",  # Adam divides by gradients that are rounding in some weights
    "lr": 0.1,
    "max_epochs": 2,
    # Statistics of a batch are those of a slice where there are two processes.
    "freeze_batch_norm": True,
}


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def run(folder, params, X, y, n_processes, constraints=None):
    """What each process has in the end: weights, history and embeddings."""
    folder = folder / str(n_processes)
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT)
    (folder / "job").write_bytes(pickle.dumps((params, X, y, constraints)))
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={n_processes}"]
    launcher += ["--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    command = [
        sys.executable,
        *(launcher if n_processes > 1 else []),
        *(str(folder / name) for name in ("script.py", "job", "out")),
    ]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    launched = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        assert launched.wait(timeout=180) == 0
    finally:
        with suppress(ProcessLookupError):  # else some process of the group hangs
            os.killpg(launched.pid, signal.SIGKILL)
    return [pickle.loads((folder / f"out{rank}").read_bytes()) for rank in range(n_processes)]


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
        {"loss": CrossBatchMemory(NTXentLoss(), size=64), "max_epochs": 3},
        {"loss": "margin", "miner": "distance_weighted", "max_epochs": 2},
        {"loss": "two_views", "augment": torch.nn.Identity(), "batch_size": 37, "max_epochs": 2},
        {"loss": "self_distillation", "loss_params": {"loss": "supcon"}, "max_epochs": 2},
        {"loss": "high_order", "loss_params": {"loss": "supcon", "dim": 8}, **MAPS},
        {
            "loss": "grouped",
            "loss_params": {"loss": "proxy_anchor", "divergence": 0.25},
            "max_epochs": 2,
        },
        {"loss": "boosted", "loss_params": {"diversity": 1e-3, "activation": 0.1}, "max_epochs": 2},
        {"loss": "cascaded", "loss_params": {"loss": "margin"}, "n_components": 6, "max_epochs": 2},
        {
            "loss": "divide_and_conquer",
            "loss_params": {"loss": "margin", "conquer_from": 1},
            "max_epochs": 2,
        },
        {
            "loss": "shared_characteristics",
            "loss_params": {"loss": "proxy_anchor", "n_clusters": 4},
            "max_epochs": 2,
        },
        {"loss": "diverse_aggregation", "loss_params": {"loss": "margin"}, "max_epochs": 2},
        {"loss": "grouped", "loss_params": {"loss": "supcon", "groups": 2}, **IMAGES},
        {
            "loss": "cascaded",
            "loss_params": {"loss": "contrastive"},
            **IMAGES,
            "module": "multi_level",
            "module_params": {"channels": (4, 8), "levels": 2},
            "n_components": 6,
        },
        {"loss": "supcon", "ema_decay": 0.9, "chunk_size": 7, "max_epochs": 2},
        {"loss": "matryoshka", "loss_params": {"loss": "proxy_anchor"}, "max_epochs": 2},
        {
            "loss": "embedding_moments",
            "loss_params": {"loss": "supcon", "dim": 8, "trainable": True},
            "max_epochs": 2,
        },
        {
            "loss": "semi_supervised",
            "loss_params": {"loss": "proxy_anchor"},
            "augment": torch.nn.Identity(),
            "batch_size": 37,
            "max_epochs": 2,
            "unlabeled": 0.4,
        },
        {
            "loss": "sampled_proxies",
            "loss_params": {"loss": "arcface", "share": 0.4},
            "batch_size": 8,
            "max_epochs": 2,
        },
        {
            "loss": "sampled_proxies",
            "loss_params": {"loss": "softmax", "share": 0.4, "sparse": True},
            "batch_size": 8,
            "max_epochs": 2,
        },
        {
            "loss": "softmax",
            "loss_params": {"neck": True, "label_smoothing": 0.1},
            "batch_size": 37,
            "max_epochs": 2,
        },
        {
            "loss": "margin",
            "miner": "distance_histogram",
            "miner_params": {"probabilities": [0, 1, 2, 3, 1]},
            "schedule_params": {"miner__low": (0.1, 0.4)},
            "max_epochs": 2,
        },
        {
            "loss": "weighted_sum",
            "loss_params": {"losses": ["triplet", "center", "instance"]},
            "batch_size": 37,
            "sampler": "hierarchical",
            "max_epochs": 2,
        },
    ],
    ids=[
        "proxies",
        "slices of unequal length",
        "early stopping",
        "memory",
        "random miner",
        "two views",
        "features",
        "maps",
        "groups",
        "adversaries",
        "cascade",
        "clusters",
        "characteristics",
        "four tasks",
        "attention",
        "levels",
        "averaged and in chunks",
        "nested dimensions",
        "moments",
        "semi-supervised",
        "sampled proxies",
        "rows of proxies",
        "neck",
        "chances of distances",
        "sum of losses",
    ],
)
def test_two_processes_are_one(tmp_path, params):
    rng = np.random.RandomState(0)
    y = rng.permutation(np.repeat(np.arange(12), 15))
    n_features = np.prod(params.get("image_shape", 5))
    X = (rng.randn(12, n_features)[y] + rng.randn(len(y), n_features)).astype(np.float32)
    params = {"module_params": PLAIN, "validation": None, "random_state": 0, **params}
    y[rng.rand(len(y)) < params.pop("unlabeled", 0)] = -1
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
def test_constraints_are_shared_out(tmp_path):
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(4), 8)
    X = (rng.randn(4, 5)[y] + rng.randn(32, 5)).astype(np.float32)
    triplets = triplets_from_labels(y, random_state=0)
    params = {"module_params": PLAIN, "max_epochs": 2, "random_state": 0}
    [(alone, _, _)] = run(tmp_path, params, X, None, 1, triplets)
    first, second = run(tmp_path, params, X, None, 2, triplets)
    for name in alone:
        np.testing.assert_array_equal(first[0][name], second[0][name], err_msg=name)
        np.testing.assert_allclose(first[0][name], alone[name], atol=1e-6, err_msg=name)


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
