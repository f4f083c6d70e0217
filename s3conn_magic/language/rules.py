"""What the grammar's rules are made of: pyparsing elements that make nodes of the tree, and parts that rules share."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import pyparsing as pp

from s3conn_magic.language import statements
from s3conn_magic.language.job_options import JOB_OPTIONS, VIEW_OPTIONS
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.reference import KEYWORDS, AnalyzeBy, CompareBy
from s3conn_magic.language.source import DOLLAR_QUOTED, WHITE, Span, unquoted
from s3conn_magic.language.words import identifier, listed, table_text
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_next_word = re.compile("[A-Za-z_]++").match
_WHITE = frozenset(WHITE)
WORD_END = "(?![A-Za-z0-9_])"


class ParseError(Exception):
    """Where parsing stopped, and what was expected or refused; holds nothing of the text."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class Terminal(pp.Regex):
    """A regular expression without groups, whose match makes a value from its text and offset, or nothing."""

    def __init__(self, pattern: str, name: str, make: Callable[[str, int], Any] | None = None) -> None:
        super().__init__(pattern)
        self.set_whitespace_chars(WHITE)
        self.set_name(name)
        self.make = make

    def parseImpl(self, instring: str, loc: int, do_actions: bool = True) -> Any:  # noqa: ARG002, N802 - pyparsing's
        """Match at an offset."""
        match = self.re_match(instring, loc)
        if match is None:
            raise pp.ParseException(instring, loc, self.errmsg, self)
        return match.end(), [self.make(match.group(), loc)] if self.make else []


class Keyword(Terminal):
    """A keyword, in any case."""

    def __init__(self, word: str, make: Callable[[str, int], Any] | None = None, short: str = "") -> None:
        self.word, self.short = word, short
        super().__init__(rf"(?ai:{f'{word}|{short}' if short else word}){WORD_END}", word, make)


class Words(pp.ParseElementEnhance):
    """Keywords in a row; read at once where all are there, and one by one to say which is not."""

    def __init__(self, first: Keyword, more: Sequence[Keyword]) -> None:
        rule: pp.ParserElement = first
        for keyword in more:
            rule = rule - keyword
        super().__init__(rule)
        self._first = first
        rest = "".join(f"[{WHITE}]+{keyword.word}" for keyword in more)
        self._read = re.compile(rf"(?ai:{first.word})(?:(?P<rest>(?ai:{rest}))|){WORD_END}").match

    def parseImpl(self, instring: str, loc: int, do_actions: bool = True) -> Any:  # noqa: N802 - pyparsing's
        """Match at an offset."""
        match = self._read(instring, loc)
        if match is None:
            raise pp.ParseException(instring, loc, self._first.errmsg, self._first)
        if match["rest"]:
            return match.end(), []
        return self.expr._parse(instring, loc, do_actions, callPreParse=False)  # noqa: SLF001 - as pyparsing's own do


class Node(pp.ParseElementEnhance):
    """A rule whose results and trimmed span are made into one value.

    `make` may raise a ParseError.
    """

    def __init__(self, rule: pp.ParserElement, make: Callable[[list[Any], Span], Any]) -> None:
        super().__init__(rule)
        self.make = make

    def parseImpl(self, instring: str, loc: int, do_actions: bool = True) -> Any:  # noqa: N802 - pyparsing's
        """Match at an offset."""
        end, parts = self.expr._parse(instring, loc, do_actions, callPreParse=False)  # noqa: SLF001 - as pyparsing's own do
        written = instring[loc:end].rstrip(WHITE)
        try:
            return end, [self.make(list(parts), Span(loc, loc + len(written)))]
        except ParseError as error:
            raise pp.ParseFatalException(instring, error.at, error.message) from None


class AtMost(pp.ZeroOrMore):
    """A rule repeated up to a bound; one more is refused with the message."""

    def __init__(self, most: int, rule: pp.ParserElement, message: str) -> None:
        super().__init__(rule)
        self.most = most
        self.message = message

    def parseImpl(self, instring: str, loc: int, do_actions: bool = True) -> Any:  # noqa: N802 - pyparsing's
        """Match at an offset."""
        parts: list[Any] = []
        for count in range(self.most + 1):
            try:
                after, part = self.expr._parse(instring, loc, do_actions)  # noqa: SLF001 - as pyparsing's own do
            except pp.ParseException:
                break
            if count == self.most:
                at = self.preParse(instring, loc)
                raise pp.ParseFatalException(instring, at, self.message)
            loc = after
            parts.extend(part)
        return loc, parts


class ByFirstWord(pp.MatchFirst):
    """Alternatives, of which only those that can begin with the next word are tried."""

    def __init__(self, rules: list[pp.ParserElement], name: str) -> None:
        super().__init__(rules)
        self.set_name(name)
        words = {word for rule in rules for word in _first_words(rule)}
        self._possible = {word: [rule for rule in rules if {word, ""} & {*_first_words(rule)}] for word in words}

    def parseImpl(self, instring: str, loc: int, do_actions: bool = True) -> Any:  # noqa: N802 - pyparsing's
        """Match at an offset."""
        while instring[loc : loc + 1] in _WHITE:
            loc += 1
        word = _next_word(instring, loc)
        for rule in self._possible.get(word.group().upper() if word else "", self._possible[""]):
            try:
                return rule._parse(instring, loc, do_actions)  # noqa: SLF001 - as pyparsing's own do
            except pp.ParseFatalException:
                raise
            except pp.ParseException:
                pass
        raise pp.ParseException(instring, loc, self.errmsg, self)


def _first_words(rule: Any) -> tuple[str, ...]:
    """Return the words that a rule begins with (a keyword and its short form); empty if it can begin otherwise."""
    while not isinstance(rule, pp.Token):
        rule = rule.exprs[0] if isinstance(rule, pp.ParseExpression) else rule.expr
    return (rule.word, *filter(None, [rule.short])) if isinstance(rule, Keyword) else ("",)


OFFERS, UNOFFERED, PHRASE = "offers", "unoffered", "phrase"


def offering(kind: str, rule: pp.ParserElement) -> pp.ParserElement:
    """Mark a rule with the kind of names that completion offers for it, such as `connection`."""
    marked = rule.copy()
    setattr(marked, OFFERS, kind)
    return marked


def unoffered(rule: pp.ParserElement) -> pp.ParserElement:
    """Mark a rule as a synonym that completion does not offer."""
    if isinstance(rule, pp.MatchFirst):
        return pp.MatchFirst([unoffered(alternative) for alternative in rule.exprs])
    marked = rule.copy()
    setattr(marked, UNOFFERED, True)
    return marked


def phrase(text: str, rule: pp.ParserElement) -> pp.ParserElement:
    """Mark a rule with the keywords that completion offers for it."""
    setattr(rule, PHRASE, text)
    return rule.set_name(text)


def keyword(text: str, short: str = "") -> pp.ParserElement:
    """Return a keyword that is a value; with a short form, it results in nothing."""
    return Keyword(text, None if short else lambda _, __: text, short)


def words(text: str) -> pp.ParserElement:
    """Return a sequence of keywords, all required once the first matches; it results in nothing."""
    first, *rest = map(Keyword, text.split())
    return Words(first, rest) if rest else first


def mark(text: str) -> pp.ParserElement:
    """Return a mark, which results in nothing."""
    return Terminal(re.escape(text), f"`{text}`")


def leaf(pattern: str, name: str, kind: Any, read: Callable[[str], Any]) -> Terminal:
    """Return a node of the tree made from one match."""
    return Terminal(pattern, name, lambda text, at: kind(read(text), Span(at, at + len(text))))


def branch(kind: Any, rule: pp.ParserElement) -> pp.ParserElement:
    """Return a node of the tree made from the rule's results and its span."""
    return Node(rule, lambda parts, span: kind(*parts, span))


def field(name: str, rule: pp.ParserElement) -> pp.ParserElement:
    """Return a rule whose one result is the value of a field of the statement."""
    return Node(rule, lambda parts, span: (name, parts[0], span.start))


def fields(name: str, rule: pp.ParserElement) -> pp.ParserElement:
    """Return a rule whose results are the value of a field of the statement."""
    return Node(rule, lambda parts, span: (name, tuple(parts), span.start))


def flag(name: str, text: str) -> pp.ParserElement:
    """Return keywords that set a field of the statement to True."""
    return Node(words(text), lambda _, span: (name, True, span.start)).set_name(text)


def builds(kind: Any, rule: pp.ParserElement) -> pp.ParserElement:
    """Return a rule that makes the statement from fields; a repeated field is an error."""
    return Node(rule, lambda parts, span: _stated(kind, parts, span))


def variant(kind: Any, rule: pp.ParserElement) -> pp.ParserElement:
    """Return an alternative of `variants`: one of the statements that begin with the same word."""
    return Node(rule, lambda parts, _: (kind, parts))


def variants(rule: pp.ParserElement) -> pp.ParserElement:
    """Return a rule whose last result is a variant, which makes the statement with the fields before it."""
    return Node(rule, lambda parts, span: _stated(parts[-1][0], [*parts[:-1], *parts[-1][1]], span))


def _stated(kind: Any, clauses: list[tuple[str, Any, int]], span: Span) -> Any:
    given: dict[str, Any] = {}
    for name, value, at in clauses:
        if name not in given:
            given[name] = value
        elif name == "settings":
            given[name] += value
        else:
            raise ParseError(at, f"{_clause(name)} appears twice")
    return kind(**given, span=span)


def _clause(name: str) -> str:
    return "the location" if name == "location" else name.replace("_", " ").upper()


_DIGITS = 18
# Far more than anyone writes: bounds the time spent on nonsense.
_MOST_VALUES = 5_000
_MOST_JOB_VALUES = 1_000
MOST_OPTIONS = 50
TOO_MANY = f"a statement has at most {MOST_OPTIONS} options"
_TOO_MANY_OF_A_JOB = f"a job has at most {MOST_OPTIONS} options"
# Keywords that occur only where no name can, so they need no quotes as names.
_FREE = (
    "ADD ALL ASIDE BUCKETS COMPARE CONNECTIONS COPY DELETE_DATA DISCOVER ENV ERRORS EXACT EXCEPT EXPECT EXPECTATION"
    " EXPLAIN FROM HELP ICEBERG INSERT JOB JOBS INVENTORY KEY KEYRING MAP_COLUMNS_BY_NAME MATERIALIZED MERGE OF ON"
    " OPTIMIZE PARTITIONED PAUSE PERCENT PRIMARY PROMPT RESUME ROWS RUN SAMPLE SANDBOX SAVE SELECT SETTINGS SNAPSHOTS"
    " START STOP SUMMARIZE SYNC TABLE TABLES TEST UNNEST USE VIEW VIOLATION WARN"
)
_GROUPS = {*get_args(AnalyzeBy), *get_args(CompareBy)} - {"VERSIONS"}
STRUCTURAL = KEYWORDS - {*_FREE.split(), *_GROUPS, "WRITE"}
RESERVED = STRUCTURAL | frozenset(OPTION_NAMES)
"""Words that need double quotes as names."""


def name_but(excluded: frozenset[str], name: str) -> pp.ParserElement:
    """Return an identifier other than these words."""
    return leaf(rf"(?!(?ai:{'|'.join(sorted(excluded))}){WORD_END}){IDENTIFIER}", name, statements.Name, str)


# Names and values

IDENTIFIER, _STRING, _QUOTED = r"[A-Za-z_][A-Za-z0-9_]*", r"'(?:[^']|'')*+'", r'"(?:[^"]|"")++"'


def name_text(name: str, reserved: Collection[str] = RESERVED) -> str:
    """Return a name as it is written outside quotes, quoted if it needs that."""
    return name if re.fullmatch(IDENTIFIER, name) and name.upper() not in reserved else identifier(name)


_NUMBER = rf"[0-9]{{1,{_DIGITS}}}(?![A-Za-z0-9_.])"
name = (leaf(_QUOTED, "a name", statements.Name, unquoted) | name_but(RESERVED, "a name")).set_name("a name")
text = Terminal(_STRING, "text in single quotes", lambda raw, _: unquoted(raw))
connection_name = offering("connection", name)
number = Terminal(_NUMBER, "a whole number", lambda raw, _: int(raw))

string = leaf(_STRING, "text in single quotes", statements.StringLiteral, lambda raw: Secret(unquoted(raw)))
variable = offering(
    "variable", leaf(rf"\${IDENTIFIER}", "a Python variable", statements.VariableSource, lambda raw: raw[1:])
)
boolean = leaf(
    rf"(?ai:TRUE|FALSE){WORD_END}", "TRUE or FALSE", statements.BooleanLiteral, lambda raw: raw.upper() == "TRUE"
)
integer = leaf(_NUMBER, "a whole number", statements.IntegerLiteral, int)
env = branch(statements.EnvSource, words("ENV") - offering("environment variable", text))
keyring = branch(statements.KeyringSource, words("KEYRING") - text - text)
prompt = Node(words("PROMPT") + pp.Opt(text), lambda parts, span: statements.PromptSource("".join(parts), span))
scalar = offering("value", (string | variable | boolean | integer | env | keyring | prompt).set_name("a value"))
_more_items = AtMost(_MOST_VALUES - 1, mark(",") + scalar, f"a list has at most {_MOST_VALUES} values")
_items = scalar - _more_items - pp.Opt(mark(","))
values = Node(mark("(") - _items - mark(")"), lambda parts, span: statements.ListLiteral(tuple(parts), span))
value = offering("value", (scalar | values).set_name("a value"))

# Options and clauses

option_name = offering("option", name_but(STRUCTURAL, "an option"))
_as_field = Terminal("={1,2}", "`=`")
option = branch(statements.OptionSetting, option_name - _as_field - value)
options = option - AtMost(MOST_OPTIONS - 1, mark(",") - option | option, TOO_MANY)

named = field("name", connection_name).set_name("a name")
new_name = field("name", name).set_name("a name")
if_exists = pp.Opt(flag("if_exists", "IF EXISTS"))
like = field("like", words("LIKE") - text)
using = field("using", words("USING") - connection_name)
place = offering("location", (string | variable).set_name("an s3:// location"))
location = field("location", place).set_name("an s3:// location")
_groups = pp.MatchFirst([keyword(by) for by in get_args(AnalyzeBy)]).set_name(listed(get_args(AnalyzeBy)))
by = field("by", words("BY") - _groups)
depth = field("depth", words("DEPTH") - integer)
looks = field("sample", words("SAMPLE") - integer)
inventory = field("inventory", words("FROM INVENTORY") - place)
limit = field("limit", words("LIMIT") - (keyword("ALL") | number).set_name("a whole number or ALL"))

# Queries: the engine parses them, the grammar only finds their end

_TEXT = rf"""'(?:[^']|'')*+'|"(?:[^"]|"")*+"|{DOLLAR_QUOTED}"""
_QUERY = (
    rf"""(?:\([{WHITE}(]*+)?+(?ai:SELECT|WITH|FROM|UNNEST){WORD_END}(?:[{WHITE}]*+(?:[^;'"${WHITE}]++|{_TEXT}|\$))*+"""
)
_BRACKET = r"[^()'\"]++|'(?:[^']|'')*+'|\"(?:[^\"]|\"\")*+\""
_COLUMNS = rf"\((?:{_BRACKET}|\((?:{_BRACKET}|\((?:{_BRACKET})*+\))*+\))*+\)"


def _sql(kind: Callable[[Secret, Span], Any], text: str, at: int) -> Any:
    written = text.rstrip(WHITE)
    return kind(Secret(written), Span(at, at + len(written)))


_INSERTED = _QUERY.replace("SELECT|", "SELECT|VALUES|")
_MERGED = rf"(?:[{WHITE}]*+(?:[^;'\"${WHITE}]++|{_TEXT}|\$))++"
inserted = Terminal(_INSERTED, "MAP_COLUMNS_BY_NAME, SELECT, WITH, FROM or VALUES", partial(_sql, statements.SqlText))
merged = Terminal(_MERGED, "USING", partial(_sql, statements.SqlText))
query = Terminal(_QUERY, "SELECT, WITH or FROM", partial(_sql, statements.SqlText))
columns = Terminal(_COLUMNS, "columns in parentheses", partial(_sql, statements.SqlText))
# The query of a materialized view ends before its options.
_NOT_OPTION = rf"(?!(?ai:{'|'.join(VIEW_OPTIONS)})[{WHITE}]*=)"
viewed = Terminal(
    _QUERY.replace("(?:[^;", f"{_NOT_OPTION}(?:[^;", 1), "SELECT, WITH or FROM", partial(_sql, statements.SqlText)
)

# Levels of nested groups of values.
_DEPTH = 3
_PART = rf"(?:{IDENTIFIER}|{_QUOTED})"
_UNITS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400, "WEEK": 604_800}
# Words that end the options of a job.
_ENDS = frozenset({"AS", "INTO", "SELECT", "WITH", "FROM", "UNNEST"})
_WAREHOUSES = "SNOWFLAKE|REDSHIFT|POSTGRES|ELASTICSEARCH|CLICKHOUSE|MYSQL"


def _interval(text: str) -> timedelta:
    number, unit = text.split()
    return timedelta(seconds=int(number) * _UNITS[unit.upper().removesuffix("S")])


def _timestamp(text: str, at: int) -> statements.StringLiteral:
    """Return a rule for `TIMESTAMP '…'` that results in its text."""
    begins = text.index("'")
    return statements.StringLiteral(Secret(unquoted(text[begins:])), Span(at + begins, at + len(text)))


def _nested(depth: int) -> str:
    """Return a regular expression for SQL up to a comma or closing parenthesis, with nested pairs up to a depth."""
    plain = rf"[^'\"(),;]|{_STRING}|{_QUOTED}"
    within = plain
    for _ in range(depth):
        within = rf"{plain}|\((?:{within}|,)*+\)"
    return rf"(?:{within})++"


# Values of a job's options

timestamp = Terminal(rf"(?ai:TIMESTAMP)\s*{_STRING}", "a time", _timestamp)
interval = leaf(
    rf"-?[0-9]{{1,6}}\s+(?ai:{'|'.join(_UNITS)})(?ai:S?){WORD_END}", "a length of time", statements.Interval, _interval
)
_signed = leaf(rf"-?[0-9]{{1,{_DIGITS}}}(?![A-Za-z0-9_.])", "a whole number", statements.IntegerLiteral, int)
word = leaf(rf"{_QUOTED}|{IDENTIFIER}(?:\.{IDENTIFIER})*", "a word", statements.Name, unquoted)
_job_scalar = string | timestamp | variable | boolean | interval | _signed | word


def _job_setting(name: pp.ParserElement, value: pp.ParserElement) -> pp.ParserElement:
    return Node(name - mark("=") - value, lambda parts, span: statements.JobSetting(parts[0], parts[1], span))


def _group(item: pp.ParserElement) -> pp.ParserElement:
    more = AtMost(_MOST_JOB_VALUES - 1, mark(",") + item | item, f"a list has at most {_MOST_JOB_VALUES} values")
    rule = mark("(") - item - more - pp.Opt(mark(",")) - mark(")")
    return Node(rule, lambda parts, span: statements.Group(tuple(parts), span))


def _job_value(depth: int) -> pp.ParserElement:
    if depth == 0:
        return _job_scalar.set_name("a value")
    inner = _job_value(depth - 1)
    named = leaf(rf"{IDENTIFIER}(?=\s*=)", "a name", statements.Name, str)
    return (_job_scalar | _group((_job_setting(named, inner) | inner).set_name("a value"))).set_name("a value")


_any_job_value = _job_value(_DEPTH)
_transformed = leaf(_PART, "a column", statements.Name, unquoted)
_expression = Terminal(_nested(5), "an expression", partial(_sql, statements.Expression))
_transformations = Node(
    mark("(")
    - _job_setting(_transformed, _expression)
    - AtMost(_MOST_JOB_VALUES - 1, mark(",") + _job_setting(_transformed, _expression), "these are too many columns")
    - pp.Opt(mark(","))
    - mark(")"),
    lambda parts, span: statements.Group(tuple(parts), span),
)


def _parts(raw: str) -> tuple[str, ...]:
    return tuple(map(unquoted, re.findall(_PART, raw)))


def _one_text(raw: str) -> str:
    return table_text(_parts(raw))


# Options of a job

_columns = leaf(rf"(?ai:COLUMN_TRANSFORMATIONS){WORD_END}", "an option", statements.Name, str)
_switches = "|".join(option.name for option in JOB_OPTIONS.values() if option.switch)
_switch = leaf(rf"(?ai:{_switches}){WORD_END}(?!\s*=)", "an option", statements.Name, str)
_job_option = (
    _job_setting(_columns, _transformations)
    | Node(_switch, lambda parts, span: statements.JobSetting(parts[0], None, span))
    | _job_setting(offering("job option", name_but(_ENDS | {"COLUMN_TRANSFORMATIONS"}, "an option")), _any_job_value)
).set_name("an option")
job_settings = fields(
    "settings", _job_option - AtMost(MOST_OPTIONS - 1, mark(",") - _job_option | _job_option, _TOO_MANY_OF_A_JOB)
)
_PREDICATE = rf"(?:(?!(?<![A-Za-z0-9_])(?ai:ON)\s+(?ai:VIOLATION){WORD_END})(?:{_nested(5)[:-3][3:]}|,))++"
expectation = branch(
    statements.Expectation,
    words("EXPECTATION")
    - name
    - words("EXPECT")
    - Terminal(_PREDICATE, "a predicate", partial(_sql, statements.Expression))
    - words("ON VIOLATION")
    - (keyword("DROP") | keyword("WARN")).set_name("DROP or WARN"),
)
job_expectations = fields(
    "expectations", AtMost(MOST_OPTIONS, words("WITH") - expectation, f"a job has at most {MOST_OPTIONS} expectations")
)
table = leaf(
    rf"(?!(?ai:{_WAREHOUSES})\s+{_PART}(?:\s*\.|\s+(?ai:PREFIX){WORD_END})){_PART}(?:\s*\.\s*{_PART}){{0,2}}",
    "a table's name",
    statements.TableName,
    _parts,
)
into_columns = field(
    "columns",
    Terminal(
        rf"\(\s*(?!(?ai:SELECT|WITH|FROM|VALUES|UNNEST){WORD_END}){_PART}(?:\s*,\s*{_PART})*\s*\)",
        "columns in parentheses",
        lambda raw, _: _parts(raw),
    ),
)

table_name = (
    leaf(rf"{_PART}(?:\s*\.\s*{_PART}){{1,2}}", "a name", statements.Name, _one_text)
    | leaf(_QUOTED, "a name", statements.Name, lambda raw: table_text([unquoted(raw)]))
    | name_but(RESERVED, "a name")
).set_name("a name")
table_named = field("name", table_name).set_name("a name")
_job_name = (leaf(rf"{_PART}(?:\s*\.\s*{_PART}){{1,2}}", "a name", statements.Name, _one_text) | name).set_name(
    "a name"
)
job_named = offering("job", field("name", _job_name).set_name("a name"))
table_there = offering("table", field("name", table_name).set_name("a name"))

# Clauses of a table whose files are in S3

_CLAUSES = frozenset({"AS", "LOCATION", "USING", "PARTITIONED", "PARTITION", "PRIMARY", "SELECT", "WITH", "FROM"})
_TRANSFORM = rf"(?:\$?{IDENTIFIER}|{_QUOTED})(?:\s*\((?:[^()'\"]|{_QUOTED})*\))?(?!\s*=)"


def _list_of(field_name: str, item: pp.ParserElement) -> pp.ParserElement:
    """Return a rule for a list of items, in brackets or not."""
    more = AtMost(MOST_OPTIONS - 1, mark(",") + item, f"a list has at most {MOST_OPTIONS} values")
    return fields(field_name, mark("(") - item - more - mark(")") | item - more)


_partition = leaf(_TRANSFORM, "a column, or a transform of one", statements.Name, str)
_key = leaf(rf"(?:\$?{IDENTIFIER}|{_QUOTED})(?!\s*=)", "a column", statements.Name, unquoted)
_named_option = (
    rf"(?!(?ai:{'|'.join(sorted(_CLAUSES))}){WORD_END}){IDENTIFIER}(?=[{WHITE}]*(?:=|\Z))"  # VALUE may be the last word
)
_option_of_table = offering("table option", leaf(_named_option, "an option", statements.Name, str))
_table_option = _job_setting(_option_of_table, _any_job_value)
table_settings = fields(
    "settings",
    _table_option - AtMost(MOST_OPTIONS - 1, pp.Opt(mark(",")) + _table_option, "these are too many options"),
)
by_names = flag("by_name", "MAP_COLUMNS_BY_NAME") - pp.Opt(words("EXCEPT") - _list_of("without", _key))
table_clause = (
    (words("PARTITIONED BY") | unoffered(Terminal(r"(?ai:PARTITION\s+BY)\b", "PARTITIONED BY")))
    - _list_of("partitioned", _partition)
    | words("PRIMARY KEY") - _list_of("keys", _key)
    | field("location", words("LOCATION") - pp.Opt(mark("=")) - place)
    | using
    | table_settings
)
