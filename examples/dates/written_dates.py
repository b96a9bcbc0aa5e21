"""Dates as people write them, and which of them training never sees.

The conventions that make every input mean one date:
  dots       day.month.year      3.12.2021
  slashes    month/day/year      12/3/2021, or year/month/day with the year first
  '21        two digits stand after an apostrophe: '69 to '99 are 19.., '00 to '68 are 20.. (POSIX strptime)
"""

import datetime
import random

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
HELD_BACK_SHARE = 0.05

MONTHS = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
]  # fmt: skip
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def split_dates(seed: int):
    """All dates from FIRST to LAST, shuffled and cut: (for training, held back)."""
    dates = [FIRST + datetime.timedelta(days) for days in range((LAST - FIRST).days + 1)]
    random.Random(seed).shuffle(dates)
    held_back = round(len(dates) * HELD_BACK_SHARE)
    return dates[held_back:], dates[:held_back]


def ordinal(day: int) -> str:
    suffix = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"


def month(date, r) -> str:
    """March, Mar or Mar. (and Sept)"""
    name = MONTHS[date.month - 1]
    if r.random() < 0.5:
        return name
    short = "Sept" if name == "September" and r.random() < 0.5 else name[:3]
    return short + ("." if short != name and r.random() < 0.3 else "")


def weekday(date, r) -> str:
    name = WEEKDAYS[date.weekday()]
    return name if r.random() < 0.6 else name[:3]


def day(date, r) -> str:
    return r.choice([f"{date.day}", f"{date.day:02}", ordinal(date.day), ordinal(date.day)])


def numbers(date, r):
    """Day and month, both with or both without leading zeros."""
    width = r.choice([1, 2])
    return f"{date.day:0{width}}", f"{date.month:0{width}}"


def month_first(date, r) -> str:
    return f"{month(date, r)} {day(date, r)}{r.choice([',', ''])} {date.year}"


def day_first(date, r) -> str:
    return f"{day(date, r)} {month(date, r)}{r.choice([',', '', ''])} {date.year}"


def with_of(date, r) -> str:
    start = r.choice(["the ", ""])
    return f"{start}{ordinal(date.day)} of {month(date, r)}{r.choice([',', ''])} {date.year}"


def with_weekday(date, r) -> str:
    rest = r.choice([month_first, day_first, with_of])(date, r)
    return f"{weekday(date, r)}{r.choice([', ', ' '])}{rest}"


def dotted(date, r) -> str:
    return f"{'.'.join(numbers(date, r))}.{date.year}"


def slashed(date, r) -> str:
    d, m = numbers(date, r)
    return f"{m}/{d}/{date.year}"


def year_slashed(date, r) -> str:
    d, m = numbers(date, r)
    return f"{date.year}/{m}/{d}"


def hyphenated(date, r) -> str:
    return f"{numbers(date, r)[0]}-{MONTHS[date.month - 1][:3]}-{date.year}"


def year_first(date, r) -> str:
    return f"{date.year}{r.choice([', ', ' '])}{month(date, r)} {day(date, r)}"


def two_digit_year(date, r) -> str:
    whole = r.choice([day_first, month_first])(date, r)
    return f"{whole[:-4]}'{whole[-2:]}"


def compact(date, r) -> str:
    return f"{date.year}{date.month:02}{date.day:02}"


def iso(date, r) -> str:
    return date.isoformat()


FORMATS = {
    "month day year": month_first,
    "day month year": day_first,
    "the day of month, year": with_of,
    "weekday, date": with_weekday,
    "day.month.year": dotted,
    "month/day/year": slashed,
    "year/month/day": year_slashed,
    "day-Mon-year": hyphenated,
    "year month day": year_first,
    "two-digit year": two_digit_year,
    "yyyymmdd": compact,
    "ISO": iso,
}


def write(date: datetime.date, form: str, r: random.Random) -> str:
    """The date in one of FORMATS; one time in five in capitals, one in five in small letters."""
    text = FORMATS[form](date, r)
    return r.choice([str, str, str, str.upper, str.lower])(text)


def has_form(date: datetime.date, form: str) -> bool:
    return form != "two-digit year" or 1969 <= date.year <= 2068


def draw(dates, form: str, r: random.Random):
    """(text, ISO date) of a date of the list that the form can write."""
    date = r.choice(dates)
    while not has_form(date, form):
        date = r.choice(dates)
    return write(date, form, r), date.isoformat()
