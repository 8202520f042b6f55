"""Tables as they come: files to typed columns, typed columns to numbers.

The steps, each a pure function of what is before it:

``_bytes.read_text``
    A file to text: unpacked, decoded.
``_layout.read_grid``
    Text to a grid of cells: the separator is found out.
``_grid.read_frame``
    A grid to a frame of strings with named columns: titles, headers, units and footers.
``_around``
    Lines between and below the rows that are none of them.
``_columns.read_columns``
    A frame, of strings or of a user, to typed columns: numbers, times, categories, text.
``_labels.read_labels``
    The target column to class labels.
``_cleaning.make_cleaner``
    The unfitted transformer from typed columns to an array of numbers. Whatever is learned from
    the data is learned there, so it is fitted on training rows alone.

Each step returns what it found out as sentences (``notes``), a ``ColumnNote`` for each column,
or a ``Finding``.
"""
