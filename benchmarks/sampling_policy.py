"""A learned policy of sampling (PADS), beside chances that stay as they are.

    python benchmarks/sampling_policy.py --data DIR --epochs 6 --every 2 --seeds 5

Trains a ConvNet by the margin loss on Omniglot's images with ``dev_split == 0``, those of every
``--every``-th character but for a seventh of these, and searches each image with ``dev_split == 1``
among all others of that split. The negatives are drawn by `DistanceHistogramMiner`. The policy of
Roth, Milbich and Ommer (CVPR 2020) sees, every few batches, how the characters that were left out
are embedded, and multiplies the chance of each bin by 0.8, 1 or 1.25; it is trained by PPO with a
value baseline on the sign of the change of Recall@1 + MAP@R. The chances that stay as they are
train on the same images.
"""

import argparse
import statistics
import time
from collections import deque

import numpy as np
import torch
from ensembles import load
from skorch.callbacks import Callback
from torch import nn

from metriclearn.deep import DeepEmbedder
from metriclearn.deep.miners import DistanceHistogramMiner, DistanceWeightedMiner
from metriclearn.metrics import map_at_r, recall_at_k

N_BINS, LOW, HIGH = 30, 0.1, 1.4
ACTIONS = torch.tensor([0.8, 1.0, 1.25])
SPANS = (2, 8, 16)
MEASURES = 6


def uniform(low, high):
    """Chances of the bins that are evenly spread from one distance to another."""
    middles = LOW + (np.arange(N_BINS) + 0.5) * (HIGH - LOW) / N_BINS
    return ((middles > low) & (middles < high)).astype(float)


class Policy(Callback):
    """Changes the chances of a `DistanceHistogramMiner` as it learns to."""

    def __init__(self, X, y, seed, n_steps, every=5):
        self.X, self.y, self.seed, self.n_steps, self.every = X, y, seed, n_steps, every

    def on_train_begin(self, net, **kwargs):
        """Begin with a policy that knows nothing."""
        self.random = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            width = MEASURES * (1 + len(SPANS)) + N_BINS + 1
            self.actor = _mlp(width, 3 * N_BINS)
            self.critic = _mlp(width, 1)
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=1e-3)
        self.seen = deque(maxlen=max(SPANS))
        self.done = 0
        self.last = None

    def on_batch_end(self, net, training=True, **kwargs):
        """Look at the rows that were left out, learn, and change the chances."""
        self.done += 1
        if self.done % self.every:
            return
        miner = net.criterion_.miner
        chances = torch.as_tensor(miner.probabilities, dtype=torch.float32)
        self.seen.append(self.measure(np.asarray(net.transform(self.X))))
        state = self.state(chances)
        if self.last is not None:
            self.learn(state)
        with torch.no_grad():
            logs = self.logs(state)
            chosen = torch.multinomial(logs.exp(), 1, generator=self.random)[:, 0]
        chances = chances * ACTIONS[chosen]
        miner.probabilities = (chances / chances.sum()).tolist()
        self.last = state, chosen, logs[torch.arange(N_BINS), chosen].sum()

    def logs(self, state):
        """Return the logarithms of the chances of each bin's actions."""
        return self.actor(state).view(N_BINS, 3).log_softmax(1)

    def measure(self, Z):
        """Recall@1, 2, 4, MAP@R, and mean distances within and between classes."""
        recalls = [recall_at_k(Z, self.y, k=k) for k in (1, 2, 4)]
        D = torch.cdist(torch.from_numpy(Z), torch.from_numpy(Z)).numpy()
        same = self.y[:, None] == self.y
        return [*recalls, map_at_r(Z, self.y), D[same].mean(), D[~same].mean()]

    def state(self, chances):
        """Return what the policy sees."""
        seen = np.array(self.seen)
        means = [seen[-span:].mean(0) for span in SPANS]
        parts = [seen[-1], *means, chances.numpy(), [self.done / self.n_steps]]
        return torch.as_tensor(np.concatenate(parts), dtype=torch.float32)

    def learn(self, state):
        """Take a step of PPO on what the last change brought."""
        before, chosen, old = self.last
        gain = np.sum([self.seen[-1][i] - self.seen[-2][i] for i in (0, 3)])
        reward = float(np.sign(gain))
        for _ in range(3):
            log = self.logs(before)[torch.arange(N_BINS), chosen].sum()
            value = self.critic(before)[0]
            with torch.no_grad():
                advantage = reward + 0.9 * self.critic(state)[0] - value
            ratio = (log - old).clamp(-5, 5).exp()
            gains = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            with torch.no_grad():
                target = reward + 0.9 * self.critic(state)[0]
            loss = -gains + (value - target) ** 2
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def _mlp(width, out):
    layers = [nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, out))


def miners():
    hard, all_bins = uniform(0.3, 0.7).tolist(), uniform(LOW, HIGH).tolist()
    return {
        "distance-weighted": (DistanceWeightedMiner(), False),
        "even from 0.3 to 0.7": (DistanceHistogramMiner(hard, LOW, HIGH), False),
        "even from 0.1 to 1.4": (DistanceHistogramMiner(all_bins, LOW, HIGH), False),
        "policy, begun from 0.3 to 0.7": (DistanceHistogramMiner(hard, LOW, HIGH), True),
        "policy, begun from 0.1 to 1.4": (DistanceHistogramMiner(all_bins, LOW, HIGH), True),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    X, y, X_test, y_test = load(options.data, options.every)
    held = np.unique(y, return_inverse=True)[1] % 7 == 0
    n_steps = options.epochs * ((~held).sum() / 256)
    scores, cpu = {}, {}
    for seed in range(options.seeds):
        for name, (miner, learns) in miners().items():
            callbacks = [("policy", Policy(X[held], y[held], seed, n_steps))] if learns else None
            begun = time.process_time()
            embedder = DeepEmbedder(
                "convnet",
                "margin",
                miner=miner,
                module_params={"channels": (16, 32, 64, 64)},
                n_components=128,
                batch_size=256,
                augment="affine",
                validation=None,
                max_epochs=options.epochs,
                callbacks=callbacks,
                random_state=seed,
            ).fit(X[~held], y[~held])
            cpu.setdefault(name, []).append(time.process_time() - begun)
            recall = 100 * recall_at_k(embedder.transform(X_test), y_test, k=1)
            scores.setdefault(name, []).append(recall)
            print(f"seed {seed}, {name}: {recall:.1f}", flush=True)
    print("\n| negatives | Recall@1 | each seed | CPU s |\n|---|---|---|---|")
    for name, values in scores.items():
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        each = ", ".join(f"{value:.1f}" for value in values)
        print(
            f"| {name} | {statistics.mean(values):.1f}{spread} | {each} | "
            f"{statistics.mean(cpu[name]):.0f} |"
        )


if __name__ == "__main__":
    main()
