"""What happens when memory runs out."""

import torch


def empty_cache():
    """Give back what torch holds of an accelerator's memory without using it."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def out_of_memory(error):
    """Whether an error says that memory ran out, on any device."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    # The CPU's and Apple's say it in words only.
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, kinds) or any(word in str(error) for word in words)
