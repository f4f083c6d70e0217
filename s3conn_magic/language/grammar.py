"""The grammar: text of a cell → statements. `docs/grammar.md` holds its BNF.

pyparsing runs it; `rules.py` has the elements that make nodes. A new statement is a rule here (`builds`, or `variant`
where several begin with one word) and an alternative of `statement`. Completion asks the same rules what they expect;
`offering` marks those that stand for names and values it can look up.

The text comes with its comments blanked, so offsets are those of the cell. Every rule has a name that reads well
after "expected", and an error stop (`-`) stands wherever only one continuation is left.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import pyparsing as pp

from s3conn_magic.errors import StatementSyntaxError
from s3conn_magic.language import statements
from s3conn_magic.language.job_options import JOB_OPTIONS
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.plans import Translation
from s3conn_magic.language.reference import KEYWORDS, AnalyzeBy, CompareBy
from s3conn_magic.language.rules import (
    WORD_END,
    AtMost,
    ByFirstWord,
    Node,
    ParseError,
    Terminal,
    branch,
    builds,
    field,
    fields,
    flag,
    keyword,
    leaf,
    mark,
    offering,
    phrase,
    unoffered,
    variant,
    variants,
    words,
)
from s3conn_magic.language.source import DOLLAR_QUOTED, WHITE, Span, unquoted
from s3conn_magic.language.words import listed, table_text
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.language.source import Source
    from s3conn_magic.language.translation import Answer

FLAG = "the flag of a command is a comment here, and changes nothing"
_DIGITS = 18
# Far more than anyone writes, so that what cannot be meant is not read to its end.
_MOST_STATEMENTS = 2_500
_MOST_VALUES = 5_000
_MOST_JOB_VALUES = 1_000
_MOST_OPTIONS = 50
_TOO_MANY = f"a statement has at most {_MOST_OPTIONS} options"
_TOO_MANY_OF_A_JOB = f"a job has at most {_MOST_OPTIONS} options"
# Keywords that stand where no name can, so that they may be names without quotes.
_FREE = (
    "ALL ASIDE BUCKETS COMPARE CONNECTIONS COPY DELETE_DATA DISCOVER ENV ERRORS EXACT EXPLAIN FROM HELP ICEBERG "
    "INSERT JOB JOBS INVENTORY KEY KEYRING MAP_COLUMNS_BY_NAME MERGE OF OPTIMIZE PARTITIONED PAUSE PERCENT "
    "PRIMARY PROMPT RESUME ROWS RUN SAMPLE SANDBOX SAVE SELECT SETTINGS SNAPSHOTS START STOP SUMMARIZE SYNC TABLE "
    "TABLES TEST USE"
)
_GROUPS = {*get_args(AnalyzeBy), *get_args(CompareBy)} - {"VERSIONS"}
_STRUCTURAL = KEYWORDS - {*_FREE.split(), *_GROUPS, "WRITE"}
RESERVED = _STRUCTURAL | frozenset(OPTION_NAMES)
"""Words that are names only in double quotes."""


def _name_but(taken: frozenset[str], name: str) -> pp.ParserElement:
    """Return an identifier that is none of the words."""
    return leaf(rf"(?!(?ai:{'|'.join(sorted(taken))}){WORD_END}){_IDENTIFIER}", name, statements.Name, str)


# Names and values

_IDENTIFIER, _STRING, _QUOTED = r"[A-Za-z_][A-Za-z0-9_]*", r"'(?:[^']|'')*+'", r'"(?:[^"]|"")++"'
_NUMBER = rf"[0-9]{{1,{_DIGITS}}}(?![A-Za-z0-9_.])"
name = (leaf(_QUOTED, "a name", statements.Name, unquoted) | _name_but(RESERVED, "a name")).set_name("a name")
text = Terminal(_STRING, "text in single quotes", lambda raw, _: unquoted(raw))
connection_name = offering("connection", name)
number = Terminal(_NUMBER, "a whole number", lambda raw, _: int(raw))

string = leaf(_STRING, "text in single quotes", statements.StringLiteral, lambda raw: Secret(unquoted(raw)))
variable = offering(
    "variable", leaf(rf"\${_IDENTIFIER}", "a Python variable", statements.VariableSource, lambda raw: raw[1:])
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

option_name = offering("option", _name_but(_STRUCTURAL, "an option"))
_gives = Terminal("={1,2}", "`=`")
option = branch(statements.OptionSetting, option_name - _gives - value)
options = option - AtMost(_MOST_OPTIONS - 1, mark(",") - option | option, _TOO_MANY)

named = field("name", connection_name).set_name("a name")
new_name = field("name", name).set_name("a name")
_job_named = offering("job", field("name", name).set_name("a name"))
if_exists = pp.Opt(flag("if_exists", "IF EXISTS"))
like = field("like", words("LIKE") - text)
using = field("using", words("USING") - connection_name)
_place = offering("location", (string | variable).set_name("an s3:// location"))
location = field("location", _place).set_name("an s3:// location")
_groups = pp.MatchFirst([keyword(by) for by in get_args(AnalyzeBy)]).set_name(listed(get_args(AnalyzeBy)))
by = field("by", words("BY") - _groups)
depth = field("depth", words("DEPTH") - integer)
_looks = field("sample", words("SAMPLE") - integer)
_inventory = field("inventory", words("FROM INVENTORY") - _place)
limit = field("limit", words("LIMIT") - (keyword("ALL") | number).set_name("a whole number or ALL"))

# Queries, which are the engine's to read: all that matters here is where they end

_HELD = rf"""'(?:[^']|'')*+'|"(?:[^"]|"")*+"|{DOLLAR_QUOTED}"""
_QUERY = rf"""(?:\([{WHITE}(]*+)?+(?ai:SELECT|WITH|FROM){WORD_END}(?:[{WHITE}]*+(?:[^;'"${WHITE}]++|{_HELD}|\$))*+"""
_BRACKET = r"[^()'\"]++|'(?:[^']|'')*+'|\"(?:[^\"]|\"\")*+\""
_COLUMNS = rf"\((?:{_BRACKET}|\((?:{_BRACKET}|\((?:{_BRACKET})*+\))*+\))*+\)"


def _sql(kind: Callable[[Secret, Span], Any], text: str, at: int) -> Any:
    written = text.rstrip(WHITE)
    return kind(Secret(written), Span(at, at + len(written)))


_INSERTED = _QUERY.replace("SELECT|", "SELECT|VALUES|")
_MERGED = rf"(?:[{WHITE}]*+(?:[^;'\"${WHITE}]++|{_HELD}|\$))++"
inserted = Terminal(_INSERTED, "MAP_COLUMNS_BY_NAME, SELECT, WITH, FROM or VALUES", partial(_sql, statements.SqlText))
merged = Terminal(_MERGED, "USING", partial(_sql, statements.SqlText))
query = Terminal(_QUERY, "SELECT, WITH or FROM", partial(_sql, statements.SqlText))
columns = Terminal(_COLUMNS, "columns in round brackets", partial(_sql, statements.SqlText))

# As deep as groups of values may stand in each other.
_DEPTH = 3
_PART = rf"(?:{_IDENTIFIER}|{_QUOTED})"
_UNITS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400, "WEEK": 604_800}
# Words that end the options of a job.
_BEHIND = frozenset({"AS", "INTO", "SELECT", "WITH", "FROM"})


def _interval(text: str) -> timedelta:
    number, unit = text.split()
    return timedelta(seconds=int(number) * _UNITS[unit.upper().removesuffix("S")])


def _timestamp(text: str, at: int) -> statements.StringLiteral:
    """Return a rule for `TIMESTAMP '…'` that gives its text alone."""
    begins = text.index("'")
    return statements.StringLiteral(Secret(unquoted(text[begins:])), Span(at + begins, at + len(text)))


def _nested(depth: int) -> str:
    """Return a regular expression for SQL up to a comma or closing parenthesis, with so many pairs nested in it."""
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
word = leaf(rf"{_QUOTED}|{_IDENTIFIER}(?:\.{_IDENTIFIER})*", "a word", statements.Name, unquoted)
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
    named = leaf(rf"{_IDENTIFIER}(?=\s*=)", "a name", statements.Name, str)
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


def _one_text(raw: str) -> str:
    return table_text([unquoted(part) for part in re.findall(_PART, raw)])


# Options of a job

_columns = leaf(rf"(?ai:COLUMN_TRANSFORMATIONS){WORD_END}", "an option", statements.Name, str)
_switches = "|".join(option.name for option in JOB_OPTIONS if option.switch)
_switch = leaf(rf"(?ai:{_switches}){WORD_END}(?!\s*=)", "an option", statements.Name, str)
_job_option = (
    _job_setting(_columns, _transformations)
    | Node(_switch, lambda parts, span: statements.JobSetting(parts[0], None, span))
    | _job_setting(offering("job option", _name_but(_BEHIND | {"COLUMN_TRANSFORMATIONS"}, "an option")), _any_job_value)
).set_name("an option")
_job_options = fields(
    "settings", _job_option - AtMost(_MOST_OPTIONS - 1, mark(",") - _job_option | _job_option, _TOO_MANY_OF_A_JOB)
)
_table = leaf(
    rf"{_PART}(?:\s*\.\s*{_PART}){{0,2}}",
    "a table's name",
    statements.TableName,
    lambda raw: tuple(map(unquoted, re.findall(_PART, raw))),
)

_table_name = (
    leaf(rf"{_PART}(?:\s*\.\s*{_PART}){{1,2}}", "a name", statements.Name, _one_text)
    | leaf(_QUOTED, "a name", statements.Name, lambda raw: table_text([unquoted(raw)]))
    | _name_but(RESERVED, "a name")
).set_name("a name")
_table_named = field("name", _table_name).set_name("a name")
_table_there = offering("table", field("name", _table_name).set_name("a name"))

# Clauses of a table whose files lie in S3

_CLAUSES = frozenset({"AS", "LOCATION", "USING", "PARTITIONED", "PRIMARY", "SELECT", "WITH", "FROM"})
_TRANSFORM = rf"(?:\$?{_IDENTIFIER}|{_QUOTED})(?:\s*\((?:[^()'\"]|{_QUOTED})*\))?(?!\s*=)"


def _list_of(field_name: str, item: pp.ParserElement) -> pp.ParserElement:
    """Return a rule for items behind each other, in brackets or not."""
    more = AtMost(_MOST_OPTIONS - 1, mark(",") + item, f"a list has at most {_MOST_OPTIONS} values")
    return fields(field_name, mark("(") - item - more - mark(")") | item - more)


_partition = leaf(_TRANSFORM, "a column, or a transform of one", statements.Name, str)
_key = leaf(rf"(?:\$?{_IDENTIFIER}|{_QUOTED})(?!\s*=)", "a column", statements.Name, unquoted)
_named_option = (
    rf"(?!(?ai:{'|'.join(sorted(_CLAUSES))}){WORD_END}){_IDENTIFIER}(?=[{WHITE}]*(?:=|\Z))"  # at the end it may come
)
_option_of_table = offering("table option", leaf(_named_option, "an option", statements.Name, str))
_table_option = _job_setting(_option_of_table, _any_job_value)
_table_settings = fields(
    "settings",
    _table_option - AtMost(_MOST_OPTIONS - 1, pp.Opt(mark(",")) + _table_option, "these are too many options"),
)
_table_clause = (
    words("PARTITIONED BY") - _list_of("partitioned", _partition)
    | words("PRIMARY KEY") - _list_of("keys", _key)
    | field("location", words("LOCATION") - pp.Opt(mark("=")) - _place)
    | using
    | _table_settings
)

# Statements

_settings = fields("settings", options)
# As others write them: `WITH ( … )`, in brackets alone, or behind a comma.
_in_brackets = mark("(") - _settings - pp.Opt(mark(",")) - mark(")")
_bracketed = _in_brackets | words("WITH") + mark("(") - _settings - pp.Opt(mark(",")) - mark(")")
_as_others = Terminal(r"(?=[(,]|(?ai:WITH)\b)", "`(`") + (_bracketed | mark(",") - _settings)
_made_of = pp.Opt(_settings | unoffered(_as_others))
# S3 is the only kind of connection there is, and may be left out.
_s3_connection = phrase("S3 CONNECTION", words("S3 CONNECTION") | words("CONNECTION"))
_more_settings = AtMost(_MOST_OPTIONS - 1, words("SET") - _settings, _TOO_MANY)
_set = (words("SET") - _settings - _more_settings).set_name("SET")
_more_names = AtMost(_MOST_OPTIONS - 1, mark(",") - option_name, _TOO_MANY)
_unset = fields("unset", words("UNSET") - option_name - _more_names).set_name("UNSET")
_rename = field("rename_to", words("RENAME TO") - name).set_name("RENAME TO")
_matching = field("matching", words("MATCHING") - string)
_list_clause = using | flag("recursive", "RECURSIVE") | flag("versions", "VERSIONS") | _matching | limit

_if_not_exists = pp.Opt(flag("if_not_exists", "IF NOT EXISTS"))


def _job_created(**given: Any) -> statements.JobStatement:
    if given.pop("or_replace", False):
        raise ParseError(
            given["span"].start, "a job is not replaced; DROP JOB forgets it, and CREATE JOB makes another"
        )
    return statements.CreateCopyJob(**given) if "into" in given else statements.CreateInsertJob(**given)


_reached = field("connection", connection_name).set_name("a connection's name")
_copy = words("COPY FROM S3") - _reached - pp.Opt(_job_options) - words("INTO") - field("into", _table)
_insert = words("INSERT INTO S3") - _reached - pp.Opt(_job_options) - field("query", query)
_job = (
    (flag("sync", "SYNC") - words("JOB") | words("JOB"))
    - _if_not_exists
    - new_name
    - pp.Opt(_job_options)
    - words("AS")
    - (_copy | _insert).set_name("COPY FROM S3 or INSERT INTO S3")
)
_made = (
    variant(statements.CreateConnection, _s3_connection - _if_not_exists - new_name - _made_of)
    | variant(
        statements.CreateTable,
        (flag("iceberg", "ICEBERG") - words("TABLE") | words("TABLE"))
        - _if_not_exists
        - _table_named
        - pp.Opt(field("columns", columns))
        - pp.ZeroOrMore(pp.Opt(mark(",")) + _table_clause)
        - pp.Opt(field("query", words("AS") - query)),
    )
    | variant(_job_created, _job)
).set_name("S3 CONNECTION, TABLE, SYNC or JOB")
create = variants(words("CREATE") - pp.Opt(flag("or_replace", "OR REPLACE")) - _made)
_altered = (
    variant(
        statements.AlterConnection,
        _s3_connection - if_exists - named - (_set | _unset | _rename).set_name("SET, UNSET or RENAME TO"),
    )
    | variant(statements.AlterJob, words("JOB") - _job_named - words("SET") - _job_options)
    | variant(statements.AlterTable, words("TABLE") - _table_there - words("SET") - _table_settings)
).set_name("S3 CONNECTION, TABLE or JOB")
alter = variants(words("ALTER") - _altered)
_dropped = (
    variant(
        statements.DropConnection,
        (words("CONNECTION") | words("S3 CONNECTION")) - if_exists - named - pp.Opt(flag("cascade", "CASCADE")),
    )
    | variant(
        statements.DropTable,
        words("TABLE")
        - if_exists
        - _table_there
        - pp.Opt(field("delete_data", words("DELETE_DATA") - mark("=") - boolean)),
    )
    | variant(statements.DropJob, words("JOB") - if_exists - _job_named)
).set_name("CONNECTION, TABLE or JOB")
drop = variants(words("DROP") - _dropped)
_shown_again = (
    variant(statements.ShowCreate, _s3_connection - named)
    | variant(statements.ShowCreateTable, words("TABLE") - _table_there)
    | variant(statements.ShowCreateJob, words("JOB") - _job_named)
).set_name("S3 CONNECTION, TABLE or JOB")
_shown = (
    variant(statements.ShowConnections, (words("CONNECTIONS") | unoffered(words("S3 CONNECTIONS"))) - pp.Opt(like))
    | variant(statements.ShowBuckets, words("BUCKETS") - pp.ZeroOrMore(using | like))
    | variant(statements.ShowSettings, words("SETTINGS"))
    | variant(statements.ShowTables, words("TABLES") - pp.Opt(like))
    | variant(statements.ShowSnapshots, words("SNAPSHOTS") - _table_there)
    | words("CREATE") - _shown_again
    | variant(statements.ShowJobs, words("JOBS") - pp.Opt(like))
    | variant(statements.ShowJobErrors, words("JOB") - _job_named - words("ERRORS"))
).set_name("CONNECTIONS, BUCKETS, SETTINGS, TABLES, SNAPSHOTS, JOBS, JOB, or CREATE S3 CONNECTION, TABLE or JOB")
show = variants(words("SHOW") - _shown)
# A connection's name alone, where the statement ends behind it or goes on with its clauses.
_alone = field(
    "name",
    offering(
        "connection",
        leaf(
            rf"(?!(?ai:{'|'.join(sorted(RESERVED))}){WORD_END}){_IDENTIFIER}(?=[{WHITE}]*(?:;|\Z|(?ai:LOCATION|WITH){WORD_END}))",
            "a name",
            statements.Name,
            str,
        ),
    ),
).set_name("a name")
_any_kind = words("CONNECTION") | unoffered(words("S3 CONNECTION"))
_which = (_any_kind - named | unoffered(_alone)).set_name("CONNECTION")
_described = (
    variant(statements.DescribeConnection, _any_kind - named | unoffered(_alone))
    | variant(statements.DescribeRows, field("query", query) | location - pp.Opt(using))
    | variant(statements.DescribeRows, offering("table", field("table", _table_name)))
).set_name("CONNECTION, an s3:// location, a table or a query")
describe = variants(keyword("DESCRIBE", "DESC") - _described)
test = builds(
    statements.TestConnection,
    words("TEST")
    - _which
    - pp.ZeroOrMore(
        field("location", words("LOCATION") - pp.Opt(mark("=")) - _place) | flag("with_write", "WITH WRITE")
    ),
)
use = builds(statements.UseConnection, words("USE") - _which)
_listed = variant(
    statements.ListInventory, words("FROM INVENTORY") - location - pp.ZeroOrMore(using | _matching | limit)
) | variant(statements.ListObjects, pp.Opt(location) - pp.ZeroOrMore(_list_clause))
list_objects = variants(words("LIST") - _listed)
_aside = pp.Opt(flag("aside", "ASIDE"))
_explored = variant(statements.ExploreAll, words("ALL CONNECTIONS") - _aside) | variant(
    statements.Explore, pp.Opt(location) - pp.Opt(using) - _aside
)
explore = variants(words("EXPLORE") - _explored)
_version = field("version", words("VERSION") - string.copy().set_name("the id of a version in single quotes"))
analyze = builds(
    statements.Analyze,
    words("ANALYZE")
    - (_inventory | location).set_name("an s3:// location")
    - pp.ZeroOrMore(_inventory | using | by | depth),
)
_exact = words("ROWS") - mark("=") - words("EXACT")
discover = builds(
    statements.Discover,
    words("DISCOVER")
    - pp.Opt(location)
    - pp.ZeroOrMore(
        _inventory
        | using
        | depth
        | _looks
        | Node(_exact, lambda _, span: ("exact", True, span.start)).set_name("ROWS = EXACT")
        | flag("into_tables", "INTO TABLES")
    ),
)
_as_of = field("as_of", words("AS OF") - string)
_side = builds(
    statements.ComparedSide,
    location - pp.ZeroOrMore(flag("report", "FROM INVENTORY") | _as_of | using),
)
_compared_by = pp.MatchFirst([keyword(by) for by in get_args(CompareBy)]).set_name("ETAG, SIZE or TIME")
compare = builds(
    statements.Compare,
    words("COMPARE")
    - field("left", _side).set_name("an s3:// location")
    - words("WITH")
    - field("right", _side).set_name("an s3:// location")
    - pp.Opt(field("by", words("BY") - _compared_by)),
)
_rows = (field("query", query) | location - pp.Opt(using) | offering("table", field("table", _table_name))).set_name(
    "an s3:// location, a table or a query"
)
summarize = builds(
    statements.Summarize,
    words("SUMMARIZE") - _rows - pp.Opt(field("percent", words("SAMPLE") - integer - words("PERCENT"))),
)
preview = builds(
    statements.Preview,
    words("PREVIEW") - location - pp.ZeroOrMore(_version | using | field("limit", words("LIMIT") - number)),
)
_setting = offering("setting", _name_but(_STRUCTURAL - {"LIMIT"}, "a setting"))
_all = leaf(rf"(?ai:ALL){WORD_END}", "ALL", statements.WordLiteral, str.upper)
_setting_value = field("value", offering("value", (_all | value).set_name("a value"))).set_name("a value")
select = builds(statements.Query, field("query", query))
set_ = builds(statements.SetSetting, words("SET") - field("name", _setting) - mark("=") - _setting_value)
save = builds(
    statements.SaveConnections,
    words("SAVE")
    - pp.Opt(flag("or_replace", "OR REPLACE"))
    - words("CONNECTIONS TO")
    - field("path", (string | variable).set_name("the path of a file in single quotes")),
)
start = builds(statements.StartSandbox, words("START SANDBOX"))
stop = builds(statements.StopSandbox, words("STOP SANDBOX"))
_topic = offering("topic", Terminal(_IDENTIFIER, "a name", lambda raw, _: raw))
topic = Node(pp.OneOrMore(_topic), lambda parts, _: " ".join(parts))
help_ = builds(statements.Help, words("HELP") - pp.Opt(field("topic", topic)))

_by_name = pp.Opt(flag("by_name", "MAP_COLUMNS_BY_NAME"))
insert = builds(statements.InsertInto, words("INSERT INTO") - _table_there - _by_name - field("query", inserted))
merge = builds(statements.MergeInto, words("MERGE INTO") - _table_there - field("query", merged))
optimize = builds(statements.OptimizeTable, words("OPTIMIZE TABLE") - _table_there)
_ran = (variant(statements.RunJob, words("JOB") - _job_named) | variant(statements.RunJobs, words("JOBS"))).set_name(
    "JOB or JOBS"
)
run = variants(words("RUN") - _ran)
pause = builds(statements.PauseJob, words("PAUSE JOB") - _job_named)
resume = builds(statements.ResumeJob, words("RESUME JOB") - _job_named)

_plain = [
    create,
    alter,
    drop,
    show,
    describe,
    test,
    use,
    list_objects,
    explore,
    analyze,
    discover,
    preview,
    compare,
    summarize,
]
_plain += [set_, select, save, start, stop, help_, run, pause, resume, insert, merge, optimize]
_explained = ByFirstWord(_plain, "a statement")
explain = variants(
    words("EXPLAIN")
    - (
        variant(statements.ExplainAnalyze, words("ANALYZE") + field("query", query))
        | variant(statements.Explain, field("statement", _explained).set_name("a statement"))
    ).set_name("a statement")
)
statement = ByFirstWord([*_plain, explain], "a statement")
_separator = Terminal(rf";[;{WHITE}]*+", "`;`")
_more = AtMost(_MOST_STATEMENTS - 1, _separator + statement, f"a cell has at most {_MOST_STATEMENTS} statements")
cell = pp.Opt(_separator) - pp.Opt(statement - _more - pp.Opt(_separator)) - pp.StringEnd()
cell.parse_with_tabs()
for _rule in cell.streamline().visit_all():  # type: ignore[no-untyped-call]
    _rule.set_whitespace_chars(WHITE)


def parse_cell(code: str) -> list[statements.Statement]:
    """Return the statements of a text whose comments are blanked.

    Raises:
        ParseError: where no rule goes on. It holds nothing of the text, which pyparsing's own errors do.
    """
    try:
        return list(cell.parse_string(code))
    except pp.ParseBaseException as error:
        at, message = error.loc, error.msg
    finally:
        pp.ParserElement.reset_cache()  # which keeps the text where another library (matplotlib) turned packrat on
    raise ParseError(at, message)


def parse(source: Source) -> list[statements.Statement]:
    """Return the statements of a cell, in order; none for a blank one.

    Raises:
        StatementSyntaxError: with the place of the first thing that does not fit, and what was expected.
    """
    # The error is made after the except block, so that it has no context.
    refused: StatementSyntaxError | None = None
    at, message = 0, ""
    try:
        statements = parse_cell(source.code)
        if (flag := source.flag) is None:
            return statements
        at, message = flag.start, FLAG
    except ParseError as error:
        at, message = error.at, error.message
    except StatementSyntaxError as error:
        refused = error
    from s3conn_magic.language.diagnosis import diagnose, explained

    if (answer := explained(source, at, refused)) is None:
        raise diagnose(source, at, message, _parses, refused)
    return _with(answer, source)


def _parses(text: str) -> bool:
    """Whether a text is of the language."""
    try:
        parse_cell(text)
    except ParseError:
        return False
    return True


def _with(answer: Answer, source: Source) -> list[Any]:
    """Return the statements of a cell in which an EXPLAIN of another system's statement is what that is here."""
    start, end = answer.span
    rest = "\n".join(" " * len(line) for line in source.text[start:end].split("\n"))
    others = parse(replace(source, text=source.text[:start] + rest + source.text[end:]))
    return sorted([*others, Translation(answer.hint, answer.span)], key=lambda node: node.span)
