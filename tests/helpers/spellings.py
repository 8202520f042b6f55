"""One table in the many ways in which people write it down."""

import bz2
import gzip
import json
import lzma
import re
import zipfile

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris


def iris_frame():
    """The iris table with its species as ``target``."""
    frame = load_iris(as_frame=True).frame.rename(columns=lambda c: c.split(" (")[0])
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    frame["target"] = np.array(["setosa", "versicolor", "virginica"])[frame["target"]]
    return frame


def _csv(frame, **options):
    return frame.to_csv(index=False, lineterminator="\n", **options)


def _text(make, encoding="utf-8"):
    def write(frame, path):
        path.write_bytes(make(frame).encode(encoding))

    return write


def _packed(pack):
    def write(frame, path):
        path.write_bytes(pack(_csv(frame).encode()))

    return write


def _zipped(frame, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.csv", _csv(frame))


def _lines(change):
    return _text(lambda frame: "\n".join(change(i, x) for i, x in enumerate(_body(frame))) + "\n")


def _body(frame):
    return _csv(frame).splitlines()


def _r_table(frame):
    """As R's write.table: row names have no name, text is quoted."""
    lines = [" ".join(f'"{name}"' for name in frame.columns)]
    for i, row in enumerate(frame.itertuples(index=False), 1):
        lines.append(" ".join([f'"{i}"', *map(str, row[:-1]), f'"{row[-1]}"']))
    return "\n".join(lines) + "\n"


def _markdown(frame):
    rows = [f"| {' | '.join(row)} |" for row in (line.split(",") for line in _body(frame))]
    return "\n".join([rows[0], "|---" * frame.shape[1] + "|", *rows[1:]]) + "\n"


def _arff(frame):
    names = [f"@attribute {name} real" for name in frame.columns[:-1]]
    classes = ",".join(frame["target"].unique())
    head = ["@relation iris", *names, f"@attribute target {{{classes}}}", "@data"]
    return "\n".join([*head, *_body(frame)[1:]])


def _sparse_arff(frame):
    rows = [line.split(",") for line in _body(frame)[1:]]
    lines = ["{" + ", ".join(f"{j} {cell}" for j, cell in enumerate(row)) + "}" for row in rows]
    classes = ",".join(["'the first'", *frame["target"].unique()])
    names = [f"@ATTRIBUTE '{name}' NUMERIC" for name in frame.columns[:-1]]
    head = ["% by me", "@RELATION 'the iris'", *names, f"@ATTRIBUTE target {{{classes}}}"]
    return "\n".join([*head, "", "@DATA", *lines])


def _json(**options):
    return _text(lambda frame: frame.to_json(**options))


def _with_sums_of_groups(frame):
    lines = _body(frame)[:1]
    for kind, rows in frame.groupby("target", sort=False):
        lines += [*_body(rows)[1:], f"{rows.iloc[:, 0].sum():.1f},,,,{kind} Total"]
    return "\n".join([*lines, "876.5,,,,Grand Total"])


def _drawn(frame):
    rule = "+---" * frame.shape[1] + "+"
    first, *rows = (f"| {' | '.join(line.split(','))} |" for line in _body(frame))
    return "\n".join([rule, first, rule, *rows, rule, "150 rows in set (0.00 sec)"])


def _excel_merged(frame, path):
    with pd.ExcelWriter(path) as writer:
        frame.to_excel(writer, index=False)
        sheet = next(iter(writer.sheets.values()))
        for start in (2, 52, 102):
            sheet.merge_cells(f"E{start}:E{start + 49}")


def _excel_beside(frame, path):
    with pd.ExcelWriter(path) as writer:
        pd.DataFrame([["x"] * 9] * 200).to_excel(writer, sheet_name="Notes", index=False)
        frame.to_excel(writer, sheet_name="Data", index=False)
        pd.DataFrame().to_excel(writer, sheet_name="Empty")


def _excel(frame, path):
    frame.to_excel(path, index=False)


def _excel_with_title(frame, path):
    with pd.ExcelWriter(path) as writer:
        pd.DataFrame({"remarks": ["nothing here"]}).to_excel(writer, sheet_name="About")
        frame.to_excel(writer, sheet_name="Data", index=False, startrow=3, startcol=1)
        writer.sheets["Data"].cell(row=1, column=1).value = "Measured in 2020"


def _parquet(frame, path):
    frame.to_parquet(path)


def _nullable(frame, path):
    frame.convert_dtypes().to_parquet(path)


def _arrow(frame, path):
    frame.to_feather(path)


def _categories(frame, path):
    frame.astype({"target": "category"}).to_parquet(path)


def _stata(frame, path):
    frame.to_stata(path, write_index=False)


def _named_index(frame, path):
    frame.set_index("target").to_parquet(path)


# Name to (suffix, function that writes the frame to a path).
SPELLINGS = {
    "plain": (".csv", _text(_csv)),
    "capital suffix": (".CSV", _text(_csv)),
    "semicolons": (".csv", _text(lambda f: _csv(f, sep=";"))),
    "semicolons, decimal commas": (".csv", _text(lambda f: _csv(f, sep=";", decimal=","))),
    "tabs": (".tsv", _text(lambda f: _csv(f, sep="\t"))),
    "tabs, decimal commas": (".txt", _text(lambda f: _csv(f, sep="\t", decimal=","))),
    "tabs in a .csv": (".csv", _text(lambda f: _csv(f, sep="\t"))),
    "bars": (".psv", _text(lambda f: _csv(f, sep="|"))),
    "blanks": (".dat", _text(lambda f: _csv(f, sep=" "))),
    "columns of one width": (".txt", _text(lambda f: f.to_string(index=False))),
    "columns of one width in a .prn": (
        ".prn",
        _text(lambda f: f.to_string(index=False, justify="left")),
    ),
    "double colons": (".dat", _text(lambda f: _csv(f, sep="|").replace("|", "::"))),
    "R's row names": (".txt", _text(_r_table)),
    "Excel's first line": (".csv", _text(lambda f: "sep=;\n" + _csv(f, sep=";"))),
    "everything quoted": (".csv", _text(lambda f: _csv(f, quoting=1))),
    "single quotes": (".csv", _text(lambda f: _csv(f, quoting=1, quotechar="'"))),
    "decimal commas, quoted": (".csv", _text(lambda f: _csv(f, decimal=","))),
    "Windows' lines": (".csv", _text(lambda f: _csv(f).replace("\n", "\r\n"))),
    "old Mac's lines": (".csv", _text(lambda f: _csv(f).replace("\n", "\r"))),
    "no last line end": (".csv", _text(lambda f: _csv(f).rstrip("\n"))),
    "byte order mark": (".csv", _text(_csv, "utf-8-sig")),
    "UTF-16": (".csv", _text(_csv, "utf-16")),
    "UTF-16 without a mark": (".csv", _text(_csv, "utf-16-le")),
    "UTF-32": (".csv", _text(_csv, "utf-32")),
    "gzip": (".csv.gz", _packed(gzip.compress)),
    "gzip, not named so": (".csv", _packed(gzip.compress)),
    "bzip2": (".csv.bz2", _packed(bz2.compress)),
    "xz": (".csv.xz", _packed(lzma.compress)),
    "zip": (".zip", _zipped),
    "title": (".csv", _text(lambda f: "Iris measurements 2020\n" + _csv(f))),
    "title with commas": (".csv", _text(lambda f: "Iris, in cm, 2020\n" + _csv(f))),
    "title of a sheet": (".csv", _text(lambda f: "Iris 2020,,,,\n,,,,\n" + _csv(f))),
    "remarks": (".csv", _text(lambda f: "# by me, in 2020\n# a, b\n" + _csv(f))),
    "names as a remark": (".txt", _text(lambda f: "# " + _csv(f, sep=" "))),
    "blank lines": (".csv", _text(lambda f: "\n\n" + _csv(f).replace("\n5.0", "\n\n5.0"))),
    "footer": (".csv", _text(lambda f: _csv(f) + "\nSource: Fisher 1936\n,,,,\n")),
    "units": (".csv", _text(lambda f: _csv(f).replace("\n", "\ncm,cm,cm,cm,\n", 1))),
    "names on the second line": (".csv", _text(lambda f: "cm,cm,cm,cm,kind\n" + _csv(f))),
    "the header again and again": (
        ".csv",
        _text(lambda f: _csv(f[:70]) + _csv(f[70:90]) + _csv(f[90:])),
    ),
    "a drawn table": (".md.txt", _text(_markdown)),
    "an open quote": (".csv", _text(lambda f: _csv(f).replace("setosa", '"setosa', 1))),
    "ARFF": (".arff", _text(_arff)),
    "sparse ARFF": (".arff", _text(_sparse_arff)),
    "JSON records": (".json", _json(orient="records")),
    "JSON by columns": (".json", _json()),
    "JSON, split": (".json", _json(orient="split", index=False)),
    "JSON lists": (".json", _text(lambda f: json.dumps(f.to_dict("list")))),
    "JSON lines": (".jsonl", _json(orient="records", lines=True)),
    "carets": (".txt", _text(lambda f: _csv(f, sep="^"))),
    "tildes": (".csv", _text(lambda f: _csv(f, sep="~"))),
    "sums at the end": (".csv", _text(lambda f: _csv(f) + "876.5,458.6,563.7,179.9,Total\n")),
    "sums before": (".csv", _text(lambda f: _csv(f) + "Sum:,458.6,,,\nMean,3.06,3.76,1.2,\n")),
    "remarks between rows": (".csv", _lines(lambda i, x: x + "\n# lamp, new" * (i == 70))),
    "sums by their numbers": (".csv", _text(lambda f: _csv(f) + "876.5,458.6,563.7,179.9,\n")),
    "means by their numbers": (
        ".csv",
        _text(lambda f: _csv(f) + "5.84333,3.05733,3.758,1.19933,\n"),
    ),
    "sums of groups": (".csv", _text(_with_sums_of_groups)),
    "sums above": (
        ".csv",
        _lines(lambda i, x: x if i else x + "\n876.5,458.6,563.7,179.9,Total (all)"),
    ),
    "measures below": (
        ".csv",
        _text(lambda f: _csv(f) + "150,150,150,,N\n5.8,3.1,3.8,,Mean ± SD\n7.9,4.4,6.9,,Max\n"),
    ),
    "notes of several cells": (
        ".csv",
        _text(lambda f: _csv(f) + "Source: Fisher, R. A., 1936\nNote:,x\n"),
    ),
    "another table below": (
        ".csv",
        _text(lambda f: _csv(f) + "\nkind,n,mean\nsetosa,50,5.0\nall,150,5.8\n"),
    ),
    "facts above": (
        ".csv",
        _text(lambda f: "Place:,Bonn\nDay,2020-01-01,10:00\nBy:,me\n\n" + _csv(f)),
    ),
    "questions and ids below the names": (
        ".csv",
        _lines(
            lambda i, x: x if i else x + "\nHow long?,How wide?,Long?,Wide?,What?\nQ1,Q2,Q3,Q4,Q5"
        ),
    ),
    "units in parentheses": (
        ".csv",
        _lines(lambda i, x: x if i else x + "\n(cm),(cm),(cm),(cm),(name)"),
    ),
    "numbers of columns": (".csv", _lines(lambda i, x: x if i else x + "\n(1),(2),(3),(4),(5)")),
    "Orange's three lines": (
        ".tab",
        _lines(lambda i, x: (x if i else x + "\nc,c,c,c,d\n,,,,class").replace(",", "\t")),
    ),
    "a table drawn by a database": (".txt", _text(_drawn)),
    "separators alone": (".csv", _lines(lambda i, x: x + "\n , ,,," * (i % 2))),
    "marks nobody sees": (
        ".csv",
        _lines(lambda i, x: "\ufeff" * (i % 40 == 0) + x.replace("setosa", "setosa\u200b")),
    ),
    "text as formulas": (".csv", _lines(lambda i, x: re.sub(r"([^,]+)$", r'="\1"', x) if i else x)),
    "merged names": (".csv", _text(lambda f: "Sepal,,Petal,,\n" + _csv(f))),
    "blanks after commas": (".csv", _text(lambda f: _csv(f).replace(",", ", "))),
    "blanks before commas": (".csv", _text(lambda f: _csv(f).replace(",", " ,"))),
    "blanks around names": (".csv", _lines(lambda i, x: x if i else x.replace(",", " , ") + " ")),
    "a comma at the end": (".csv", _lines(lambda i, x: x + ",")),
    "a comma at the end of rows": (".csv", _lines(lambda i, x: x + "," if i else x)),
    "an empty column": (".csv", _lines(lambda i, x: x.replace(",", ",,", 1))),
    "an index": (".csv", _text(lambda f: f.to_csv())),
    "a named index": (".csv", _text(lambda f: f.to_csv(index_label="no"))),
    "constants around": (".csv", _text(lambda f: "\n" + _csv(f) + "\n\n")),
    "a workbook": (".xlsx", _excel),
    "a workbook with a title and two sheets": (".xlsx", _excel_with_title),
    "merged cells": (".xlsx", _excel_merged),
    "a fuller sheet beside it": (".xlsx", _excel_beside),
    "parquet": (".parquet", _parquet),
    "nullable types": (".parquet", _nullable),
    "feather": (".feather", _arrow),
    "categories": (".parquet", _categories),
    "Stata": (".dta", _stata),
    "labels as the index": (".parquet", _named_index),
}

# How the numbers 1234.5, -7, 0.25 and 12 can be written in one column.
NUMBERS = {
    "plain": ["1234.5", "-7", "0.25", "12"],
    "decimal commas": ["1234,5", "-7", "0,25", "12"],
    "thousands": ["1,234.5", "-7", "0.25", "12"],
    "thousands, decimal commas": ["1.234,5", "-7", "0,25", "12"],
    "blanks between thousands": ["1 234.5", "-7", "0.25", "12"],
    "thin blanks between thousands": ["1\u202f234,5", "-7", "0,25", "12"],
    "apostrophes": ["1'234.5", "-7", "0.25", "12"],
    "percent": ["1234.5%", "-7%", "0.25%", "12%"],
    "percent after a blank": ["1234.5 %", "-7 %", "0.25 %", "12 %"],
    "dollars": ["$1,234.50", "-$7", "$0.25", "$12"],
    "euros": ["1.234,50 €", "-7 €", "0,25 €", "12 €"],
    "a currency's code": ["USD 1234.5", "USD -7", "USD 0.25", "USD 12"],
    "units": ["1234.5 kg", "-7 kg", "0.25 kg", "12 kg"],
    "degrees": ["1234.5°C", "-7°C", "0.25°C", "12°C"],
    "parentheses": ["1234.5", "(7)", "0.25", "12"],
    "a minus after": ["1234.5", "7-", "0.25", "12"],
    "a true minus": ["1234.5", "\u22127", "0.25", "12"],
    "signs": ["+1234.5", "-7", "+0.25", "+12"],
    "exponents": ["1.2345e3", "-7E0", "2.5e-1", "1.2e+1"],
    "powers of ten": ["1.2345×10^3", "-7", "2.5 x 10^-1", "1.2*10^1"],
    "Arabic marks": ["١٢٣٤٫٥", "-7", "٠٫٢٥", "12"],
    "thousands multiplied": ["1.2345k", "-7", "0.25", "12"],
    "blanks around": [" 1234.5", "-7 ", "\t0.25", "12\u00a0"],
    "no zero before the point": ["1234.5", "-7", ".25", "12"],
}

MISSING = [
    "", " ", "?", "-", "--", ".", "...", "NA", "N/A", "n.a.", "#N/A", "nan", "NaN", "NULL", "null",
    "None", "\\N", "<NA>", "missing", "#DIV/0!", "unknown", "*",
]  # fmt: skip

# How the last of 2020-03-25, 2020-12-31 and 2021-01-05 can be written.
TIMES = {
    "ISO": "%Y-%m-%d",
    "ISO with hours": "%Y-%m-%dT%H:%M:%S",
    "ISO in UTC": "%Y-%m-%dT%H:%M:%SZ",
    "day first, slashes": "%d/%m/%Y",
    "month first, slashes": "%m/%d/%Y",
    "points": "%d.%m.%Y",
    "points and hours": "%d.%m.%Y %H:%M",
    "year first, slashes": "%Y/%m/%d",
    "months by name": "%d %b %Y",
    "whole names": "%B %d, %Y",
    "dashes and names": "%d-%b-%Y",
    "one number": "%Y%m%d",
}
