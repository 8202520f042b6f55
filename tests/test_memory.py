"""Memory that is freed serves what is asked for next, and goes back in the end."""

import platform
import subprocess
import sys

import pytest

# In a process of its own: what others have done to its memory decides whether blocks can be kept.
SCRIPT = """
import resource
from metriclearn._memory import large_blocks_kept

LARGE = 100 * 2**20  # more than the C library keeps by itself
PAGES = LARGE // resource.getpagesize()

def filled(n_times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_times):
        b"." * LARGE
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / PAGES

with large_blocks_kept():
    kept = filled(4)
print(kept, filled(4))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do not mind")
def test_large_blocks_are_asked_for_once():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    kept, given_back = map(float, run.stdout.split())
    assert kept < 1.5
    assert given_back > 3
