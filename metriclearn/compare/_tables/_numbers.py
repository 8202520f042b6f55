"""Numbers, and no value, as people write them: ``1.234,56``, ``22.0%``, ``$ 5``, ``1.2k``."""

import re
from collections import Counter

import numpy as np

from metriclearn._extras import require

_SPACES = " \u00a0\u2009\u202f"
_CURRENCY = r"(?:[A-Z]{0,3}[$€£¥₹₽]|[A-Z]{3}|Rs\.?|kr\.?|zł)"
_NUMBER = re.compile(
    rf"(?P<bound>[<>≤≥~≈]=?\s*)?(?P<open>\()?\s*(?P<sign>[-+\u2212\u2013]?)\s*(?P<before>{_CURRENCY})?\s*"
    rf"(?P<inner>[-+\u2212\u2013]?)\s*"
    rf"(?P<number>\d(?:[\d.,'\u2019]|[{_SPACES}](?=\d))*|[.,]\d+)(?P<exponent>[eE][-+]?\d+)?\s*"
    rf"(?P<after>%|\u2030|{_CURRENCY}|°\s?[A-Z]?|[A-Za-zµ²³/]{{1,6}})?(?P<trailing>-)?\s*(?P<close>\))?$"
)
_GROUPED = {
    mark: re.compile(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{3}})+$") for mark in ".,'\u2019" + _SPACES
}
_MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6, "m": 1e6, "B": 1e9, "bn": 1e9}
_MINUS = "-\u2212\u2013"


def exact_numbers(texts, values):
    """Return numbers as Python reads them; pandas 2.1 misses the last bit of every third."""
    try:
        return np.asarray(texts, dtype=object).astype(np.float64)
    except (TypeError, ValueError):  # a form that pandas alone reads
        return values


def parse_numbers(texts, *, decimal="."):
    """Read texts as numbers, all by one format.

    Parameters
    ----------
    texts : list of str
        Distinct cells of one column, without blanks around them.
    decimal : {".", ","}, default="."
        What a lone mark before three digits is: ``1,234`` is 1234 for ".", 1.234 for ",".

    Returns
    -------
    values : ndarray of shape (n,)
        NaN for what is no number.
    remarks : tuple of str
        What is unusual about the format.

    Examples
    --------
    >>> parse_numbers(["1.234,56", "7,5"])
    (array([1234.56,    7.5 ]), ("'.' between thousands", 'decimal commas'))
    >>> parse_numbers(["22.0%", "many"])
    (array([22., nan]), ("'%' removed",))
    """
    pandas = require("pandas", "cli")
    values = pandas.to_numeric(pandas.Series(texts, dtype=object), errors="coerce").to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    plain = np.isfinite(values) | np.array([_is_infinite(text) for text in texts], dtype=bool)
    grouped_dots = decimal == "," and all(_GROUPED["."].match(text) for text in texts)
    if plain.all() and not grouped_dots:
        return exact_numbers(texts, values), ()
    matches = [_NUMBER.match(text) for text in texts]
    found = [match for match in matches if match]
    if not found:
        return values, ()
    decimal_mark, thousands = _marks([match["number"] for match in found], decimal)
    multiples, unit = _suffixes(found)
    if multiples is None:  # words after some numbers: these are none
        multiples, unit = {}, ""
        matches = [match if match and not match["after"] else None for match in matches]
        found = [match for match in matches if match]
        if not found:
            return values, ()
    parsed = np.full(len(texts), np.nan)
    for i, match in enumerate(matches):
        if match:
            parsed[i] = _value(match, decimal_mark, thousands, multiples)
    parsed[~np.isfinite(parsed) & np.isinf(values)] = np.inf
    return parsed, _remarks(found, decimal_mark, thousands, multiples, unit)


def find_decimal(texts):
    """Return the decimal mark that the cells of a file speak for, a dot by default.

    Examples
    --------
    >>> find_decimal(["1,5", "2,25", "1.000"])
    ','
    """
    commas = sum(bool(_DECIMAL_COMMA.match(text)) for text in texts)
    dots = sum(bool(_DECIMAL_DOT.match(text)) for text in texts)
    return "," if commas > dots else "."


_DECIMAL_COMMA = re.compile(
    r"[-+]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+|\d{1,3}(?:\.\d{3})+,\d*)\D{0,2}$"
)
_DECIMAL_DOT = re.compile(
    r"[-+]?(?:\d*\.(?:\d{1,2}|\d{4,})|0\.\d+|\d{1,3}(?:,\d{3})+\.\d*)\D{0,2}$"
)


def _is_infinite(text):
    return text.lower().lstrip("+-") in ("inf", "infinity")


def _marks(numbers, hint):
    """Decimal mark and mark of thousands that all numbers agree with."""
    thousands = {mark for mark in "'\u2019" + _SPACES if any(mark in number for number in numbers)}
    both = [number for number in numbers if "." in number and "," in number]
    if both:
        decimal = max(".,", key=both[0].rfind)
        return decimal, thousands | {"." if decimal == "," else ","}
    if {mark for number in numbers for mark in _decimal_mark(number)} >= _DECIMAL_MARKS:
        return ".,", thousands  # some rows by one habit, some by another
    for mark, other in ((",", "."), (".", ",")):
        having = [number for number in numbers if mark in number]
        if not having:
            continue
        if any(number.count(mark) > 1 for number in having):
            return other, thousands | {mark}
        bare = [re.sub(rf"['\u2019{_SPACES}]", "", number) for number in having]
        ambiguous = all(
            _GROUPED[mark].match(number) and not number.startswith("0") for number in bare
        )
        if ambiguous and mark != hint:
            return other, thousands | {mark}
        if mark == ",":
            return ",", thousands
    return ".", thousands


_DECIMAL_MARKS = {".", ","}


def _decimal_mark(number):
    """Mark of a number where it can only be a decimal one, else nothing."""
    match = re.fullmatch(r"\d*([.,])(?:\d{1,2}|\d{4,})", number)
    return match[1] if match else ""


def _suffixes(found):
    """Factor of each suffix, and the unit that all numbers share; None where units are mixed."""
    counts = Counter(match["after"] or "" for match in found)
    named = [suffix for suffix in counts if suffix]
    if len(named) == 1 and (named[0] not in _MULTIPLES or not counts[""]):
        is_word = named[0].isalpha() and re.fullmatch(_CURRENCY, named[0]) is None
        if is_word and counts[named[0]] <= counts[""]:
            return None, ""  # a stray word is no unit
        return {}, named[0]
    if all(suffix in _MULTIPLES for suffix in named):
        return {suffix: _MULTIPLES[suffix] for suffix in named}, ""
    return None, ""


def _value(match, decimal, thousands, multiples):
    number = match["number"]
    if len(decimal) > 1:
        number, decimal = number.replace(",", "."), "."
    whole, point, fraction = number.rpartition(decimal)
    if not point:
        whole, fraction = number, ""
    for mark in thousands:
        if mark in whole:
            if not _GROUPED[mark].match(whole):
                return np.nan
            whole = whole.replace(mark, "")
    if not (whole + fraction).isdigit():
        return np.nan
    value = float(f"{whole or 0}.{fraction or 0}{match['exponent'] or ''}")
    value *= multiples.get(match["after"], 1.0)
    negative = any(
        part and part in _MINUS for part in (match["sign"], match["inner"], match["trailing"])
    )
    return -value if negative or (match["open"] and match["close"]) else value


def _remarks(found, decimal, thousands, multiples, unit):
    used = [mark for mark in sorted(thousands) if any(mark in match["number"] for match in found)]
    remarks = [f"{repr(mark) if mark.strip() else 'blanks'} between thousands" for mark in used]
    if "," in decimal and any("," in match["number"] for match in found):
        remarks.append("decimal commas" if decimal == "," else "decimal commas and points")
    before = sorted({match["before"] for match in found if match["before"]})
    for sign in [*before, *([unit] if unit else [])]:
        remarks.append(f"{sign!r} removed")
    if multiples:
        remarks.append(f"{', '.join(sorted(multiples))} multiplied out")
    if bounds := sorted({match["bound"].strip() for match in found if match["bound"]}):
        remarks.append(f"{', '.join(map(repr, bounds))} dropped before numbers")
    if any(match["open"] and match["close"] for match in found):
        remarks.append("parentheses read as minus")
    return tuple(remarks)


# In a column of numbers, times or truth values; in lower case.
MISSING = frozenset(
    {
        "", "?", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*", "na", "n/a", "n.a.",
        "n.a", "#n/a", "#na", "n/d", "n.d.", "nd", "k.a.", "nan", "-nan", "null", "(null)", "nil",
        "none", "<na>", "<null>", "nat", "\\n", "missing", "(missing)", "(blank)", "not available",
        "unknown", "#div/0!", "#value!", "#ref!", "#name?", "#null!", "#num!", "1.#ind", "1.#qnan",
        "-1.#ind", "#n/a n/a", "undefined",
    }
)  # fmt: skip


def is_missing(text):
    """Whether a cell says that it has no value.

    Examples
    --------
    >>> is_missing(" N/A "), is_missing("0")
    (True, False)
    """
    return text.strip().lower() in MISSING


# Among words a dash or a "none" may be a value of its own; these are not.
MISSING_TEXT = frozenset(
    {"", "?", "nan", "null", "(null)", "<na>", "n/a", "#n/a", "#na", "\\n", "na", "nat", "none"}
)


def is_missing_text(text):
    """Whether a cell of a column of words says that it has no value."""
    return text.strip().lower() in MISSING_TEXT
