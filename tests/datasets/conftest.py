"""Of the tests of loaders: a server on localhost and a folder to fetch into."""

import hashlib
import http.server
import threading
from dataclasses import replace

import pytest
from helpers.archives import LOADERS, Handler, image_bytes

from metriclearn.datasets import ImagePaths
from metriclearn.datasets._fetch import RemoteFile
from metriclearn.datasets._sources import BENCHMARKS


@pytest.fixture
def shades(tmp_path):
    """Four images, 12 wide and 8 high, of shades 0, 50, 100 and 150."""
    for k in range(4):
        (tmp_path / f"{k}.jpg").write_bytes(image_bytes((50 * k,) * 3))
    return ImagePaths(tmp_path, [f"{k}.jpg" for k in range(4)])


@pytest.fixture
def server(tmp_path):
    """A file server of ``server.folder``; ``breaks``: after how many bytes to hang up, in turn."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.folder, httpd.requests, httpd.breaks = folder, [], []
        httpd.ranges, httpd.tags, httpd.status = True, True, None
        httpd.url = f"http://127.0.0.1:{httpd.server_port}/"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


@pytest.fixture
def publish(server, monkeypatch):
    """Make the small archives of a benchmark and enter them in the table of sources."""

    def publish_one(key):
        expected = LOADERS[key][1](server.folder)
        files = tuple(
            RemoteFile(
                server.url + remote.filename,
                remote.filename,
                sha256=hashlib.sha256((server.folder / remote.filename).read_bytes()).hexdigest(),
            )
            for remote in BENCHMARKS[key].files
        )
        small = replace(BENCHMARKS[key], files=files, **expected)
        monkeypatch.setitem(BENCHMARKS, key, small)
        return LOADERS[key][0], small

    return publish_one


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"
