"""Explain syntax errors: what was expected, what was found, and a hint.

Messages repeat only keywords, names in the place of names, and words too short to be secret; all text is shown by
`Source.shown`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count, islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.language.answers import answer
from s3conn_magic.language.given import URL, is_local
from s3conn_magic.language.job_options import JOB_OPTIONS
from s3conn_magic.language.option_names import BOOLEANS
from s3conn_magic.language.options import OPTION_NAMES, Option, find_option
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS, Reference
from s3conn_magic.language.source import BEFORE_NAME, BLANK, Source, Span, Token, harmless, pieces
from s3conn_magic.language.words import edits, identifier, listed, literal, nearest
from s3conn_magic.locations import WILD, normal_location
from s3conn_magic.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from s3conn_magic.errors import StatementSyntaxError
    from s3conn_magic.language.phrases import Answer
    from s3conn_magic.language.session_settings import Setting

    Parses = Callable[[str], bool]

_STARTS = tuple(dict.fromkeys(reference.name.split()[0] for reference in STATEMENTS))
# Other languages' names of statements.
_SYNONYMS = {"LS": "LIST", "DIR": "LIST", "DESC": "DESCRIBE", "UNPAUSE": "RESUME", "CAT": "PREVIEW"}
_SYNONYMS |= {"COPY": "CREATE JOB name AS COPY FROM S3 …", "INSERT": "CREATE JOB name AS INSERT INTO S3 …"}
_VALUE_WORDS = ("TRUE", "FALSE", "ENV", "PROMPT", "KEYRING")
_OF_QUERIES = ("SELECT", "WITH", "FROM")
_OF_JOBS = ("AS", "IF", "INTO", "SELECT", *JOB_OPTIONS)
_SOURCES = {"ENV": "ENV 'MY_VARIABLE'", "KEYRING": "KEYRING 'service' 'user', without a comma"}
_END = "the end of the statement"
_TEXT = "text in single quotes"
_PLACE = "an s3:// location"
_OF_TABLES = re.compile(r"(?is)\s*(?:CREATE\b[^;]*?\bTABLE|MERGE|INSERT|OPTIMIZE|ALTER)\b")
_WORD = re.compile(r"\b[A-Z][A-Z0-9_]+\b")
_CONNECTION = {"CONNECTION", "CONNECTION, TABLE, MATERIALIZED VIEW or JOB"}
_BEFORE_NAMES = {"S3 CONNECTION, TABLE, SYNC, JOB or MATERIALIZED VIEW", "CONNECTIONS", *_CONNECTION}
_VALUES = {"a value", _TEXT, _PLACE}
# Tokens considered at a statement's beginning, and before the error.
_HEAD = 8


class _Stop(NamedTuple):
    """Where parsing stopped: what it expected, the token there, and the words of the statement before."""

    source: Source
    expected: str
    token: Token | None
    head: tuple[Token, ...]
    parses: Parses

    @property
    def before(self) -> Token | None:
        return self.head[-1] if self.head else None

    @property
    def word(self) -> str:
        """The token in upper case if it is a word, else empty."""
        return self.token.text.upper() if self.token and self.token.kind == "word" else ""


_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(?=[^\w?;]*\w)", re.IGNORECASE)


def explained(source: Source, at: int, refused: StatementSyntaxError | None) -> Answer | None:
    """Return the translation of another system's statement after EXPLAIN, or None."""
    at = source.offset(refused.place) if refused else at
    span = next((span for span in pieces(source.text) if span.end >= at), Span(0, 0))
    match = _EXPLAIN.match(source.text, span.start, span.end)
    if match is None:
        return None
    blank = " " * match.end() if "\n" not in match.group() else source.text[: match.start()] + " " * len(match.group())
    translation = answer(blank + source.text[match.end() :], max(at, match.end()), source.connections())
    return replace(translation, span=span) if translation and translation.ours else None


def diagnose(
    source: Source, at: int, message: str, parses: Parses, refused: StatementSyntaxError | None = None
) -> StatementSyntaxError:
    """Return the error for a text that does not parse.

    Args:
        source: the text.
        at: where parsing stopped.
        message: what was expected there.
        parses: returns whether a text parses, to check suggestions.
        refused: the error of a text that was not parsed at all.
    """
    at = source.offset(refused.place) if refused else at
    begun = (span.start for span in pieces(source.text) if refused and not parses(source.text[slice(*span)]))
    translation = answer(source.text, min(at, next(begun, at)), source.connections(), parses)
    translation = translation if translation and (not translation.ours or parses(translation.ours)) else None
    if translation and translation.whose and refused:
        token = source.token_at(translation.head.start)
        shown = f", but found {source.shown(token)}" if token else ""
        return source.syntax_error(f"expected a statement{shown}", translation.head, hint=translation.hint)
    error = refused or _diagnosed(source, at, message, parses)
    if refused and (cure := _quote(source, at, parses)):
        error.hint = cure
    if translation and (translation.ours or translation.whose) and not _is_misspelt(source, error, parses):
        error.hint = translation.hint
    if not error.hint.startswith("Did you mean ") and (word := _keyword_meant(source, error, parses)):
        error.hint = f"Did you mean {word}?"
    return error


def _keyword_meant(source: Source, error: StatementSyntaxError, parses: Parses) -> str:
    """Return the keyword that is one edit from the word at the error, or before it, if the text parses with it."""
    at = source.offset(error.place) if error.place else 0
    for token in (source.token_at(at), source.token_before(at)):
        written = token.text.upper() if token and token.kind == "word" else ""
        if token and _WORD.fullmatch(written) and written not in KEYWORDS:
            for word in sorted(KEYWORDS):
                if edits(written, word) == 1 and parses(source.with_word(token, word)):
                    return word
    return ""


def _is_misspelt(source: Source, error: StatementSyntaxError, parses: Parses) -> bool:
    """Return whether a text parses with the word that its error suggests."""
    match = re.fullmatch(r"Did you mean ([A-Z_]+)\?", error.hint)
    at = source.offset(error.place) if error.place else 0
    begun = _OF_TABLES.match(source.text, source.text.rfind(";", 0, at) + 1)
    if match is None or begun is None or error.place is None or (token := source.token_at(at)) is None:
        return False
    return parses(source.with_word(token, match[1]))


def _quote(source: Source, at: int, parses: Parses) -> str:
    """Return which quote is missing or surplus, if the text parses with that change."""
    text, quote = source.text, source.text[at : at + 1]
    if quote not in {"'", '"'}:
        return ""
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    end = at + len(text[at:end].rstrip("; \t\r"))
    if parses(text[:end] + quote + text[end:]) and quote not in text[at + 1 : end]:
        return f"Add {quote} at the end of line {text.count(chr(10), 0, at) + 1}."
    last = text.rfind(quote, at, end)
    if parses(text[:last] + text[last + 1 :]):
        line = text.count("\n", 0, last) + 1
        return f"Delete the quote in line {line}, column {last - text.rfind(chr(10), 0, last)}."
    return ""


def _diagnosed(source: Source, at: int, message: str, parses: Parses) -> StatementSyntaxError:
    token = source.token_at(at)
    expected = message.removeprefix("Expected ")
    if not message.startswith("Expected "):
        twice = "Keep one of them." if message.endswith(" twice") else ""
        hint = "Delete it." if token and token.kind == "comment" else twice
        return source.syntax_error(message, token.span if token else _end(source), hint=hint)
    if token and token.kind == "word" and token.span.start < at:
        begun = Token("word", Span(token.span.start, at), token.text[: at - token.span.start])
        return _bad_word(source, expected, token, begun, parses)
    return _syntax_error(
        _Stop(source, expected, token, _tokens_before(source, token.span.start if token else len(source.text)), parses)
    )


def _bad_word(source: Source, expected: str, token: Token, begun: Token, parses: Parses) -> StatementSyntaxError:
    """Return the error for a word with a character that is not allowed in it."""
    before = source.token_before(token.span.start)
    if before and before.text.upper() in BEFORE_NAME:
        return _bad_name(source, token)
    at = begun.span.end
    rest = Token("mark", Span(at, at + 1), token.text[len(begun.text)])
    return _syntax_error(_Stop(source, expected, rest, (*_tokens_before(source, token.span.start), begun), parses))


def _syntax_error(stop: _Stop) -> StatementSyntaxError:
    stop = stop._replace(expected=_expected(stop))
    message = f"expected {stop.expected}"
    if stop.before:
        message += f" after {_shown(stop, stop.before)}"
    message += f", but found {_shown(stop, stop.token)}" if stop.token else ", but the text ends here"
    hint = next(filter(None, (advice(stop) for advice in _ADVICE)), "")
    return stop.source.syntax_error(message, stop.token.span if stop.token else _end(stop.source), hint=hint)


def _bad_name(source: Source, token: Token) -> StatementSyntaxError:
    shown = source.shown(token)
    example = f': "{shown}"' if "…" not in shown else ""
    return source.syntax_error(
        "a name has letters, digits and underscores",
        token.span,
        hint=f"Write any other name in double quotes{example}.",
    )


def _end(source: Source) -> Span:
    """Return the end of the text, before trailing comments."""
    last = source.token_before(len(source.text))
    return Span(last.span.end, last.span.end) if last else Span(0, 0)


def _tokens_before(source: Source, until: int) -> tuple[Token, ...]:
    """Return the tokens of a statement before an offset; of many only the first and last."""
    indices = source.tokens.statement(source.tokens.ending_after(until))
    first = (*islice(source.tokens.among(indices), _HEAD + 1),)
    if len(first) <= _HEAD:
        return first
    last = (*islice(source.tokens.among(indices[::-1]), _HEAD),)
    return (*first, *(token for token in reversed(last) if token.span.start > first[-1].span.start))


def _shown(stop: _Stop, token: Token) -> str:
    if token.kind == "mark":
        return f"`{token.text}`"
    return "the value" if token is stop.before and token.kind == "string" else stop.source.shown(token)


def _expected(stop: _Stop) -> str:
    """Return what was expected, in words: the parser says `end of text` wherever a statement could end or begin."""
    if stop.expected != "end of text":
        return stop.expected
    if not stop.before:
        return "a statement"
    if _is_location(stop.token):
        return "a location"
    return "`;`" if _begins_another(stop) else _END


def _begins_another(stop: _Stop) -> bool:
    """Return whether a statement seems to begin here; SET more likely belongs to a CREATE that does not have it."""
    in_create = bool(stop.head) and stop.head[0].text.upper() == "CREATE"
    return stop.word in _STARTS and not (stop.word == "SET" and in_create)


def _is_location(token: Token | None) -> bool:
    return token is not None and token.kind in {"word", "quoted"} and token.text.lstrip('"').startswith("s3://")


def _reference(stop: _Stop) -> Reference | None:
    """Return the statement being written, if its first words determine it."""
    words = [token.text.upper() for token in (*stop.head, *([stop.token] if stop.token else []))]
    words = ["CREATE", *words[3:]] if words[:3] == ["CREATE", "OR", "REPLACE"] else words
    words = ["CREATE", *words[2:]] if words[:2] == ["CREATE", "ICEBERG"] else words
    possible = [statement for statement in STATEMENTS if words[:1] == statement.name.split()[:1]]
    for length in (2, 1):
        exact = [statement for statement in possible if words[:length] == statement.name.split()[:length]]
        if len(exact) == 1:
            return exact[0]
    first = next(iter(possible), None) if words[0] in {"CREATE", "DROP"} else None
    return next((statement for statement in possible if [statement.name] == words[:1]), first)


def _option(stop: _Stop) -> Option | None:
    if not stop.before:
        return None
    tokens = stop.source.tokens
    indices = tokens.statement(tokens.ending_after(stop.before.span.end))
    words = (token.text for token in tokens.among(indices[::-1]) if token.kind == "word")
    return next((option for word in words if (option := find_option(word))), None)


# Hints: the first function that returns one


def _foreign(stop: _Stop) -> str:
    """Return the hint for a statement of another SQL, unless it is a misspelt one of ours."""
    if not stop.word or len(stop.head) > 1 or not stop.token:
        return ""
    translation = answer(stop.source.text, stop.token.span.start)
    return translation.note if translation else ""


def _comment(stop: _Stop) -> str:
    if stop.token is None or stop.token.kind != "word" or not stop.token.text.startswith(("#", "//")):
        return ""
    alone = stop.token.text in {"#", "//"}
    return "A comment begins with --." + (" Write -- instead." if alone else "")


def _assembled(stop: _Stop) -> str:
    """Return the hint for a text assembled from several parts, or by Python."""
    if (
        stop.word == "F"
        and stop.token
        and stop.source.text[stop.token.span.end : stop.token.span.end + 1] in {"'", '"'}
    ):
        return "Python puts a text together: place = f'…' in its own cell; then write $place here."
    together = (
        stop.before and stop.before.kind in {"string", "quoted"} and stop.token and stop.token.text in {"||", "+"}
    )
    return "Build the text in Python, in a variable, and write $name instead." if together else ""


def _word_order(stop: _Stop) -> str:
    """Return the right order for `CREATE CONNECTION S3 x` and similar ones."""
    if not stop.token or stop.word != "CONNECTION" or not stop.expected.startswith("S3"):
        return ""
    tokens = stop.source.tokens
    rest = tokens.among(count(tokens.ending_after(stop.token.span.start) + 1))
    names = (token for token in rest if token.kind in {"word", "quoted"} and token.text.upper() != "S3")
    first = next(names, None)
    return f"Write {_next_word(stop)} S3 CONNECTION {stop.source.shown(first) if first else 'name'}."


def _superfluous(stop: _Stop) -> str:
    """Return a misspelt optional word, recognized by the word after it."""
    if stop.word in {"EXISTS", "NOT"} and stop.before:
        return _suggestion(stop.head[-2 if stop.before.text.upper() == "NOT" else -1].text, "IF")
    if stop.expected == _PLACE and _next_word(stop) == "EXPLAIN ANALYZE":
        return _suggestion(stop.word, "SELECT")
    after = stop.source.token_at(stop.token.span.end) if stop.token else None
    optional = {"REPLACE": "OR", "CONNECTION": "S3", "TABLE": "ICEBERG"}.get(after.text.upper() if after else "")
    return _suggestion(stop.word, optional) if optional and stop.expected in _BEFORE_NAMES else ""


def _suggestion(written: str, word: str) -> str:
    return f"Did you mean {word}?" if written.upper() != word and nearest(written, [word]) else ""


def _no_connection(stop: _Stop) -> str:
    """Return the missing word of `CREATE S3 x`, `USE x` and similar ones."""
    near = nearest(stop.word, ["CONNECTION", "TABLE", "JOB", "MATERIALIZED"])
    if stop.expected not in _CONNECTION or not stop.token or stop.word in KEYWORDS or near:
        return ""
    after = stop.source.token_at(stop.token.span.end)
    # In DROP WAREHOUSE x the first word is the kind of thing, the second its name.
    name = after if after and after.kind == "word" and after.text.upper() not in KEYWORDS else stop.token
    shown = stop.source.shown(name)
    return f"Write {_next_word(stop)} CONNECTION {shown if stop.word and shown != '…' else 'name'}."


def _next_word(stop: _Stop) -> str:
    return " ".join(token.text.upper() for token in stop.head)


def _location(stop: _Stop) -> str:
    return "A location is written in single quotes: 's3://bucket/prefix'." if _is_location(stop.token) else ""


def _quotes(stop: _Stop) -> str:
    if not stop.token or stop.token.kind != "quoted" or stop.expected not in {*_VALUES, _END}:
        return ""
    return "Text is written in single quotes; double quotes are for names."


def _brackets(stop: _Stop) -> str:
    opening = stop.token.text[0] if stop.token else ""
    if opening == "[" and stop.expected in _VALUES:
        return "A list is written in parentheses: ('…', '…')."
    return "A Python variable is written $name." if opening == "{" and stop.before else ""


def _variable(stop: _Stop) -> str:
    after_it = len(stop.head) > 1 and stop.head[-2].text == "$"
    alone = stop.token is not None and stop.token.text == "$"
    return "A Python variable is a plain $name, without spaces, dots or an index." if after_it or alone else ""


def _first_word(stop: _Stop) -> str:
    if stop.expected != "a statement":
        return ""
    near = _SYNONYMS.get(stop.word) or nearest(stop.word, _STARTS)
    return f"Did you mean {near}?" if near and near != stop.word else f"A statement begins with {listed(_STARTS)}."


def _semicolon(stop: _Stop) -> str:
    return f"End the previous statement with `;` to begin another with {stop.word}." if stop.expected == "`;`" else ""


def _assignment(stop: _Stop) -> str:
    if stop.expected != "`=`" or not stop.before:
        return ""
    if option := find_option(stop.before.text):
        return f"Write {option.name} = {option.example}."
    is_job = "JOB" in [token.text.upper() for token in stop.head[1:3]]
    if stop.word in _OF_QUERIES and (hint := _suggestion(stop.before.text, "AS")):
        return hint
    near = nearest(stop.before.text, _OF_JOBS if is_job else OPTION_NAMES)
    return f"Did you mean {near}?" if near else "An option is NAME = value; a name with spaces goes in double quotes."


def _value(stop: _Stop) -> str:
    if stop.expected != "a value":
        return ""
    option = _option(stop)
    near = nearest(stop.word, _VALUE_WORDS) if stop.word not in OPTION_NAMES else None
    if near:
        return f"Did you mean {near}?"
    if option and option.takes == "TRUE or FALSE":
        return f"{option.name} takes {option.takes}."
    if stop.word and stop.word not in OPTION_NAMES:
        return "Text is written in single quotes: 'text'."
    return f"{option.name} takes {option.takes}, such as {option.example}." if option else ""


def _text(stop: _Stop) -> str:
    if stop.expected not in {_TEXT, _PLACE}:
        return ""
    source = next((token.text.upper() for token in stop.head[-2:] if token.text.upper() in _SOURCES), "")
    if source:
        return f"Write {_SOURCES[source]}."
    clause = stop.expected == _PLACE and stop.word in KEYWORDS
    return "Text is written in single quotes: 'text'." if stop.token and not clause else ""


def _number(stop: _Stop) -> str:
    if stop.expected.endswith("ALL") and nearest(stop.word, ["ALL"]):
        return "Did you mean ALL?"
    separated = len(stop.head) > 1 and stop.head[-2].text.upper() == "LIMIT" and stop.token and stop.token.text == ","
    if not stop.expected.startswith("a whole number") and not separated:
        return ""
    if stop.before and stop.before.text.upper() == "DEPTH":
        return "DEPTH takes a number of at most 18 digits, without a sign or separators."
    reference = _reference(stop)
    unlimited = ", or ALL for no limit" if reference and "LIMIT ALL" in reference.syntax else ""
    return f"LIMIT takes a number of at most 18 digits, without a sign or separators{unlimited}."


def _list(stop: _Stop) -> str:
    inside = stop.expected == "`)`" and stop.token is not None and stop.token.kind in {"string", "quoted"}
    return "Separate the values of a list with commas." if inside else ""


def _name(stop: _Stop) -> str:
    if stop.expected != "a name" or not stop.token:
        return ""
    if stop.token.kind == "string":
        known = [name for name in stop.source.connections() if stop.token.text == literal(name)]
        if known:
            return f"Write {identifier(known[0]) if not known[0].isidentifier() else known[0]} instead."
        return "A name is written without quotes, or in double quotes."
    if stop.word in OPTION_NAMES:
        return f'{stop.word} is an option; the name goes before the options, and as a name it is "{stop.token.text}".'
    if stop.word in KEYWORDS:
        return f'{stop.word} is a keyword; as a name it is written "{stop.token.text}".'
    return "A name has letters, digits and underscores; any other is written in double quotes."


def _misspelt(stop: _Stop) -> str:
    words = [word for word in re.split("[, ]+", stop.expected) if word.isupper() and word != stop.word]
    reference = _reference(stop)
    if stop.before and stop.before.text.upper() == "MAP_COLUMNS_BY_NAME":
        words.append("EXCEPT")
    if stop.expected == "ON" and stop.token is None:  # a predicate extends to ON VIOLATION
        return _of_violation([token.text for token in stop.head])
    if stop.expected == _END and reference:
        head = [token.text.upper() for token in stop.head]
        begun = [statement.syntax for statement in STATEMENTS if statement.name.split()[: len(head)] == head]
        words = _WORD.findall(" ".join([reference.syntax, *begun]))
        words += list(OPTION_NAMES) * ("option" in reference.syntax)
    near = nearest(stop.word, words) if stop.word else None
    return f"Did you mean {near}?" if near and near != stop.word else ""


def _of_violation(texts: Sequence[str]) -> str:
    """Return the misspelt word of ON VIOLATION among those of a predicate."""
    for first, second in reversed([*pairwise(texts)]):
        if second.upper() == "VIOLATION" and (hint := _suggestion(first, "ON")):
            return hint
        if first.upper() == "ON" and (hint := _suggestion(second, "VIOLATION")):
            return hint
    return ""


def _into(stop: _Stop) -> str:
    if stop.expected == "DROP or WARN" and not nearest(stop.word, ["DROP", "WARN"]):
        return "Write WARN, which keeps the rows and counts them, or DROP, which leaves them out."
    return "Say which table the job loads, as in INTO orders." if stop.expected == "INTO" and not stop.token else ""


def _mark(stop: _Stop) -> str:
    """Return the hint for a wrong, surplus or trailing mark, if the text parses without it."""
    if not stop.token:
        return ""
    word = re.sub(r"^\W+|\W+$", "", stop.token.text)
    tries = {"": "Delete it.", ";": "Write ; instead."}
    if word and word != stop.token.text:
        tries = {word: f"Write {word} instead."} if stop.source.shown(stop.token) == stop.token.text else {}
    elif word:
        return ""
    return next((hint for new, hint in tries.items() if stop.parses(stop.source.with_word(stop.token, new))), "")


def _syntax(stop: _Stop) -> str:
    reference = _reference(stop)
    if reference:
        return f"The syntax is: {reference.syntax}"
    return "HELP lists the statements." if stop.head else ""


_ADVICE = (
    _comment,
    _assembled,
    _foreign,
    _word_order,
    _superfluous,
    _no_connection,
    _location,
    _quotes,
    _brackets,
    _number,
    _variable,
    _first_word,
    _semicolon,
    _assignment,
    _value,
    _text,
    _list,
    _name,
    _misspelt,
    _into,
    _mark,
    _syntax,
)


# Hints for refused values


def cure(takes: Option | Setting, raw: object) -> str:
    """Return the hint for a value that an option or setting does not take; empty if there is none."""
    if isinstance(takes, Option) and takes.secret:
        wrong = takes.name == "ENCRYPTION_CUSTOMER_MANAGED_KEY" and raw != MASK
        return "" if wrong else f"Write PROMPT '{takes.name}' instead."
    if reference := _quoted_variable(raw):
        return f"Write ${reference} instead."
    near = nearest(raw, choices) if isinstance(raw, str) and (choices := _CHOICE.findall(takes.takes)) else None
    if near:
        return f"Did you mean '{near}'?"
    if takes.name == "AWS_ROLE" and isinstance(raw, str) and (meant := _role_meant(raw)):
        return meant
    for value in _values_meant(takes, raw):
        try:
            takes.read(value)
        except ValueError:
            continue
        written = f"({', '.join(map(literal, value))})" if isinstance(value, tuple) else _value_text(value)
        return f"Write {written} instead." if harmless(written) else ""
    return "Leave it out: the region of each bucket is looked up." if takes.name == "REGION" else ""


# The ARN of a session of a role, or of a role with one colon too few.
_ROLE_OF = re.compile(r"(arn:aws[a-z-]*):(?:sts::?|iam::?)(\d{12}):(?:assumed-role|role)/([\w+=,.@-]+)(?:/\S*)?")
_CHOICE = re.compile(r"'([^']+)'")
_REFERENCE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?|\{\{?\s*([A-Za-z_]\w*)\s*\}?\}")


def _role_meant(raw: str) -> str:
    """Return the hint for the ARN of a session of a role, for one with a colon too few, or for a role's name."""
    if role := _ROLE_OF.fullmatch(raw):
        return f"Write '{role[1]}:iam::{role[2]}:role/{role[3]}' instead."
    named = re.fullmatch(r"[\w+=,.@-]{1,64}", raw) and harmless(raw)
    return f"Write 'arn:aws:iam::{BLANK}:role/{raw}' instead, with the account's number." if named else ""


def _quoted_variable(raw: object) -> str:
    """Return the name of a variable in quotes."""
    match = _REFERENCE.fullmatch(raw) if isinstance(raw, str) else None
    return (match[1] or match[2]) if match else ""


def _value_text(value: object) -> str:
    return (
        str(value).upper() if isinstance(value, bool) else str(value) if isinstance(value, int) else literal(str(value))
    )


def _values_meant(takes: Option | Setting, raw: object) -> Iterator[object]:
    text = str(raw).strip()
    if text.lower() in BOOLEANS:
        yield BOOLEANS[text.lower()]
    bounds = [int(number) for number in re.findall(r"\d+", takes.takes)]
    digits = re.sub(r"[_, ]|\.0*$", "", text)
    if digits.lstrip("-").isdecimal():
        yield int(digits)
        yield min(max(int(digits), min(bounds, default=1)), max(bounds, default=1))
    if not isinstance(raw, bool):
        yield text
    if not isinstance(raw, str) or not text:
        return
    if takes.name == "PATH_DISPLAY_FILTERS":
        parts = [normal_location(WILD.split(part, maxsplit=1)[0]) for part in re.split(r"\s*,\s*", text) if part]
        yield parts[0] if len(parts) == 1 else tuple(parts)
    if takes.name == "ADDRESSING_STYLE" and (style := re.search("path|host|domain|dns|^on$", text.lower())):
        yield "path" if style[0] in {"path", "on"} else "virtual"
    if takes.name == "ENCRYPTION_KMS_KEY" and "/" not in text:
        yield f"alias/{text}"
    url = re.sub(r"\A(https?):?/{1,2}(?:[\w.-]+\.(?=s3[.-].*amazonaws))?(?=[^/])", r"\1://", text)
    if takes.name == "ENDPOINT" and "@" not in text and (match := URL.fullmatch(url)):
        yield f"{match['scheme'] or ('http://' if is_local(text) else 'https://')}{match['host']}"
    if takes.name == "REGION":
        spaced = re.sub(r"[\s_]+", "-", re.sub(r"(?<=\d)[a-f]$", "", text).lower())
        yield spaced if re.search(r"\d$", spaced) else f"{spaced}-1"
    yield text
