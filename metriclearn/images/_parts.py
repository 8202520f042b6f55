"""What parts of the data are called: by folders, and in lists and columns."""

import re

from metriclearn._text import truth_of

#: Part of the data to how people call it; ``"both"`` is searched with and searched among.
PARTS = {
    "train": ("train", "training", "trn", "trainval", "fit", "learn"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout", "heldout"),
    "query": ("query", "queries", "probe"),
    "gallery": ("gallery", "reference", "index", "database"),
    "both": ("both", "queryandgallery", "galleryandquery", "querygallery"),
}
#: The same the other way round.
PART_OF = {word: part for part, words in PARTS.items() for word in words}
#: What yes and no mean in a column of such a name.
FLAGS = {
    "train": ("train", "test"),
    "test": ("test", "train"),
    "query": ("query", "gallery"),
    "gallery": ("gallery", "query"),
}
# What is put behind such a word without a gap.
_ENDS = ("set", "data", "dataset", "images", "imgs", "photos", "split")


def part_in(name):
    """Return the word for a part of the data in the name of a folder; None where there is none.

    Examples
    --------
    >>> part_in("Train_set"), part_in("val2017"), part_in("TestImages"), part_in("trainers")
    ('train', 'val', 'test', None)
    """
    for word in re.findall("[a-z]+", name.lower()):
        stems = (word, *(word.removesuffix(end) for end in _ENDS))
        found = next((stem for stem in stems if PART_OF.get(stem, "both") != "both"), None)
        if found is not None:
            return found
    return None


def word_of(value):
    """Return a value as a word: its letters and digits, small; blank where it says nothing."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return "".join(letter for letter in str(value).lower() if letter.isalnum() or letter == ".")


def flag_of(name):
    """Return the part that a column of such a name says yes or no to; None of other names.

    Examples
    --------
    >>> flag_of("Is Test"), flag_of("tested")
    ('test', None)
    """
    about = word_of(name).removeprefix("is")
    return about if about in FLAGS else None


def meaning_of_flags(name, words):
    """Return what yes and no mean, where the name of the column says it."""
    about = flag_of(name)
    said = {word: truth_of(word) for word in words - {""}}
    if about is None or None in said.values():
        return {}
    yes, no = FLAGS[about]
    return {word: yes if value else no for word, value in said.items()}
