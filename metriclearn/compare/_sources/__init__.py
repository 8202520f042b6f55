"""Where the rows come from: a built-in set, a table, an array file, a folder of images.

A new kind of source is a reader in a file of its own, which ends in ``as_source``, and a
line of ``load_source``.
"""
