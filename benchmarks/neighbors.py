"""Exact and approximate search beside scikit-learn's brute force and faiss's own.

    OMP_NUM_THREADS=1 python benchmarks/neighbors.py            # exact, 60,000 rows
    OMP_NUM_THREADS=1 python benchmarks/neighbors.py --hnsw     # approximate, clustered
    python benchmarks/neighbors.py --million                    # IVF-PQ, 1,000,000 x 128

Times are of the processor (user and system), least of the repeats, so that other
work on the machine counts little.
"""

import argparse
import gc
import resource
import time

import faiss
import numpy as np
from sklearn.neighbors import NearestNeighbors

from metriclearn.neighbors import FaissNearestNeighbors


def clustered(n, d, n_clusters, seed=0):
    """Rows around centres on the unit sphere, as embeddings of classes are."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n_clusters, d), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    X = centres[rng.integers(n_clusters, size=n)]
    X += rng.standard_normal((n, d), dtype=np.float32) * (0.5 / np.sqrt(d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X


def milliseconds(search, n_queries, repeats):
    """Processor time for each query, least of the repeats."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        search()
        best = min(best, time.process_time() - start)
    return 1e3 * best / n_queries


def exact(n_rows, repeats):
    """Print the table of exact searches."""
    print("| rows | queries a call | metriclearn ms | scikit-learn ms | faiss ms | to scikit-learn |")
    print("|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for d in (64, 784):
        X = rng.standard_normal((n_rows, d), dtype=np.float32)
        Q = rng.standard_normal((10_000, d), dtype=np.float32)
        ours = FaissNearestNeighbors().fit(X)
        theirs = NearestNeighbors(algorithm="brute").fit(X)
        flat = faiss.IndexFlatL2(d)
        flat.add(X)
        for n in (1, 100, 10_000):
            # A call of one query is short: many of them make one measurement.
            calls = [slice(i, i + n) for i in range(0, max(n, 30 if n == 1 else n), n)]
            n_queries = n * len(calls)
            ms = [
                milliseconds(lambda f=f, c=calls: [f(Q[each]) for each in c], n_queries, repeats)
                for f in (ours.kneighbors, theirs.kneighbors, lambda q: flat.search(q, 5))
            ]
            row = " | ".join(f"{value:.3f}" for value in ms)
            print(f"| {n_rows} x {d} | {n} | {row} | {ms[1] / ms[0]:.1f}x |", flush=True)
        del ours, theirs, flat
        gc.collect()


def hnsw(n_rows, repeats):
    """Print HNSW beside faiss's flat index, both faiss's own kernels."""
    d, n_queries = 64, 2000
    X = clustered(n_rows + n_queries, d, 1000)
    X, Q = X[:-n_queries], X[-n_queries:]
    flat = faiss.IndexFlatL2(d)
    flat.add(X)
    exact = FaissNearestNeighbors(10).fit(X)
    expected = exact.kneighbors(Q, return_distance=False)
    base = milliseconds(lambda: flat.search(Q, 10), n_queries, repeats)
    exact_ms = milliseconds(lambda: exact.kneighbors(Q), n_queries, repeats)
    print("| index | recall@10 | ms a query | to faiss flat |")
    print("|---|---|---|---|")
    print(f"| faiss IndexFlatL2 | 1.000 | {base:.3f} | 1.0x |")
    print(f"| metriclearn flat | 1.000 | {exact_ms:.3f} | {base / exact_ms:.1f}x |", flush=True)
    for index, effort in (("hnsw", None), ("hnsw", "efSearch=256"), ("ivf", None)):
        model = FaissNearestNeighbors(10, index=index, search_params=effort).fit(X)
        found = model.kneighbors(Q, return_distance=False)
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, expected, strict=True)])
        ms = milliseconds(lambda m=model: m.kneighbors(Q), n_queries, repeats)
        name = f"metriclearn {index} {effort or ''}"
        print(f"| {name} | {recall:.3f} | {ms:.3f} | {base / ms:.1f}x |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--hnsw", action="store_true", help="HNSW and IVF on clustered rows")
    options = parser.parse_args()
    if options.hnsw:
        hnsw(options.rows, options.repeats)
    else:
        exact(options.rows, options.repeats)
    print(f"\nLargest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
