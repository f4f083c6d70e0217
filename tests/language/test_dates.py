"""Dates in keys: read by their widths, without a search for where they fit."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from s3conn_magic.language.job_values import DatePattern


@pytest.mark.parametrize(
    ("pattern", "key", "found"),
    [
        ("yyyy/MM/dd/HH", "2024/05/06/07/x.csv", datetime(2024, 5, 6, 7, tzinfo=UTC)),
        ("yyyyMMdd", "20240506x", datetime(2024, 5, 6, tzinfo=UTC)),
        ("yyyy-DDD", "2024-366", datetime(2024, 12, 31, tzinfo=UTC)),
        ("yy'y'MM", "24y05", datetime(2024, 5, 1, tzinfo=UTC)),
        ("'100%' yyyy", "100% 2024", datetime(2024, 1, 1, tzinfo=UTC)),
        ("'.*'yyyy", ".*2024", datetime(2024, 1, 1, tzinfo=UTC)),
        ("'.*'yyyy", "ab2024", None),
        ("yyyy/MM/yyyy", "2024/05/2024", datetime(2024, 5, 1, tzinfo=UTC)),
        ("yyyy/MM/yyyy", "2024/05/2023", None),
        ("yyyy/MM/dd", "2024/02/30", None),
        ("yyyy/MM/dd", "2024/2/3", None),
        ("yyyy/MM/dd", "2024/02/0", None),
        ("yyyy", "٢٠٢٤", None),
        ("yyyy", "+202", None),
        ("yyyy", " 202", None),
    ],
)
def test_the_date_at_the_beginning_of_a_key(pattern, key, found):
    """Each field has its digits and each text between them stands as it is, or there is no date."""
    assert DatePattern.parse(pattern).date_of(key) == found


def test_a_date_is_found_again():
    """What a pattern writes it reads."""
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    pattern = DatePattern.parse("yyyy/DDD 'T%'HH:mm:ss")
    assert pattern.date_of(pattern.of(moment)) == moment
