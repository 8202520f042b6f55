"""A file to text: unpacked and decoded, whatever its name says."""

import codecs
import io
import lzma
import re
import zipfile
import zlib

from metriclearn._packed import BROKEN, check_members, decompress

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


def read_text(path):
    """Read a text file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    text : str
    notes : tuple of str
        How it was packed and encoded, where that is not plain UTF-8.

    Raises
    ------
    ValueError
        If the file is empty, damaged, or no text.
    """
    data = path.read_bytes()
    data, packed = unpack(data)
    if not data.strip():
        raise ValueError("the file is empty")
    text, encoding = decode(data)
    other = _OTHER_FORMATS.match(text)
    if other:
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
    return ("HTML or XML", "JSON", "a document")[match.lastindex - 1]


def unpack(data):
    """Return bytes unpacked, and the name of the packing or None."""
    if data.startswith(b"PK\x03\x04"):
        return _unzip(data), "zip"
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
            if len(names) != 1:
                raise ValueError(
                    f"the zip file holds {len(names)} files; unpack it and give the name of the "
                    f"table"
                )
            try:
                check_members(archive, len(data))
            except ValueError as error:
                raise ValueError(f"the zip file {error}") from None
            return archive.read(names[0])
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
            raise ValueError("the file is no text: it holds zero bytes")
        return _decoded(data, encoding), encoding
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        encoding = _old_encoding(data)
    return data.decode(encoding, errors="replace"), encoding


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


def _old_encoding(data):
    """Guess among the encodings that came before UTF-8; any of them keeps labels apart."""
    special = bytes(byte for byte in set(data) if byte >= 0x80)
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
