"""Numbers, and no value, as people write them: ``1.234,56``, ``22.0%``, ``$ 5``, ``1.2k``."""

import re
from collections import Counter

import numpy as np

from metriclearn._extras import require
from metriclearn.compare._inspect._finding import listed

_SPACES = " \u00a0\u2009\u202f"
# Three capitals before a number may be part of an id as well: "ORD123".
_CODES = (
    "AED|ARS|AUD|BDT|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|GHS|HKD|HUF|IDR|ILS|INR|ISK|"
    "JPY|KES|KRW|KZT|MAD|MXN|MYR|NGN|NOK|NZD|PEN|PHP|PKR|PLN|QAR|RON|RSD|RUB|SAR|SEK|SGD|THB|TRY|"
    "TWD|TZS|UAH|UGX|USD|UYU|VND|XAF|XOF|ZAR"
)
_CURRENCY = rf"(?:[A-Z]{{0,3}}[$€£¥₹₽]|{_CODES}|Rs\.?|kr\.?|zł)"
_NUMBER = re.compile(
    rf"(?P<bound>[<>≤≥~≈]=?\s*)?(?P<open>\()?\s*(?P<sign>[-+\u2212\u2013]?)\s*(?P<before>{_CURRENCY})?\s*"
    rf"(?P<inner>[-+\u2212\u2013]?)\s*"
    rf"(?P<number>\d(?:[\d.,'\u2019]|[{_SPACES}](?=\d))*|[.,]\d+)(?P<exponent>[eE][-+]?\d+)?\s*"
    rf"(?P<spread>(?:±|\+/?[-\u2212])\s*\d[\d.,]*\s*|\((?:\d[\d.,]*\s?%|\d+[.,]\d+)\)\s*)?"
    rf"(?P<after>%|\u2030|{_CURRENCY}|°\s?[A-Z]?|[A-Za-zµ²³/]{{1,6}})?(?P<trailing>-)?\s*(?P<close>\))?"
    rf"\s*(?P<mark>[*\u2020\u2021\u00a7\u00b6]{{1,3}}|\[[\da-z]{{1,2}}\])?$"
)
_GROUPED = {
    mark: re.compile(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{3}})+$") for mark in ".,'\u2019" + _SPACES
}
_GROUPED[","] = re.compile(r"(?:\d{1,3}|\d{1,2}(?:,\d\d)+)(?:,\d{3})+$")  # 12,34,567 is of India
_MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6, "m": 1e6, "B": 1e9, "bn": 1e9}
_MINUS = "-\u2212\u2013"


def exact_numbers(texts, values):
    """Return numbers as Python reads them; pandas 2.1 misses the last bit of every third."""
    try:
        return np.asarray(texts, dtype=object).astype(np.float64)
    except (TypeError, ValueError):  # a form that pandas alone reads
        return values


def parse_more(texts, remark, *, decimal="."):
    """Read texts as numbers of a column that was read before, and of which a remark was made."""
    for kind, example in ((_FRACTIONS, "0 0/1"), (_TIME_SPANS, "0m 0s")):
        if kind in remark:
            return parse_numbers([*texts, example], decimal=decimal)[0][:-1]
    return parse_numbers(texts, decimal=decimal)[0]


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
    written = [_written_out(text) for text in texts]
    if any(written):
        kinds = {each[1] for each in written if each}
        written = [
            each or _one_part(text, kinds) for each, text in zip(written, texts, strict=True)
        ]
        rest = [text for text, special in zip(texts, written, strict=True) if special is None]
        others, remarks = parse_numbers(rest, decimal=decimal) if rest else (iter(()), ())
        others = iter(others)
        values = np.array([next(others) if each is None else each[0] for each in written])
        return values, (*remarks, *dict.fromkeys(each[1] for each in written if each))
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


_DEGREES = re.compile(
    r"([-+]?\d{1,3})\s?°\s?(\d{1,2}(?:\.\d+)?)\s?['′’]\s?(?:(\d{1,2}(?:\.\d+)?)\s?(?:[\"″”]|''))?\s?"
    r"([NSEWO])?"
)
_MIXED = re.compile(r"([-+]?)(\d+)\s(\d{1,2})/(\d{1,3})")
_POWER = re.compile(
    r"([-+\u2212]?\d+(?:[.,]\d+)?)\s?[×x*]\s?10\s?(?:\^|\*\*)?\s?([-+\u2212]?\d{1,3})"
)
_SPAN = re.compile(r"(?:(\d+) ?h)? ?(?:(\d+) ?m(?:in)?)? ?(?:(\d+(?:\.\d+)?) ?s(?:ec)?)?")
_ARABIC = re.compile(
    r"[-+\u2212]?[\u0660-\u0669\u06f0-\u06f9\u066c]+\u066b[\u0660-\u0669\u06f0-\u06f9]+"
)


_FRACTIONS, _TIME_SPANS = "fractions", "hours, minutes and seconds, in seconds"


def _written_out(text):
    """Return the value of a number with several parts and how it was read; None of any other.

    Examples
    --------
    >>> _written_out("40°30'N"), _written_out("3 5/8")
    ((40.5, 'degrees and minutes, in degrees'), (3.625, 'fractions'))
    >>> _written_out("1.5×10^3"), _written_out("2m 5s"), _written_out("1.5")
    ((1500.0, 'powers of ten'), (125.0, 'hours, minutes and seconds, in seconds'), None)
    """
    if match := _DEGREES.fullmatch(text):
        degrees, minutes, seconds, side = match.groups()
        size = abs(float(degrees)) + float(minutes) / 60 + float(seconds or 0) / 3600
        negative = degrees.startswith("-") or side in ("S", "W")
        return (-size if negative else size), "degrees and minutes, in degrees"
    if (match := _MIXED.fullmatch(text)) and int(match[3]) < int(match[4]):
        size = int(match[2]) + int(match[3]) / int(match[4])
        return (-size if match[1] == "-" else size), _FRACTIONS
    if match := _POWER.fullmatch(text):
        mantissa, exponent = (
            part.replace("\u2212", "-").replace(",", ".") for part in match.groups()
        )
        return float(f"{mantissa}e{exponent}"), "powers of ten"
    if (match := _SPAN.fullmatch(text)) and sum(part is not None for part in match.groups()) > 1:
        return _seconds(match), _TIME_SPANS
    if _ARABIC.fullmatch(text):
        plain = text.replace("\u066c", "").replace("\u066b", ".").replace("\u2212", "-")
        return float(plain), "Arabic decimal marks"
    return None


def _one_part(text, kinds):
    """Return what a number of one part is beside numbers of several: ``5m`` beside ``5m 30s``."""
    if _TIME_SPANS in kinds and (text and (match := _SPAN.fullmatch(text))):
        return _seconds(match), _TIME_SPANS
    if _FRACTIONS in kinds and (match := re.fullmatch(r"([-+]?\d{1,3})/(\d{1,3})", text)):
        return int(match[1]) / max(int(match[2]), 1), _FRACTIONS
    return None


def _seconds(match):
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


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


def mixed_signs(texts):
    """Return the signs of numbers that may not be in one unit; empty where they are.

    Two currencies, or percentages beside shares.

    Examples
    --------
    >>> mixed_signs(["$5", "7 €", "$3"]), mixed_signs(["14%", "0.2", "20%"])
    (['$', '€'], ['%'])
    >>> mixed_signs(["14%", "20", "3%"]), mixed_signs(["$5", "7"])
    ([], [])
    """
    found = [match for match in map(_NUMBER.match, texts) if match]
    signs = {frozenset(filter(None, (match["before"], match["after"]))) for match in found}
    money = sorted({sign for pair in signs for sign in pair if re.fullmatch(_CURRENCY, sign)})
    if len(money) > 1 and not any(len(pair) > 1 for pair in signs):
        return money
    with_sign, without = [], []
    for match in found:
        values = with_sign if match["after"] == "%" else without
        values.append(parse_numbers([match["number"]])[0][0])
    if with_sign and without and max(without) <= 1 < np.median(with_sign) and max(without) > 0:
        return ["%"]
    return []


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
    if spreads := [match["spread"].strip() for match in found if match["spread"]]:
        remarks.append(f"{spreads[0]!r} and the like dropped after numbers")
    if any(match["open"] and match["close"] for match in found):
        remarks.append("parentheses read as minus")
    if marks := sorted({match["mark"] for match in found if match["mark"]}):
        remarks.append(f"{listed(marks)} dropped after numbers")
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
