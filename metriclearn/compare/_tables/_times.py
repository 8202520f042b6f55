"""Times as people write them: dates in text, ``20200131``, hours and minutes."""

import re
import warnings

import numpy as np

from metriclearn._extras import require

_DATE = re.compile(
    r"(?:\w{3,9},?\s+)?(?:\d{1,4}[-/.\s]+(?:\d{1,2}|[^\W\d]{3,9}\.?)[-/.,\s]+\d{1,4}"
    r"|\d{4}-\d{2}|\d{4}/\d{2}|\d{4}-?W\d{2}|[^\W\d]{3,9}\.?\s\d{1,2},?\s\d{4}"
    r"|[^\W\d]{3,9}\.?[\s-]\d{2,4}|\d{8}T\d{4,6}Z?)(?!\d)"
)
_CLOCK = re.compile(
    r"(?:(\d+) days?,? )?(\d{1,3}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?\s*([aApP]\.?[mM]\.?)?$"
)
_DAY_FIRST = ("%d.%m.%Y", "%d.%m.%y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")


def times_from_text(texts):
    """Read distinct texts as times.

    Parameters
    ----------
    texts : list of str

    Returns
    -------
    times : ndarray of datetime64[ns] or None
        None where they are no times.
    remark : str
        How they were read.
    """
    if not all(_DATE.match(text) for text in texts[:50]):
        return None, ""
    if sum(bool(_DATE.match(text)) for text in texts) < len(texts):
        return None, ""
    pandas = require("pandas", "cli")
    series = pandas.Series(texts, dtype=object, name="x")
    for pattern in _DAY_FIRST if all("." in text for text in texts) else ():
        times = pandas.to_datetime(series, format=pattern, errors="coerce")
        if times.notna().all():
            return times.to_numpy(dtype="datetime64[ns]"), "day.month.year"
    return _guessed(series)


_DAY_MONTH_YEAR = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})")


def _has_days_first(texts):
    """Whether one of the dates can only be read with the day before the month."""
    starts = map(_DAY_MONTH_YEAR.match, texts)
    return any(start is not None and int(start[1]) > 12 for start in starts)


def with_years_first(texts):
    """Write dates of day, month and year as year, month and day; leave others as they are.

    Examples
    --------
    >>> with_years_first(np.array(["5/3/2020 10:30", "2020-03-05"])).tolist()
    ['2020-3-5 10:30', '2020-03-05']
    """
    turned = [_DAY_MONTH_YEAR.sub(r"\3-\2-\1", text, count=1) for text in texts]
    return require("pandas", "cli").Series(turned, dtype=object)


def _guessed(series):
    pandas = require("pandas", "cli")
    skrub = require("skrub", "cli")
    reader = skrub.ToDatetime()
    try:
        times = reader.fit_transform(series.astype(str))
    except skrub.core.RejectColumn:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            day_first = _has_days_first(series)
            series = with_years_first(series) if day_first else series
            times = pandas.to_datetime(series, format="mixed", errors="coerce", utc=True)
        if times.isna().any():
            return None, ""
        if day_first:
            remark = "several formats, day first"
        else:
            remark = _one_format(series) or "several formats"
        return times.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]"), remark
    if times.dt.tz is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    remark = f"format {reader.format_}"
    if reader.format_ and reader.format_.startswith("%m/%d"):
        other = pandas.to_datetime(
            series, format=reader.format_.replace("%m/%d", "%d/%m"), errors="coerce"
        )
        if other.notna().all():
            remark += " (month first; day first would be possible, too)"
    return times.to_numpy(dtype="datetime64[ns]"), remark


def _one_format(series):
    """Say in which format all of the texts are; nothing where there are several."""
    pandas = require("pandas", "cli")
    guessed = pandas.tseries.api.guess_datetime_format(series.iloc[0])
    for form in filter(None, (guessed, "%B %Y", "%b %Y")):
        if pandas.to_datetime(series, format=form, errors="coerce").notna().all():
            return f"format {form}"
    return ""


_OF_TIMES = re.compile(
    r"time|date|stamp|epoch|unix|created|updated|(?:^|_)ts(?:$|_)", re.IGNORECASE
)
# What numpy calls them, and how many are in a second.
_UNITS_SINCE_1970 = {
    "seconds": ("s", 1),
    "milliseconds": ("ms", 10**3),
    "microseconds": ("us", 10**6),
    "nanoseconds": ("ns", 10**9),
}


def times_since_1970(values, name):
    """Read whole numbers of a column named after times as those of a clock.

    Parameters
    ----------
    values : ndarray of float
    name : str

    Returns
    -------
    times : ndarray of datetime64[ns] or None
        None where they are none of the years 1990 to 2040.
    remark : str

    Examples
    --------
    >>> times_since_1970(np.array([1.6e9, 1.60001e9, 1.7e9]), "created_at")[1]
    'seconds since 1970'
    >>> times_since_1970(np.array([1.6e9, 1.60001e9, 1.7e9]), "phone")[0] is None
    True
    """
    present = values[~np.isnan(values)]
    if len(present) < 3 or not _OF_TIMES.search(str(name)) or (present != present.round()).any():
        return None, ""
    first, last = np.array(["1990", "2040"], dtype="datetime64[s]").astype(np.int64)
    for word, (_, per_second) in _UNITS_SINCE_1970.items():
        if first * per_second <= present.min() and present.max() <= last * per_second:
            return numbers_since_1970(values, word), f"{word} since 1970"
    return None, ""


def numbers_since_1970(values, word):
    """Return times as numbers of seconds, milliseconds, ... since 1970 say them.

    Examples
    --------
    >>> numbers_since_1970(np.array([86400.0, np.nan]), "seconds")
    array(['1970-01-02T00:00:00.000000000',                           'NaT'],
          dtype='datetime64[ns]')
    """
    unit, _ = _UNITS_SINCE_1970[word]
    times = np.full(len(values), np.datetime64("NaT"), dtype="datetime64[ns]")
    there = ~np.isnan(values)
    times[there] = values[there].astype(np.int64).astype(f"datetime64[{unit}]")
    return times


def times_from_numbers(values):
    """Read whole numbers like 20200131 or 202001 as times.

    Parameters
    ----------
    values : ndarray of float

    Returns
    -------
    times : ndarray of datetime64[ns] or None
        None where they are no such numbers.
    remark : str

    Examples
    --------
    >>> times_from_numbers(np.array([20200131.0, 20191205.0, 20200417.0]))[1]
    'year, month and day in one number'
    """
    present = values[~np.isnan(values)]
    if len(present) < 3 or not 190001 <= present[0] <= 21001231:
        return None, ""
    days = present.min() > 19000100
    low, high, pattern = (19000101, 21001231, "%Y%m%d") if days else (190001, 210012, "%Y%m")
    if present.min() < low or present.max() > high or (present != np.floor(present)).any():
        return None, ""
    distinct = np.unique(present).astype(np.int64)
    months = distinct // 100 % 100 if days else distinct % 100
    if len(distinct) < 3 or months.min() < 1 or months.max() > 12:
        return None, ""
    if not days and len(distinct) < 6:  # one number in eight would pass for a month
        return None, ""
    pandas = require("pandas", "cli")
    read = pandas.to_datetime(
        pandas.Series(distinct.astype(str), dtype=object), format=pattern, errors="coerce"
    )
    if read.isna().any():
        return None, ""
    times = np.full(len(values), np.datetime64("NaT"), dtype="datetime64[ns]")
    places = np.searchsorted(distinct, present.astype(np.int64))
    times[~np.isnan(values)] = read.to_numpy(dtype="datetime64[ns]")[places]
    return times, f"year, month{' and day' if days else ''} in one number"


def as_seconds(texts):
    """Read distinct texts like ``10:30`` or ``1:02:03.5`` as seconds; None where they are none.

    Examples
    --------
    >>> as_seconds(["10:30", "0:00:02.5"])
    array([3.78e+04, 2.50e+00])
    """
    seconds = np.empty(len(texts))
    for i, text in enumerate(texts):
        match = _CLOCK.match(text)
        if match is None:
            return None
        days, hours, minutes, rest, half = match.groups()
        hour = int(hours)
        if half:
            hour = hour % 12 + (12 if half[0] in "pP" else 0)
        seconds[i] = int(days or 0) * 86400 + hour * 3600 + int(minutes) * 60 + float(rest or 0)
    return seconds
