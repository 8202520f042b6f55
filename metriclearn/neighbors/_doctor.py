"""What slows search on this machine, and the remedy."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from metriclearn._extras import require
from metriclearn._text import console_width
from metriclearn.neighbors._faiss import load_faiss

# Kernels that OpenBLAS falls back to where it does not know the processor.
_OLD_KERNELS = {
    "katmai",
    "prescott",
    "core2",
    "penryn",
    "dunnington",
    "nehalem",
    "atom",
    "nano",
    "athlon",
    "opteron",
    "opteron_sse3",
    "barcelona",
    "bobcat",
    "generic",
    "armv8",
}
_SLOW_GFLOPS = 20
_NARROWEST = 120


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Parameters
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether it is as fast as it can be.
    message : str
        What was found.
    remedy : str
        What to do about it; empty where nothing needs doing.

    See Also
    --------
    diagnose : Returns a list of them.

    Examples
    --------
    >>> from metriclearn.neighbors import Finding
    >>> Finding("threads", ok=False, message="1 of 8", remedy="unset OMP_NUM_THREADS").ok
    False
    """

    name: str
    ok: bool
    message: str
    remedy: str = ""


def diagnose() -> list[Finding]:
    """Look for what slows nearest-neighbor search on this machine.

    Returns
    -------
    list of Finding
        What is as fast as it can be, too.

    See Also
    --------
    Finding : One line of what it finds.
    RetrievalIndex : Searches as fast as the machine is found to be able to.

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
    # One thread, and the best of several: what the kernels do, whatever else is running.
    with threadpool_limits(1, "blas"):
        gflops = max(_gflops())
    kernels = next((pool.get("architecture") for pool in _blas("numpy")), None)
    found = f"numpy multiplies float32 matrices at {gflops:.0f} GFLOP/s a thread"
    found += f", with {kernels} kernels" if kernels else ""
    old = (kernels or "").lower() in _OLD_KERNELS
    if gflops >= _SLOW_GFLOPS and not old:
        return Finding("matrix products", True, found)
    if old and "OPENBLAS_CORETYPE" in os.environ:
        return Finding("matrix products", False, found, "unset OPENBLAS_CORETYPE")
    return Finding(
        "matrix products",
        False,
        found,
        "stop other work; if that is not it, reinstall numpy from its own wheel "
        "(pip install --force-reinstall numpy), which brings a fast OpenBLAS",
    )


def _gflops():
    """Measure the speeds of some matrix products."""
    side = 512
    A = np.random.RandomState(0).standard_normal((side, side)).astype(np.float32)
    A @ A
    times = []
    for _ in range(9):
        start = time.perf_counter()
        A @ A
        times.append(time.perf_counter() - start)
    return 2 * side**3 / 1e9 / np.array(times)


def _threads():
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    used = max((pool["num_threads"] for pool in _blas("numpy")), default=available)
    found = f"numpy's matrix products use {used} of {available} processors"
    if used < available:
        limits = [n for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if n in os.environ]
        remedy = f"unset {' and '.join(limits)}" if limits else "raise it with threadpoolctl"
        return Finding("threads", False, found, remedy)
    if used > 1:
        with threadpool_limits(1, "blas"):
            alone = np.median(_gflops())
        together = np.median(_gflops())
        if together < alone:
            return Finding(
                "threads",
                False,
                f"{found}, which together do {together:.0f} GFLOP/s where one does {alone:.0f}: "
                f"other work takes the processors, and threads wait for each other",
                "stop the other work, or set the environment variable OMP_NUM_THREADS=1",
            )
    return Finding("threads", True, found)


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


def show(findings):
    """Print what was looked at as a table on standard output.

    Parameters
    ----------
    findings : list of Finding
        From :func:`diagnose`.
    """
    console_module = require("rich.console", "cli")
    table_module = require("rich.table", "cli")
    box, text = require("rich.box", "cli"), require("rich.text", "cli").Text
    table = table_module.Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for title in ("", "Looked at"):
        table.add_column(title, no_wrap=True)
    table.add_column("Found, and the remedy")
    for finding in findings:
        mark = text("ok", "green") if finding.ok else text("slow", "bold red")
        found = text(finding.message)
        if finding.remedy:
            found.append(f"\nRemedy: {finding.remedy}", "bold")
        table.add_row(mark, finding.name, found)
    console = console_module.Console(width=console_width(_NARROWEST), highlight=False)
    console.print(table)
    slow = sum(not finding.ok for finding in findings)
    console.print(
        text(
            f"{slow} of {len(findings)} slow search down; the remedies are named"
            if slow
            else "Nothing slows search down",
            "bold",
        )
    )
