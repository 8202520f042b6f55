"""What every kind of file of ours says of itself: its name, its version, its checksum.

CONTRIBUTING.md says what to do when one of them changes.
"""

import hashlib
import json

# Of the line that :func:`seal` makes.
_LONGEST_HEAD = 1000


class Format:
    """A kind of file, by name, with a reader for each version that was ever written.

    Parameters
    ----------
    name : str
        As it stands in the file.
    readers : dict of int to callable
        For each version, what brings its content to that of the present one. The present
        version is the largest.

    Examples
    --------
    >>> shoes = Format("shoes", {1: lambda size: {"size": size}, 2: dict})
    >>> shoes.version
    2
    >>> shoes.reader({"format": "shoes", "version": 1}, "a.json")(43)
    {'size': 43}
    >>> shoes.reader({"format": "shoes", "version": 3}, "a.json")
    Traceback (most recent call last):
    ValueError: a.json has version 3 of the format 'shoes'; this metriclearn reads up to 2: \
upgrade it
    """

    def __init__(self, name, readers):
        self.name = name
        self.readers = readers
        self.version = max(readers)

    @property
    def head(self):
        """The entries by which a file says what it is."""
        return {"format": self.name, "version": self.version}

    def reader(self, head, path):
        """Return the reader for what a file says it is.

        Parameters
        ----------
        head : object
            What was read where ``format`` and ``version`` should stand.
        path : str or path-like
            Named in the error.
        """
        if not isinstance(head, dict) or head.get("format") != self.name:
            raise ValueError(f"{path} is not a {self.name}")
        version = head.get("version")
        if type(version) is not int or version < 1:
            raise ValueError(f"{path} is damaged: its version of the format is {version!r:.40}")
        if version not in self.readers:
            raise ValueError(
                f"{path} has version {version} of the format {self.name!r}; this metriclearn reads "
                f"up to {self.version}: upgrade it"
            )
        return self.readers[version]


def seal(kind, payload):
    """Return what stands before a payload in a file: what it is, with the payload's checksum.

    Parameters
    ----------
    kind : Format
    payload : bytes-like

    Returns
    -------
    bytes
        One line of JSON.
    """
    return json.dumps({**kind.head, "sha256": digest(payload)}).encode() + b"\n"


def unseal(kind, content, path):
    """Return the payload of a file that :func:`seal` begins.

    Parameters
    ----------
    kind : Format
    content : bytes
        The whole file.
    path : str or path-like
        Named in the error.

    Returns
    -------
    object
        What the reader of the file's version makes of the payload, a memoryview.
    """
    line, _, _ = content[:_LONGEST_HEAD].partition(b"\n")
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        head = None
    read = kind.reader(head, path)
    payload = memoryview(content)[len(line) + 1 :]
    if head.get("sha256") != digest(payload):
        raise ValueError(f"{path} is damaged or cut short: its checksum is another")
    return read(payload)


def parse_json(text, path):
    """Parse JSON of a file.

    Parameters
    ----------
    text : str or bytes
    path : str or path-like
        Named in the error.

    Returns
    -------
    object
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} is not valid JSON ({reason}); it may be damaged") from None


def checksum(value):
    """Compute the SHA-256 checksum of a value of JSON, whatever the order of its keys.

    Examples
    --------
    >>> checksum({"a": 1, "b": 2}) == checksum({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest(*parts):
    """Compute the SHA-256 checksum of bytes-like parts, one after the other."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()
