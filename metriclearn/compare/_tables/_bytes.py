"""A file to text: its size is bounded, then it is unpacked and decoded, whatever its name says."""

import codecs
import contextlib
import io
import lzma
import re
import zipfile
import zlib

from metriclearn._packed import (
    BROKEN,
    check_cells,
    check_columns,
    check_members,
    check_unpacked,
    decompress,
)

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
}
_MARKS = {  # longest first: the mark of utf-16 begins that of utf-32
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Letters and signs of Western European texts; detectors confuse cp1252 with its relatives.
_WESTERN = set("ÄÖÜäöüßÀÁÂÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕØÙÚÛàáâãåæçèéêëìíîïñòóôõøùúûŒœ€£°±²³µ§–—‘’“”„…·×½\xa0")
_SAMPLE = 200_000


def read_text(path, *, is_json=False):
    """Read a text file.

    Parameters
    ----------
    path : Path
    is_json : bool, default=False
        Whether it may be JSON, which is no table of cells.

    Returns
    -------
    text : str
    notes : tuple of str
        How it was packed and encoded, where that is not plain UTF-8.
    """
    data = path.read_bytes()
    data, packed = unpack(data)
    if not data.strip():
        raise ValueError("the file is empty")
    text, encoding = decode(data)
    other = _OTHER_FORMATS.match(text)
    if other and not (is_json and other.lastindex == 2):
        raise ValueError(f"the file is no table of cells but looks like {_format_name(other)}")
    notes = [f"The file is packed with {packed}."] if packed else []
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.append(
            f"The file is no UTF-8; it was read as {encoding}. Save it as UTF-8 if names look "
            f"wrong."
        )
    return text, tuple(notes)


_OTHER_FORMATS = re.compile(r"\s*(?:(<[!?\w])|(\{\s*\"|\[\s*[\[{])|(%PDF|\{\\rtf))")


def _format_name(match):
    return ("HTML or XML", "JSON; call it .json", "a document")[match.lastindex - 1]


# Of files of other kinds, packed once more: where a mark stands, and what they are.
_OTHER_MARKS = ((0, b"PAR1", "Parquet"), (0, b"ARROW1", "Feather"), (257, b"ustar", "tar"))


def _check_is_text(data):
    for place, mark, kind in _OTHER_MARKS:
        if data[place : place + len(mark)] == mark:
            raise ValueError(f"what is packed is a file of {kind}, no text; unpack it first")
    raise ValueError("the file is no text: it holds zero bytes")


def unpack(data):
    """Return bytes unpacked, and the name of the packing or None."""
    if data.startswith(b"PK\x03\x04"):
        return _unzip(data)
    for mark, kind in _PACKED.items():
        if data.startswith(mark):
            try:
                return decompress(data, kind), kind
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                raise ValueError(f"the {kind} file is damaged or cut off ({error})") from None
            except ValueError as error:
                raise ValueError(f"the {kind} file {error}") from None
    return data, None


def _unzip(data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [
                name
                for name in archive.namelist()
                if not name.endswith("/") and not name.startswith("__MACOSX")
            ]
            if len(names) != 1 and not any("xl/workbook" in name for name in names):
                tables = [n for n in names if n.lower().endswith((".csv", ".tsv", ".data"))]
                names = tables if len(tables) == 1 else names
            if len(names) != 1:
                raise ValueError(
                    f"the zip file holds {len(names)} files; unpack it and give the name of the "
                    f"table, or of the folder of photos"
                )
            try:
                check_members(archive, len(data))
            except ValueError as error:
                raise ValueError(f"the zip file {error}") from None
            n_files = len(archive.namelist())
            return archive.read(names[0]), "zip" if n_files == 1 else f"zip: {names[0]!r} was read"
    except (*BROKEN, OSError, RuntimeError) as error:
        raise ValueError(f"the zip file is damaged ({error})") from None


def decode(data):
    """Return bytes as text, and the name of the encoding.

    Examples
    --------
    >>> decode("Blütenbreite".encode("cp1252"))
    ('Blütenbreite', 'cp1252')
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return _decoded(data, encoding), encoding
    if b"\x00" in data[:_SAMPLE]:
        encoding = _wide_encoding(data[:_SAMPLE])
        if encoding is None:
            _check_is_text(data)
        return _decoded(data, encoding), encoding
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        mixed = _mixed(data)
    if mixed is not None:
        return mixed
    encoding = _old_encoding(data)
    return data.decode(encoding, errors="replace"), encoding


def _mixed(data):
    """Decode lines of UTF-8 beside lines that are none, as of files that were joined; else None.

    Text in another encoding is not UTF-8 by chance in many lines.
    """
    lines, others = [], []
    n_utf8 = 0
    for line in data.split(b"\n"):
        try:
            lines.append(line.decode("utf-8"))
            n_utf8 += not line.isascii()
        except UnicodeDecodeError:
            others.append(len(lines))
            lines.append(line)
    if n_utf8 < max(2, 0.2 * len(others)):
        return None
    encoding = _old_encoding(b"\n".join(lines[i] for i in others))
    for i in others:
        lines[i] = lines[i].decode(encoding, errors="replace")
    return "\n".join(lines), f"UTF-8, and in {len(others):,} lines as {encoding}"


def _decoded(data, encoding):
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"the file begins as {encoding} and is none: {error.reason}") from None


def _wide_encoding(sample):
    """UTF-16 without a mark: every other byte of plain text is zero."""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    most = max(even, odd)
    if most < 0.3 * len(sample) / 2 or min(even, odd) > 0.05 * most:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


# ğ, ı, ş and their capitals in cp1254, and what else Turkish writes.
_TURKISH_ALONE = set("ğışĞİŞ".encode("cp1254"))
_TURKISH = _TURKISH_ALONE | set("çöüÇÖÜâîûÂÎÛ’‘“”–…€°".encode("cp1254"))
_CYRILLIC_WORD = re.compile(rb"(?<![\x80-\xff])[\xc0-\xdf\xa8]?[\xe0-\xff\xb8]{3,}(?![\x80-\xff])")


def _is_cyrillic(sample):
    """Whether bytes are words of cp1251: small letters after a capital one, vowels among them."""
    words = re.findall(rb"[\x80-\xff]{4,}", sample)
    fit = [word for word in words if _CYRILLIC_WORD.fullmatch(word)]
    n_vowels = sum(letter in "аеёиоуыэюяіїє" for w in fit for letter in w.decode("cp1251").lower())
    n_letters = sum(map(len, fit))
    return len(fit) > 0.9 * len(words) > 0 and 0.25 * n_letters < n_vowels < 0.65 * n_letters


def _old_encoding(data):
    """Guess among the encodings that came before UTF-8; any of them keeps labels apart."""
    special = bytes(byte for byte in set(data) if byte >= 0x80)
    if set(special) & _TURKISH_ALONE and set(special) <= _TURKISH:
        return "cp1254"
    if _is_cyrillic(data[:_SAMPLE]):
        return "cp1251"
    try:
        if set(special.decode("cp1252")) <= _WESTERN:
            return "cp1252"
    except UnicodeDecodeError:
        pass
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return "latin-1"
    # Each telling cell once: most of a file is numbers, and words come again and again.
    cells = dict.fromkeys(
        cell for cell in re.split(rb"[,;|\t\r\n]", data[:_SAMPLE]) if max(cell, default=0) >= 0x80
    )
    best = from_bytes(b" ".join(cells)).best()
    return "latin-1" if best is None else best.encoding


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
    from pyarrow import dataset

    with contextlib.suppress(pyarrow.ArrowException):  # the first version of Feather: not packed
        rows = dataset.dataset(path, format="feather")  # known before a batch is unpacked
        check_cells(rows.count_rows(), len(rows.schema), n_packed)
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
