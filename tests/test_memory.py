"""Memory that is freed serves what is asked for next, and goes back in the end."""

import platform
import resource

import pytest

from metriclearn._memory import large_blocks_kept

LARGE = 100 * 2**20  # more than the C library keeps by itself
PAGES = LARGE // resource.getpagesize()


def filled(n_times):
    """Return how many pages were asked of the system for bytes that are made so often."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_times):
        b"." * LARGE
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do not mind")
def test_large_blocks_are_asked_for_once():
    with large_blocks_kept():
        assert filled(4) < 1.5 * PAGES
    assert filled(4) > 3 * PAGES
