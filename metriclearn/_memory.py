"""Memory that is freed and asked for again, over and over."""

import ctypes
from contextlib import contextmanager

import numpy as np

# The C library of Linux asks the system for every block above a bound, page by page, and gives
# it back when it is freed. The bound follows the largest block that was freed, up to 32 MiB.
_LARGEST_KEPT = 31 * 2**20
# Parameters of mallopt, and what they are by default once the bound is at its largest.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULTS = {_TRIM_THRESHOLD: 2 * 2**25, _MMAP_MAX: 65536}
_KEPT = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}


def keep_freed_memory():
    """Let blocks that are freed serve the next ones of their size.

    Networks free and ask for the same feature maps for each image: a quarter of the time of a
    forward pass went into their pages. Other systems do not mind.
    """
    np.empty(_LARGEST_KEPT, dtype=np.uint8)  # freed at once, and never written to


@contextmanager
def large_blocks_kept():
    """Let blocks of any size serve the next ones while this lasts; then give them back.

    Of a batch of photos, feature maps are larger than the bound of `keep_freed_memory` can be.
    Other systems do not mind.
    """
    keep_freed_memory()
    try:
        library = ctypes.CDLL(None)
        change, give_back = library.mallopt, library.malloc_trim
    except (OSError, TypeError, AttributeError):  # not the C library of Linux
        yield
        return
    for parameter, value in _KEPT.items():
        change(parameter, value)
    try:
        yield
    finally:
        for parameter, value in _DEFAULTS.items():
            change(parameter, value)
        give_back(0)
