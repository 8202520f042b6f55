"""Picture files, whole and broken."""

import io

from helpers.optional import Image


def saved(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def broken(path, kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Image.new("RGB", (50, 50)).save(stream, "JPEG")
    contents = {
        "empty": b"",
        "cut": stream.getvalue()[:300],
        "text": b"not a picture",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "gif header": b"GIF89a",
    }
    path.write_bytes(contents[kind])
    return path
