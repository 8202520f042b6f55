"""Exact and approximate search beside scikit-learn's brute force and faiss's own.

    OMP_NUM_THREADS=1 python benchmarks/neighbors.py            # exact, 60,000 rows
    OMP_NUM_THREADS=1 python benchmarks/neighbors.py --data DIR --rows 9000   # images
    OMP_NUM_THREADS=1 python benchmarks/neighbors.py --hnsw --rows 200000
    OMP_NUM_THREADS=1 python benchmarks/neighbors.py --low       # 2 and 3 features; one row
    OMP_NUM_THREADS=1 python benchmarks/neighbors.py --grow      # one row more or less
    python benchmarks/neighbors.py --million     # IVF-PQ of 1,000,000 x 128 in chunks

Times are of the processor (user and system), least of the repeats, so that other
work on the machine counts little.
"""

import argparse
import gc
import resource
import tempfile
import time
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from sklearn.neighbors import NearestNeighbors

from metriclearn.neighbors import FaissNearestNeighbors, RetrievalIndex


def clustered(n, d, n_clusters, noise_seed=0):
    """Rows around centers on the unit sphere, as embeddings of classes are."""
    centers = np.random.default_rng(0).standard_normal((n_clusters, d), dtype=np.float32)
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    rng = np.random.default_rng([1, noise_seed + 2])
    X = centers[rng.integers(n_clusters, size=n)]
    X += rng.standard_normal((n, d), dtype=np.float32) * (0.5 / np.sqrt(d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X


def milliseconds(search, calls, repeats):
    """Processor time for each query, least of the repeats."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        for queries in calls:
            search(queries)
        best = min(best, time.process_time() - start)
    return 1e3 * best / sum(map(len, calls))


def exact_searches(X):
    """Five nearest by ours, by scikit-learn's brute force and by faiss's flat index."""
    flat = faiss.IndexFlatL2(X.shape[1])
    flat.add(X)
    return (
        FaissNearestNeighbors().fit(X).kneighbors,
        NearestNeighbors(algorithm="brute").fit(X).kneighbors,
        lambda queries: flat.search(queries, 5),
    )


def gaussian(n, d):
    """Rows without any structure, the hardest there are."""
    return np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)


def images(folder, n):
    """Handwritten digits, 784 pixels each."""
    with np.load(Path(folder) / "mnist_t10k.npz") as file:
        X = file["X"].reshape(len(file["X"]), -1).astype(np.float32)
    return X[np.random.default_rng(0).permutation(len(X))[:n]]


def exact(n_rows, n_queries, folder, repeats):
    """Print the table of exact searches."""
    print(
        "| rows | queries a call | metriclearn ms | scikit-learn ms | faiss ms | to scikit-learn |"
    )
    print("|---|---|---|---|---|---|")
    for d in (64, 784) if folder is None else (784,):
        n = n_rows + n_queries
        X = gaussian(n, d) if folder is None else images(folder, n)
        X, Q = X[:n_rows], X[n_rows:]
        searches = exact_searches(X)
        for n in (1, 100, n_queries):
            # A call of one query is short: many of them make one measurement.
            calls = [Q[i : i + n] for i in range(0, max(n, 30), n)]
            ms = [milliseconds(search, calls, repeats) for search in searches]
            row = " | ".join(f"{value:.3f}" for value in ms)
            print(f"| {n_rows} x {d} | {n} | {row} | {ms[1] / ms[0]:.1f}x |", flush=True)
        del searches
        gc.collect()


def hnsw(n_rows, repeats):
    """Print HNSW beside faiss's flat index, both faiss's own kernels."""
    d, n_queries = 64, 4000  # below 2,000, faiss flat is slower by itself
    X = clustered(n_rows + n_queries, d, 1000)
    X, Q = X[:-n_queries], X[-n_queries:]
    flat = faiss.IndexFlatL2(d)
    flat.add(X)
    exact = FaissNearestNeighbors(10).fit(X)
    expected = exact.kneighbors(Q, return_distance=False)
    base = milliseconds(lambda queries: flat.search(queries, 10), [Q], repeats)
    exact_ms = milliseconds(exact.kneighbors, [Q], repeats)
    print("| index | recall@10 | ms a query | to faiss flat |")
    print("|---|---|---|---|")
    print(f"| faiss IndexFlatL2 | 1.000 | {base:.3f} | 1.0x |")
    print(f"| metriclearn flat | 1.000 | {exact_ms:.3f} | {base / exact_ms:.1f}x |", flush=True)
    for index, effort in (("hnsw", "efSearch=16"), ("hnsw", None), ("ivf", None)):
        model = FaissNearestNeighbors(10, index=index, search_params=effort).fit(X)
        found = model.kneighbors(Q, return_distance=False)
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, expected, strict=True)])
        ms = milliseconds(model.kneighbors, [Q], repeats)
        name = f"metriclearn {index} {effort or ''}"
        print(f"| {name} | {recall:.3f} | {ms:.3f} | {base / ms:.1f}x |", flush=True)


def low(n_rows, repeats):
    """Print searches of few features beside scikit-learn's kd-tree, fit included; then one row."""
    print("| rows | kind | metriclearn s | scikit-learn kd-tree s | to scikit-learn |")
    print("|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for d in (2, 3, 6):
        for kind in ("Gaussian", "grid"):
            X, Q = rng.standard_normal((n_rows, d)), rng.standard_normal((n_rows // 10, d))
            if kind == "grid":
                X, Q = np.round(X * 20) / 20, np.round(Q * 20) / 20
            times = []
            for make in (FaissNearestNeighbors, partial(NearestNeighbors, algorithm="kd_tree")):
                start = time.process_time()
                make(n_neighbors=5).fit(X).kneighbors(Q)
                times.append(time.process_time() - start)
            row = f"{times[0]:.2f} | {times[1]:.2f} | {times[1] / times[0]:.1f}x"
            print(f"| {n_rows} x {d} | {kind} | {row} |", flush=True)
    print("\n| rows | microseconds for one row: estimator | index |\n|---|---|---|")
    for n, d in ((1000, 2), (n_rows, 2), (n_rows, 3), (1000, 8), (10_000, 64)):
        X = rng.standard_normal((n, d), dtype=np.float32)
        calls = [X[:1]] * 300
        index = RetrievalIndex()
        index.add(X)
        searches = FaissNearestNeighbors(5).fit(X).kneighbors, partial(index.search, k=5)
        us = [1e3 * milliseconds(search, calls, repeats) for search in searches]
        print(f"| {n} x {d} | {us[0]:.0f} | {us[1]:.0f} |", flush=True)


def grow(n_rows):
    """Print what one row more, or less, costs an index that is searched."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, 16), dtype=np.float32)
    print("| rows | ids | add one, ms | search after | remove one | search after |")
    print("|---|---|---|---|---|---|")
    texts = [f"id-{number:08d}" for number in rng.permutation(n_rows + 10)]
    for kind, ids in (("numbers", list(range(n_rows + 10))), ("text", texts)):
        index = RetrievalIndex(index="flat")
        index.add(X, ids=ids[:n_rows])
        index.search(X[:1], 1)
        steps = []
        for k in range(5):
            spent = [time.process_time()]
            search = partial(index.search, X[:1], 1)
            more = partial(index.add, X[:1] + 1, ids=ids[n_rows + k : n_rows + k + 1])
            for call in (more, search, partial(index.remove, ids[k : k + 1]), search):
                call()
                spent.append(time.process_time())
            steps.append(1e3 * np.diff(spent))
        row = " | ".join(f"{value:.2f}" for value in np.median(steps, axis=0))
        print(f"| {n_rows} x 16 | {kind} | {row} |", flush=True)


def million(n_rows):
    """Print what a compressed index of a million rows costs and finds."""
    d, chunk, n_queries = 128, 50_000, 10_000
    n_clusters = n_rows // 200
    with tempfile.TemporaryDirectory() as folder:
        index = RetrievalIndex(index="ivfpq", path=folder)
        start = time.perf_counter()
        for first in range(0, n_rows, chunk):
            # The same centers, other rows, at each seed: nothing is kept but the chunk.
            rows = min(chunk, n_rows - first)
            index.add(clustered(rows, d, n_clusters, noise_seed=first))
        added = time.perf_counter()
        index.search(clustered(1, d, n_clusters, noise_seed=-1))
        built = time.perf_counter()
        reached = index.tune(0.95, k=10, n_queries=200)
        tuned = time.perf_counter()
        Q = clustered(n_queries, d, n_clusters, noise_seed=-2)
        index.search(Q[:100])
        before, before_cpu = time.perf_counter(), time.process_time()
        index.search(Q)
        took, took_cpu = time.perf_counter() - before, time.process_time() - before_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    columns = {
        "rows": f"{n_rows} x {d}",
        "add s": f"{added - start:.0f}",
        "build s": f"{built - added:.0f}",
        "tune s": f"{tuned - built:.0f}",
        "effort": index.search_params_,
        "recall@10": f"{reached:.3f}",
        "queries a second": f"{n_queries / took:.0f}",
        "a processor second": f"{n_queries / took_cpu:.0f}",
        "GiB": f"{peak:.2f}",
    }
    for row in (columns.keys(), ["---"] * len(columns), columns.values()):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--data", help="folder with mnist_t10k.npz, searched instead of noise")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--hnsw", action="store_true", help="HNSW and IVF on clustered rows")
    parser.add_argument("--low", action="store_true", help="few features, beside a kd-tree")
    parser.add_argument("--grow", action="store_true", help="one row more or less")
    parser.add_argument("--million", action="store_true", help="IVF-PQ, vectors in a file")
    options = parser.parse_args()
    if options.million:
        million(options.rows or 1_000_000)
    elif options.low:
        low(options.rows or 1_000_000, options.repeats)
    elif options.grow:
        grow(options.rows or 1_000_000)
    elif options.hnsw:
        hnsw(options.rows or 60_000, options.repeats)
    else:
        n_queries = 10_000 if options.data is None else 1_000
        exact(options.rows or 60_000, n_queries, options.data, options.repeats)
    print(f"\nLargest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
