"""What the bytes of a file tell that its decoder does not, above all damage.

Files that were not written to their end, or lie on a disk that lost a part of them, have zeros
where pixels should be. JPEG and lossy WebP have no checksum, and their decoders make pixels of
anything. But some codes never give many zeros.
"""

import zlib

# Zeros in a row that are damage in a JPEG whose codes give few: a sector that was never written.
_SECTOR = 512
# The arithmetic coder of lossy WebP spends a byte on 360 pixels of one color, or more.
_PIXELS_A_BYTE = 128
_START, _END, _TABLES, _SCAN = 0xD8, 0xD9, 0xC4, 0xDA
_SEQUENTIAL, _FRAMES = (0xC0, 0xC1), set(range(0xC0, 0xD0)) - {_TABLES, 0xC8, 0xCC}


def check_content(image):
    """Check what is told of damage by the bytes of a file, beside what its decoder tells.

    Parameters
    ----------
    image : PIL.Image.Image
        Just opened, from a file or from bytes.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    check = _CHECKS.get(image.format)
    if check is None or getattr(image, "fp", None) is None:
        return
    found = check(_content(image), image)
    if found:
        raise ValueError(found)


def may_hold_late_exif(image):
    """Whether an opened PNG has text or EXIF behind its pixels, which has to be looked for there.

    Parameters
    ----------
    image : PIL.Image.Image

    Returns
    -------
    bool
    """
    if image.format != "PNG" or "exif" in image.info:
        return False
    names = [name for name, _, _ in _chunks(_content(image), 8, "big", after=4)]
    behind = names[names.index(b"IDAT") :] if b"IDAT" in names else []
    return not {b"eXIf", b"zTXt", b"tEXt", b"iTXt"}.isdisjoint(behind)


def _content(image):
    place = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read()
    image.fp.seek(place)
    return content


def _gap_in_jpeg(content, image):
    """Find zeros in the first scan of a JPEG that its Huffman codes cannot have written.

    Zero bits repeat the shortest code of each table. Where one of these does not stand for
    "nothing changes here", they are no pixels; where all do, they are an area of one color.
    """
    scan = _start_of_scan(content)
    gap = -1 if scan is None else content.find(bytes(_SECTOR), scan)
    if gap >= 0 and content.find(bytes((0xFF, _END)), scan, gap) < 0:
        return _what_is_missing(gap)
    return None


def _start_of_scan(content):
    """Return where the scan of a sequential JPEG begins that may not hold many zeros, or None."""
    place, is_telling = 2, False
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # filled up
            place += 1
            continue
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if marker in _FRAMES and marker not in _SEQUENTIAL:
            return None
        if marker == _TABLES:
            is_telling |= _has_telling_code(content[place + 4 : place + 2 + length])
        place += 2 + length
        if marker == _SCAN:
            return place if is_telling else None
    return None


def _has_telling_code(tables):
    """Whether the shortest code of some Huffman table stands for another value than zero."""
    while len(tables) > 17:
        n_codes = sum(tables[1:17])
        if tables[17]:
            return True
        tables = tables[17 + n_codes :]
    return False


def _gap_in_webp(content, image):
    """Find zeros in a lossy WebP that are more than pixels of one color take."""
    enough = _SECTOR + image.width * image.height // _PIXELS_A_BYTE
    for name, start, end in _chunks(content, 12, "little", after=0):
        if name == b"VP8 ":
            gap = content.find(bytes(enough), start, end)
            return _what_is_missing(gap) if gap >= 0 else None
    return None


def _damage_in_png(content, image):
    """Find pixels of a PNG that their checksum does not fit, or that its end is missing."""
    for name, start, end in _chunks(content, 8, "big", after=4):
        if name == b"IDAT":
            stored = int.from_bytes(content[end : end + 4], "big")
            if zlib.crc32(memoryview(content)[start - 4 : end]) != stored:
                return f"damaged between bytes {start:,} and {end:,}: a checksum does not fit"
        elif name == b"IEND":
            return None
    return "it ends early: its last chunk is missing"


def _chunks(content, place, order, after):
    """Yield name, start and end of the chunks of a PNG or RIFF file."""
    while place + 8 <= len(content):
        head = content[place : place + 4], content[place + 4 : place + 8]
        name, length = head[::-1] if order == "big" else head
        n_bytes = int.from_bytes(length, order)
        start = place + 8
        yield name, start, start + n_bytes
        # Chunks of RIFF begin at even places, those of PNG end with a checksum.
        place = start + n_bytes + (after or n_bytes % 2)


def _what_is_missing(gap):
    return f"zeros from byte {gap:,} on where pixels should be; it was not written whole"


_CHECKS = {
    "JPEG": _gap_in_jpeg,
    "MPO": _gap_in_jpeg,
    "WEBP": _gap_in_webp,
    "PNG": _damage_in_png,
}
