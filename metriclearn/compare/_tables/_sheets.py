"""What cells of a workbook are beside their values: merged, or formulas without a result."""

import re
import zipfile

from metriclearn._text import counted

_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\b")
# A formula, and no value behind it.
_UNSOLVED = re.compile(
    rb"</(?:\w+:)?f>\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)


def fill_merged(path, sheets):
    """Write the value of cells that are merged downward into each of them, in place.

    Parameters
    ----------
    path : Path
    sheets : dict of str to DataFrame
        Cells by the name of the sheet.

    Returns
    -------
    dict of str to list of str
        Notes on each sheet.
    """
    import openpyxl

    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if "worksheets/" in name]
        texts = [archive.read(name) for name in members if name.endswith(".xml")]
    has_merged = any(map(_MERGED.search, texts))
    n_unsolved = sum(len(_UNSOLVED.findall(text)) for text in texts)
    notes = {}
    if n_unsolved:
        text = (
            f"The workbook holds {counted(n_unsolved, 'formula')} without a result, read as empty; "
            f"open it in a spreadsheet and save it."
        )
        notes = {name: [text] for name in sheets}
    if not has_merged:
        return notes
    book = openpyxl.load_workbook(path, data_only=True)
    for name, sheet in sheets.items():
        n_filled = 0
        for area in getattr(book[name], "merged_cells", ()):
            top, bottom, left = area.min_row - 1, area.max_row - 1, area.min_col - 1
            if bottom > top and left < sheet.shape[1] and top < sheet.shape[0]:
                bottom = min(bottom, sheet.shape[0] - 1)
                sheet.iloc[top : bottom + 1, left] = [sheet.iloc[top, left]] * (bottom - top + 1)
                n_filled += 1
        if n_filled:
            its, span = ("its", "it spans") if n_filled == 1 else ("their", "they span")
            text = (
                f"{counted(n_filled, 'merged cell')}: {its} value was written into each row that "
                f"{span}."
            )
            notes.setdefault(name, []).append(text)
    return notes
