"""What can be told of a page before it is read: where it ends, so that the next one is asked for at once."""

from __future__ import annotations

import re
from typing import NamedTuple

from s3conn_magic.listing.decode import UndecodableError, entity_text, percent_text

_TOKEN = re.compile(rb"<NextContinuationToken>([^<&]+)</NextContinuationToken>")
_BEGIN, _END = b"<Contents>", b"</Contents>"
_KEY, _KEY_END = b"<Key>", b"</Key>"
_CERTAIN = (b"<EncodingType>url</EncodingType>", b"<IsTruncated>true</IsTruncated>")


class Peek(NamedTuple):
    """The last key of a page that says that more follows, and the token that continues behind it."""

    last: str
    token: str


def peek(body: bytes) -> Peek | None:
    """Where a page of objects ends, or None where that takes a closer look.

    The page is not believed yet: what is found here is compared with what reading it gives.
    """
    begin, end = body.find(_BEGIN), body.rfind(_END)
    around = body[:begin] + body[end:]
    tokens = _TOKEN.findall(around)
    if min(begin, end) < 0 or len(tokens) != 1 or any(sign not in around for sign in _CERTAIN):
        return None
    key = body[body.rfind(_KEY, begin, end) + len(_KEY) : body.rfind(_KEY_END, begin, end)]
    # Whether `+` is a space takes more than one key to tell.
    if not key or b"<" in key or b"+" in key:
        return None
    try:
        return Peek(percent_text(entity_text(key.decode()), plus=False), tokens[0].decode())
    except (UndecodableError, UnicodeDecodeError):
        return None
