"""No loader unpacks a file to far more than its size, nor believes how large a file says it is."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclearn import _packed
from metriclearn._packed import decompress, open_npz, parse_array, read_npy

# A trap in the tests is larger than this, so that they stay fast.
MUCH = 2**22
LONG = 6 * MUCH


@pytest.fixture
def much(monkeypatch):
    monkeypatch.setattr(_packed, "_MUCH", MUCH)


# The files: each a few KB that would take LONG bytes or more.


def header(shape, dtype="<f8"):
    stream = io.BytesIO()
    form = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, form)
    return stream.getvalue()


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return stream.getvalue()


def sheet(rows):
    """A workbook of one sheet, by hand: what openpyxl writes is not this short."""
    pytest.importorskip("openpyxl")
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override '
        f'PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/><Override '
        f'PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{space}" xmlns:r="{relations}"><sheets><sheet '
        f'name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/>'
        f"</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{space}"><sheetData>{rows}</sheetData>'
        f"</worksheet>",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


def frame(n_rows):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    return pandas.DataFrame({"a": np.zeros(n_rows), "b": np.zeros(n_rows)})


def parquet(n_rows=LONG // 8):
    stream = io.BytesIO()
    frame(n_rows).to_parquet(stream, compression="zstd")
    return stream.getvalue()


def vectors(n_rows=LONG // 64):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as file

    flat = pyarrow.array(np.zeros(8 * n_rows, dtype=np.float32))
    made = pyarrow.FixedSizeListArray.from_arrays(flat, 8)
    stream = io.BytesIO()
    table = pyarrow.table({"id": np.arange(n_rows), "vector": made})
    file.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def feather(n_rows=LONG // 8):
    from pyarrow import feather as file

    stream = io.BytesIO()
    file.write_feather(frame(n_rows), stream, compression="zstd", chunksize=10_000)
    return stream.getvalue()


def orc(n_rows=LONG // 8):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import orc as file

    stream = io.BytesIO()
    file.write_table(pyarrow.Table.from_pandas(frame(n_rows)), stream, compression="zstd")
    return stream.getvalue()


def safetensors(shape):
    head = {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * int(np.prod(shape))]}}
    text = json.dumps({"__metadata__": {}, **head}).encode()
    return struct.pack("<Q", len(text)) + text


ROWS = b"a,b,label\n" + b"1.0,2.0,x\n" * (LONG // 10)
WIDE = b"a,b\n" * 5_000 + b"," * 5_000 + b"\n"
FAR = '<row r="1"><c r="A1"><v>1</v></c></row><row r="{}"><c r="{}"><v>2</v></c></row>'
UNPLACED = '<row r="90000"><c><v>1</v></c>' + "<c><v>1</v></c>" * 5_000 + "</row>"
ZEROS = bytes(LONG)
TRAPS = {
    "npz of zeros": ("a.npz", lambda: zipped(X_npy=header((LONG // 8,)) + ZEROS)),
    "npz that claims rows": ("a.npz", lambda: zipped(X_npy=header((10_000, 10_000)))),
    "npz that claims more than memory": ("a.npz", lambda: zipped(X_npy=header((10**12, 10)))),
    "npz of no width": ("a.npz", lambda: zipped(X_npy=header((10**12, 10), "|V0"))),
    "npy that claims rows": ("a.npy", lambda: header((10_000, 10_000)) + bytes(100)),
    "npy that claims more than memory": ("a.npy", lambda: header((10**12, 10))),
    "npy of no width": ("a.npy", lambda: header((10**12, 10), "<U0")),
    "gzip": ("a.csv.gz", lambda: gzip.compress(ROWS)),
    "gzip in parts": ("a.csv.gz", lambda: gzip.compress(ROWS[: LONG // 4]) * 4),
    "bzip2": ("a.csv.bz2", lambda: bz2.compress(ROWS)),
    "xz": ("a.csv.xz", lambda: lzma.compress(ROWS)),
    "zip": ("a.csv.zip", lambda: zipped(a_csv=ROWS)),
    "csv of one long line": ("a.csv", lambda: WIDE),
    "xlsx of blanks": ("a.xlsx", lambda: sheet(" " * LONG)),
    "xlsx with a far cell": ("a.xlsx", lambda: sheet(FAR.format(1_048_576, "XFD1048576"))),
    "xlsx with a far row": ("a.xlsx", lambda: sheet(UNPLACED)),
    "parquet": ("a.parquet", parquet),
    "feather": ("a.feather", feather),
    "orc": ("a.orc", orc),
}


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize("trap", TRAPS)
def test_a_table_that_would_take_far_more_than_its_size_is_one_error(trap, tmp_path):
    pytest.importorskip("pandas")
    from metriclearn.compare._sources._load import load_source
    from metriclearn.compare._sources._unlabeled import read_rows

    name, build = TRAPS[trap]
    content = build()
    assert len(content) < LONG / 50
    path = tmp_path / name
    path.write_bytes(content)
    loaders = [read_rows] if name.endswith("npy") else [read_rows, load_source]
    for load in loaders:
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match=r"unpacks to|not as long as it says"):
                load(str(path))
            assert tracemalloc.get_traced_memory()[1] < LONG
        finally:
            tracemalloc.stop()


@pytest.mark.usefixtures("much")
def test_an_index_from_a_parquet_file_that_would_take_far_more_is_one_error(tmp_path, monkeypatch):
    from metriclearn.neighbors import RetrievalIndex

    file = tmp_path / "a.parquet"
    file.write_bytes(vectors())
    # The ids are not constant, so that the file is not a hundred times smaller.
    monkeypatch.setattr(_packed, "_MOST_TIMES", 2)
    with pytest.raises(ValueError, match=r"a\.parquet unpacks to"):
        RetrievalIndex.from_parquet(file)
    monkeypatch.undo()
    assert len(RetrievalIndex.from_parquet(file)) == LONG // 64


@pytest.mark.parametrize("shape", [[10_000, 10_000], [10**9, 10**9], [2**62, 4]])
def test_a_network_that_claims_more_than_its_file_holds_is_one_error(shape, tmp_path):
    pytest.importorskip("torch")
    from metriclearn.deep import DeepEmbedder

    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors(shape))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"a\.safetensors"):
            DeepEmbedder.load(path)
        assert tracemalloc.get_traced_memory()[1] < LONG
    finally:
        tracemalloc.stop()


# What is no trap


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zip"])
def test_packed_tables_of_a_usual_size_are_read(kind, tmp_path):
    pytest.importorskip("pandas")
    from metriclearn.compare._tables._read import read_file

    rng = np.random.RandomState(0)
    text = "a,b,label\n" + "".join(f"{u:.3f},{v:.3f},x\n" for u, v in rng.randn(2_000, 2))
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}.get(kind)
    content = pack(text.encode()) if pack else zipped(a_csv=text)
    path = tmp_path / f"a.csv.{kind}"
    path.write_bytes(content)
    assert len(read_file(path).frame) == 2_000


@pytest.mark.usefixtures("much")
def test_sheets_and_columns_of_a_usual_size_are_read(tmp_path):
    from metriclearn.compare._tables._read import read_file

    rows = '<row r="1"><c r="A1"><v>1</v></c><c r="C1"><v>2</v></c><c r="XFD1" s="1"/></row>'
    files = {
        "a.xlsx": sheet(rows + '<row r="3"><c><v>3</v></c><c/><c><v>4</v></c></row>'),
        "a.parquet": parquet(500),
        "a.feather": feather(500),
        "a.orc": orc(500),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        table = read_file(tmp_path / name).frame
        assert len(table) == (500 if "xlsx" not in name else len(table))
        assert table.size


@given(
    shape=st.lists(st.integers(0, 2**40), max_size=3),
    dtype=st.sampled_from(["<f8", "|u1", "<U3", "<U0", "|V0", "|b1", "<c16"]),
    n_bytes=st.integers(0, 300),
)
@settings(max_examples=150)
def test_an_array_is_as_long_as_its_header_says_or_one_error(tmp_path, shape, dtype, n_bytes):
    """By each of the three ways in which arrays are read."""
    content = header(tuple(shape), dtype) + bytes(n_bytes)
    (tmp_path / "a.npy").write_bytes(content)
    (tmp_path / "a.npz").write_bytes(zipped(X_npy=content))
    size = np.dtype(dtype).itemsize
    n_values = int(np.prod([int(n) for n in shape], dtype=object))
    fits = n_values * size == n_bytes and (size > 0 or n_values == 0)

    def member():
        with open_npz(tmp_path / "a.npz") as arrays:
            return arrays["X"]

    for read in (lambda: parse_array(content, "a"), lambda: read_npy(tmp_path / "a.npy"), member):
        try:
            found = read()
        except ValueError:
            found = None
        # Beside a dimension of 0, numpy takes no others beyond 64 bits together.
        assert fits or found is None
        assert found is not None or not fits or n_values == 0
        assert found is None or found.shape == tuple(shape)


@given(data=st.binary(max_size=200), times=st.integers(1, 50))
@settings(max_examples=60)
def test_decompressing_gives_the_bytes_back(data, times):
    data = data * times
    for kind, pack in {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}.items():
        assert decompress(pack(data), kind) == data


def mat(n_bytes, order="<"):
    """A MATLAB file of version 5 with one packed element."""
    packed = zlib.compress(bytes(n_bytes))
    head = b" " * 124 + struct.pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    return head + struct.pack(f"{order}II", 15, len(packed)) + packed


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize("order", "<>")
def test_a_matlab_file_that_would_take_far_more_than_its_size_is_one_error(order, tmp_path):
    from metriclearn.datasets._fine_grained import _read_mat

    path = tmp_path / "a.mat"
    path.write_bytes(mat(LONG, order))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"a\.mat is no whole MATLAB file: unpacks to"):
            _read_mat(path)
        assert tracemalloc.get_traced_memory()[1] < LONG
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_matlab_file_is_one_error_that_names_it(seed, tmp_path):
    """Where it is packed, as MATLAB does it: its checksums are compared before it is parsed."""
    from scipy.io import savemat

    from metriclearn.datasets._fine_grained import _read_mat

    path, rng = tmp_path / "a.mat", np.random.default_rng(seed)
    savemat(path, {"a": np.arange(9.0)}, do_compression=True)
    assert _read_mat(path)["a"].tolist() == list(range(9))
    content = bytearray(path.read_bytes())
    if seed % 2:
        content[rng.integers(138, len(content))] ^= 1 << int(rng.integers(8))
    else:
        content = content[: rng.integers(138, len(content))]
    path.write_bytes(content)
    try:
        found = _read_mat(path)["a"].tolist()
    except ValueError as error:
        found = str(error)
    # A bit behind the end of the packed content is nobody's.
    assert found == list(range(9)) or found.startswith("a.mat is no whole MATLAB file")


@pytest.mark.usefixtures("much")
def test_feather_is_measured_before_a_batch_is_unpacked(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    ipc = pytest.importorskip("pyarrow.ipc")
    from metriclearn.compare._tables._read import read_file

    path = tmp_path / "a.feather"
    path.write_bytes(feather())
    monkeypatch.setattr(ipc, "open_file", lambda source: pytest.fail("unpacked before measured"))
    with pytest.raises(ValueError, match="unpacks to"):
        read_file(path)
