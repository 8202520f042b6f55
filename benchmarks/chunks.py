"""Peak memory of one step on 4,096 images or pairs, at once and in chunks, and the gradients.

    python benchmarks/chunks.py

Each case is a process of its own; the memory is what the step takes beyond what was held before.
"""

import pickle
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn

from metriclearn.deep import DeepEmbedder, TwoTowerEmbedder

CASES = ((4096, None), (4096, 128), (128, None))


class Keep(Callback):
    """Keep the gradient of the last step."""

    def on_grad_computed(self, net, **kwargs):
        """Copy the gradients."""
        self.gradients_ = [p.grad.numpy().copy() for p in net.module_.parameters()]


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def step(batch_size, chunk_size):
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(1024), 4)[:batch_size]
    patterns = np.kron(rng.randn(1024, 7, 7), np.ones((4, 4)))
    X = (patterns[y] + rng.randn(batch_size, 28, 28))[..., None].astype(np.float32)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU()]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    settings = {"n_components": 32, "max_epochs": 1, "validation": None, "random_state": 0}
    DeepEmbedder(module, "supcon", batch_size=8, **settings).fit(X[:64], y[:64])  # what it loads
    sizes = {"batch_size": batch_size, "chunk_size": chunk_size, "sampler": "unbalanced"}
    embedder = DeepEmbedder(module, "supcon", **sizes, callbacks=[Keep()], **settings)
    before, begun = peak(), time.process_time()
    embedder.fit(X, y)
    cost = time.process_time() - begun, peak() - before
    return *cost, dict(embedder.net_.callbacks_)["Keep"].gradients_


def step_of_towers(n_pairs, chunk_size):
    rng = np.random.RandomState(0)
    topics = rng.randn(n_pairs, 16)
    Q, D = (np.float32(topics @ rng.randn(16, 784)) for _ in range(2))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 64))
    settings = {"max_epochs": 1, "random_state": 0}
    TwoTowerEmbedder(module, batch_size=8, **settings).fit(Q[:64], D[:64])  # what it loads
    towers = TwoTowerEmbedder(module, batch_size=n_pairs, chunk_size=chunk_size, **settings)
    before, begun = peak(), time.process_time()
    towers.fit(Q, D)
    return time.process_time() - begun, peak() - before


def main():
    if len(sys.argv) > 2:
        sys.stdout.buffer.write(pickle.dumps(step_of_towers(*CASES[int(sys.argv[1])])))
        return
    if len(sys.argv) > 1:
        sys.stdout.buffer.write(pickle.dumps(step(*CASES[int(sys.argv[1])])))
        return
    for number, case in enumerate(CASES):
        command = [sys.executable, __file__, str(number), "towers"]
        cpu, memory = pickle.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        print(f"{case[0]} pairs, chunk {case[1]}: {memory:.0f} MB, {cpu:.1f} CPU s")
    gradients = []
    for number, case in enumerate(CASES):
        command = [sys.executable, __file__, str(number)]
        out = subprocess.run(command, check=True, capture_output=True).stdout
        cpu, memory, gradient = pickle.loads(out)
        gradients.append(gradient)
        print(f"batch {case[0]}, chunk {case[1]}: {memory:.0f} MB, {cpu:.1f} CPU s")
    off = max(np.abs(a - b).max() for a, b in zip(*gradients[:2], strict=True))
    largest = max(np.abs(a).max() for a in gradients[0])
    print(f"gradients differ by {off:.1e} at most, of {largest:.1e}")


if __name__ == "__main__":
    main()
