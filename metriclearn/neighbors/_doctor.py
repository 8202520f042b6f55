"""What slows search on this machine, and the remedy."""

import os
import time
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from threadpoolctl import threadpool_info

from metriclearn.neighbors._faiss import load_faiss

# Kernels that OpenBLAS falls back to where it does not know the processor.
_OLD_KERNELS = {"prescott", "core2", "penryn", "dunnington", "nehalem", "generic", "armv8"}
_SLOW_GFLOPS = 20


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether it is as fast as it can be.
    message : str
        What was found.
    remedy : str
        What to do about it; empty where nothing needs doing.
    """

    name: str
    ok: bool
    message: str
    remedy: str = ""


def diagnose():
    """Look for what slows nearest-neighbour search on this machine.

    Returns
    -------
    list of Finding

    Examples
    --------
    >>> from metriclearn.neighbors import diagnose
    >>> [finding.name for finding in diagnose()][:2]
    ['matrix products', 'threads']
    """
    findings = [_matrix_products(), _threads()]
    if find_spec("faiss") is None:
        findings.append(
            Finding(
                "faiss",
                True,
                "not installed: exact search does not need it, index='hnsw', 'ivf' and 'ivfpq' do",
                "pip install 'metriclearn[faiss]'",
            )
        )
        return findings
    return [*findings, _faiss_kernels(), _faiss_threshold()]


def _blas(where):
    return [
        pool
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and (os.sep + where in pool["filepath"])
    ]


def _matrix_products():
    side = 512
    A = np.random.RandomState(0).standard_normal((side, side)).astype(np.float32)
    A @ A
    repeats, start = 5, time.perf_counter()
    for _ in range(repeats):
        A @ A
    gflops = 2 * side**3 * repeats / (time.perf_counter() - start) / 1e9
    found = f"numpy multiplies float32 matrices at {gflops:.0f} GFLOP/s"
    if gflops >= _SLOW_GFLOPS:
        return Finding("matrix products", True, found)
    return Finding(
        "matrix products",
        False,
        found,
        "let no other work take the processor; reinstall numpy from its own wheel "
        "(pip install --force-reinstall numpy), which brings a fast OpenBLAS",
    )


def _threads():
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    used = max((pool["num_threads"] for pool in _blas("numpy")), default=available)
    found = f"numpy's matrix products use {used} of {available} processors"
    if used >= available:
        return Finding("threads", True, found)
    limits = [name for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name in os.environ]
    remedy = f"unset {' and '.join(limits)}" if limits else "raise it with threadpoolctl"
    return Finding("threads", False, found, remedy)


def _faiss_kernels():
    load_faiss()
    pools = _blas("faiss")
    if not pools:
        return Finding("faiss kernels", True, "faiss brings no BLAS of its own")
    kernels = pools[0].get("architecture") or "unknown"
    found = f"faiss's {pools[0]['internal_api']} {pools[0]['version']} uses {kernels} kernels"
    if kernels.lower() not in _OLD_KERNELS:
        return Finding("faiss kernels", True, found)
    if "OPENBLAS_CORETYPE" in os.environ:
        return Finding("faiss kernels", False, found, "unset OPENBLAS_CORETYPE")
    better = next((pool.get("architecture") for pool in _blas("numpy")), None)
    if better is None or better.lower() in _OLD_KERNELS:
        better = "SkylakeX (processors with AVX-512) or Haswell (AVX2)"
    return Finding(
        "faiss kernels",
        False,
        f"{found}, several times slower than this processor allows",
        f"set the environment variable OPENBLAS_CORETYPE before Python starts: {better}; exact "
        f"search (index='flat') does not use them",
    )


def _faiss_threshold():
    threshold = load_faiss().cvar.distance_compute_blas_threshold
    found = (
        f"faiss scans row by row below {threshold} = queries x features; metriclearn lowers that "
        f"around its own calls"
    )
    return Finding("faiss threshold", True, found)
