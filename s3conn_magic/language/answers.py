"""What a statement of another system is here: by its phrase, by what it is made of, else by its first words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from s3conn_magic.errors import StatementSyntaxError
from s3conn_magic.language.phrases import JOINED, Answer, sentence_on
from s3conn_magic.language.session_settings import find_setting
from s3conn_magic.language.source import (
    AS_MARKS,
    COMMENT,
    MOST,
    PROMPT,
    Source,
    Span,
    head_of,
    lines_of,
    pieces,
    spaced,
)
from s3conn_magic.language.statements import SetSetting
from s3conn_magic.language.translation import Rewriting, phrased
from s3conn_magic.language.unphrased import in_s3, shapes_of
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from s3conn_magic.language.statements import Statement

# What a statement of several lines begins with, of which one line is no statement.
_SPOKEN = re.compile(r"(?:CREATE|ALTER|DROP|COPY|INSERT|SELECT|LOAD|UNLOAD|CALL|EXEC|BACKUP|ATTACH)\s", re.IGNORECASE)
# Other services, and what says that a text is about S3.
_ABROAD = re.compile(
    r"azure|abfss?:|wasbs?:|adls|dynamodb|kafka|bigquery|api_gateway|API\s+INTEGRATION|hdfs:|kinesis"
    r"|\b(?!(?:parquet|duckdb|iceberg|delta|csv|regex|delimited)_)\w+_(?:fdw|wrapper)\b",
    re.IGNORECASE,
)
_OF_S3 = re.compile(r"s3|minio|\br2\b|amazonaws", re.IGNORECASE)


def _is_abroad(text: str) -> bool:
    """Whether a statement is about another service than S3."""
    scheme = re.search(r"['\"](?:kafka|azure|abfss?|wasbs?|hdfs|kinesis|pulsar)://", text, re.IGNORECASE)
    return scheme is not None or (_ABROAD.search(text) is not None and _OF_S3.search(text) is None)


def answer(
    text: str, at: int, connections: Sequence[str] = (), parses: Callable[[str], bool] = lambda _: True
) -> Answer | None:
    """Return what the statement at an offset of a cell is here, where it is one of another system.

    Args:
        text: of the cell.
        at: where the parser stopped.
        connections: names of those that there are, the default first.
        parses: whether a text is of the language.
    """
    if JOINED.match(text, at):
        return None
    text = PROMPT.sub(lambda match: " " * len(match.group()), text.translate(AS_MARKS))
    span = next((span for span in pieces(text) if span.end >= at), Span(0, 0))
    answers = [made for unit in (span, *lines_of(text, span)) if (made := phrased(text, unit, connections))]
    first = next((made for made in answers if made.ours and parses(made.ours)), None)
    said = next((made for made in answers if not made.ours and made.whose not in {"Python's", "a shell's", ""}), None)
    begun = first is not None and first.span != span and _SPOKEN.match(text, span.start)
    of_python = first is not None and first.whose == "Python's" and not first.ours.startswith("CREATE S3 CONNECTION")
    if (first is None and said is None) or begun or of_python:
        shaped = _by_shape(text, span, connections, parses)
        connects = shaped is not None and re.match(
            r"CREATE S3 CONNECTION \w+ (?!PATH_DISPLAY_FILTERS = [^;]*;$)", shaped.ours
        )
        first = shaped if first is None or (begun and shaped) or (of_python and connects) else first
    if first and "S3 CONNECTION" in first.ours and _is_abroad(text[slice(*first.span)]):
        return Answer(first.whose, first.head, first.span, "", "Connections lead to Amazon S3 and compatible servers.")
    first = first or said or next(iter(answers), None) or _by_first_words(text, span)
    if first and not first.ours and (first.whose == "Python's" or "Delete this " in first.note):
        later = (made for unit in pieces(text) if (made := phrased(text, unit, connections)) and made.ours)
        return next(later, first)
    return first


def _by_shape(text: str, span: Span, connections: Sequence[str], parses: Callable[[str], bool]) -> Answer | None:
    """Return what a statement without a phrase is here, by what it is made of."""
    written = text[slice(*span)]
    if not written or len(written) > MOST:
        return None
    plain = COMMENT.sub(lambda match: match[1] or " ", written).strip().rstrip(";").rstrip()
    for shape in shapes_of(in_s3(plain)):
        taken = Rewriting(shape.phrase, shape.slots, shape.pairs, connections)
        made = taken.answer(head_of(text, span), span, lines="\n" in written)
        if made and (not made.ours or (parses(made.ours) and spaced(made.ours) != spaced(written))):
            return made
    return None


def _by_first_words(text: str, span: Span) -> Answer | None:
    said = sentence_on(text[span.start : span.start + 80])
    return Answer("", head_of(text, span), span, "", said) if said else None


def accepted(
    source: Source, note: Callable[[str], None], parse: Callable[[Source], list[Statement]]
) -> tuple[list[Statement], Source]:
    """Return the statements of a text, those of other systems as ours, and the text that says them."""
    try:
        parsed = parse(source)
    except StatementSyntaxError:
        pass
    else:
        if _sets_ours(parsed):
            return parsed, source
    if (said := _translated(source, parse)) is not None:
        source = replace(source, text=said.reveal())
        note("Statements of other systems are run as ours: EXPLAIN shows what each becomes.")
    return parse(source), source


def _sets_ours(parsed: Iterable[Statement]) -> bool:
    """Whether what is set are settings of ours; `SET s3_region = …` is another system's statement."""
    return all(find_setting(node.name.text) for node in parsed if isinstance(node, SetSetting))


def _translated(source: Source, parse: Callable[[Source], list[Statement]]) -> Secret | None:
    """Return a cell with each statement of another system as ours, secrets and all; None where one cannot be."""

    def is_ours(statement: str) -> bool:
        try:
            return _sets_ours(parse(Source(statement)))
        except StatementSyntaxError:
            return False

    text = source.text
    said, at, settings = [], 0, False
    for span in pieces(text):
        made = None if is_ours(text[slice(*span)]) else phrased(text, span, source.connections())
        # What is ours with other marks or words is told, and never run as it may have been meant.
        if made is None or not made.whose:
            continue
        if made.whole is None and made.ours:
            return None
        repeated = settings and bool(re.match(r"(?i)SET\s", text[slice(*span)]))
        settings = settings or bool(re.match(r"(?i)SET\s", text[slice(*span)]))
        said += [text[at : span.start], "" if repeated or made.whole is None else made.whole.reveal().rstrip("; ")]
        at = span.end
    return Secret("".join([*said, text[at:]])) if said else None
