"""Collaborative metric learning on MovieLens, beside popularity and item neighbors.

    OMP_NUM_THREADS=1 python benchmarks/recommend.py --data DIR [--seeds 3]

The last item by time of each user is held out and ranked against all items that the user had
not seen. DIR holds ``movielens_small.npz`` with ``X`` (user, item, rating, timestamp).
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from metriclearn.recommend import CollaborativeMetric, hit_rate, ndcg


def read(folder):
    """Read (user, item, time) of every rating, numbered from 0."""
    with np.load(Path(folder) / "movielens_small.npz") as file:
        names = set(file.files)
        if {"user", "item", "timestamp"} <= names:
            user, item, when = file["user"], file["item"], file["timestamp"]
        else:
            user, item, _, when = file["X"].T[:4]
    user = np.unique(user, return_inverse=True)[1]
    names, item = np.unique(item, return_inverse=True)
    return user, item, when, len(names)


def split(user, item, when, n_items):
    """Hold out the last item of each user."""
    order = np.lexsort((item, when, user))
    user, item = user[order], item[order]
    last = np.append(user[1:] != user[:-1], True)
    shape = user.max() + 1, n_items
    train = sparse.csr_array((np.ones((~last).sum()), (user[~last], item[~last])), shape=shape)
    return train, user[last], item[last]


def ranks_of(scores, train, users, items):
    """Rank each held-out item among those not seen, ties counted against it."""
    scores = np.where(train.toarray() > 0, -np.inf, scores)[users]
    own = scores[np.arange(len(users)), items]
    return np.sum(scores >= own[:, None], axis=1)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    train, users, items = split(*read(options.data))
    counts = np.asarray(train.sum(axis=0)).ravel()
    popular = np.broadcast_to(counts, train.shape)
    lengths = np.sqrt(np.maximum(counts, 1))
    similar = (train.T @ train).toarray() / lengths[:, None] / lengths
    np.fill_diagonal(similar, 0)
    kept = np.sort(similar, axis=1)[:, -50]
    similar[similar < kept[:, None]] = 0
    print("| method | HR@10 | HR@50 | nDCG@10 | CPU s |\n|---|---|---|---|---|")
    for name, scores in (("popularity", popular), ("item k-NN", train @ similar.T)):
        show(name, ranks_of(scores, train, users, items), 0)
    for seed in range(options.seeds):
        for epochs in (10, 20, 40):
            start = time.process_time()
            model = CollaborativeMetric(max_epochs=epochs, random_state=seed).fit(train)
            seconds = time.process_time() - start
            show(f"CML, {epochs} epochs, seed {seed}", model.rank_items(users, items), seconds)
        folded = model.rank_items(users, items, X=train)
        show(f"the last, users folded in, seed {seed}", folded, 0)


def show(name, ranks, seconds):
    """Print a row."""
    scores = 100 * hit_rate(ranks), 100 * hit_rate(ranks, 50), 100 * ndcg(ranks)
    print(
        f"| {name} | " + " | ".join(f"{s:.2f}" for s in scores) + f" | {seconds:.1f} |", flush=True
    )


if __name__ == "__main__":
    main()
