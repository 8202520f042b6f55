"""How large a file of packed columns or sheets becomes, found before it is unpacked."""

import re
import zipfile

from metriclearn._packed import BROKEN, check_cells, check_columns, check_members, check_unpacked

_ROW = re.compile(rb"<(?:\w+:)?row\b")
_ROW_NUMBER = re.compile(rb"""^[^>]*?\br\s*=\s*["'](\d{1,7})["']""")
_CELL = re.compile(rb"<(?:\w+:)?c\b([^>]*)>")
_COLUMN = re.compile(rb"""\br\s*=\s*["']([A-Z]{1,3})\d""")


def check_columns_of(path, suffix):
    """Check a file of typed columns by what it says of its length.

    Parameters
    ----------
    path : Path
    suffix : str
        Which kind it is.

    Raises
    ------
    ValueError
        If it would unpack to far more than its size.
    """
    n_packed = path.stat().st_size
    if suffix in (".parquet", ".pq"):
        from pyarrow import parquet

        check_columns(parquet.read_metadata(path), n_packed)
    elif suffix == ".orc":
        from pyarrow import orc

        file = orc.ORCFile(path)
        check_cells(file.nrows, len(file.schema), n_packed)
    elif suffix in (".feather", ".arrow"):
        _check_batches(path, n_packed)


def _check_batches(path, n_packed):
    """Check a file of record batches one by one: it does not say their length in one place."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        try:
            batches = pyarrow.ipc.open_file(source)
        except pyarrow.ArrowInvalid:  # the first version of Feather, which is not packed
            return
        n_bytes = 0
        for number in range(batches.num_record_batches):
            batch = batches.get_batch(number)
            n_bytes += max(batch.nbytes, 8 * batch.num_rows * batch.num_columns)
            check_unpacked(n_bytes, n_packed)


def check_sheets(path):
    """Check a workbook: its sheets unpacked, and with the empty cells beside filled ones.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError
        If it would take far more than its size, or is no whole zip archive.
    """
    n_packed = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(archive, n_packed)
            for member in archive.namelist():
                if member.lower().endswith(".xml"):
                    check_cells(*_extent(archive.read(member)), n_packed)
    except (*BROKEN, RuntimeError) as error:
        raise ValueError(f"it is damaged: {error}") from None


def _extent(sheet):
    """Return the numbers of rows and columns of a sheet, up to the last filled cell of each.

    Examples
    --------
    >>> _extent(b'<row r="7"><c r="B7"><v>1</v></c><c r="D7"/></row><row><c><v>1</v></c></row>')
    (8, 2)
    """
    from openpyxl.utils import column_index_from_string

    if b"\x00" in sheet[:100]:
        raise ValueError("it is not in UTF-8, as sheets are")
    n_rows = n_columns = number = 0
    for row in _ROW.split(sheet)[1:]:
        given = _ROW_NUMBER.match(row)
        number = int(given[1]) if given else number + 1
        cells = [(_COLUMN.search(cell), cell.endswith(b"/")) for cell in _CELL.findall(row)]
        filled = [place for place, empty in cells if not empty]
        if filled:
            n_rows = max(n_rows, number)
            letters = [place[1].decode() for place in filled if place]
            last = max(map(column_index_from_string, letters), default=0)
            # Cells that do not say their place stand side by side.
            unplaced = sum(place is None for place, _ in cells)
            n_columns = max(n_columns, last + unplaced)
    return n_rows, n_columns
