"""The grammar: parse the text of a cell into statements. `docs/grammar.md` has its BNF.

`rules.py` has the pyparsing elements that make nodes, and the parts that rules share. A new statement is a rule here
(`builds`, or `variant` where several begin with one word) and an alternative of `statement`. Completion asks the same
rules what they expect; `offering` marks those for names and values that it can look up.

Comments are blanked, so that offsets are those of the cell. Every rule has a name that reads well after "expected", and
an error stop (`-`) wherever only one continuation is left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import pyparsing as pp

from s3conn_magic.errors import StatementSyntaxError
from s3conn_magic.language import statements
from s3conn_magic.language.plans import Translation
from s3conn_magic.language.reference import CompareBy
from s3conn_magic.language.rules import (
    IDENTIFIER,
    MOST_OPTIONS,
    RESERVED,
    STRUCTURAL,
    TOO_MANY,
    WORD_END,
    AtMost,
    ByFirstWord,
    Node,
    ParseError,
    Terminal,
    boolean,
    builds,
    by,
    by_names,
    columns,
    connection_name,
    depth,
    expectation,
    field,
    fields,
    flag,
    if_exists,
    inserted,
    integer,
    into_columns,
    inventory,
    job_expectations,
    job_named,
    job_settings,
    keyword,
    leaf,
    like,
    limit,
    location,
    looks,
    mark,
    merged,
    name,
    name_but,
    named,
    new_name,
    number,
    offering,
    option_name,
    options,
    phrase,
    place,
    query,
    string,
    table,
    table_clause,
    table_name,
    table_named,
    table_settings,
    table_there,
    unoffered,
    using,
    value,
    variable,
    variant,
    variants,
    viewed,
    words,
)
from s3conn_magic.language.source import WHITE

if TYPE_CHECKING:
    from s3conn_magic.language.phrases import Answer
    from s3conn_magic.language.source import Source

__all__ = ["RESERVED", "boolean", "cell", "parse", "parse_cell"]

FLAG = "command-line flags are comments here, and change nothing"
# Far more than anyone writes: bounds the time spent on nonsense.
_MOST_STATEMENTS = 2_500

# Statements

_settings = fields("settings", options)
# Others write `WITH ( … )`, parentheses alone, or commas.
_in_brackets = mark("(") - _settings - pp.Opt(mark(",")) - mark(")")
_bracketed = _in_brackets | words("WITH") + mark("(") - _settings - pp.Opt(mark(",")) - mark(")")
_as_others = Terminal(r"(?=[(,]|(?ai:WITH)\b)", "`(`") + (_bracketed | mark(",") - _settings)
_made_of = pp.Opt(_settings | unoffered(_as_others))
# S3 is the only kind of connection, and may be left out.
_s3_connection = phrase("S3 CONNECTION", words("S3 CONNECTION") | words("CONNECTION"))
_more_settings = AtMost(MOST_OPTIONS - 1, words("SET") - _settings, TOO_MANY)
_set = (words("SET") - _settings - _more_settings).set_name("SET")
_more_names = AtMost(MOST_OPTIONS - 1, mark(",") - option_name, TOO_MANY)
_unset = fields("unset", words("UNSET") - option_name - _more_names).set_name("UNSET")
_rename = field("rename_to", words("RENAME TO") - name).set_name("RENAME TO")
_matching = field("matching", words("MATCHING") - string)
_list_clause = using | flag("recursive", "RECURSIVE") | flag("versions", "VERSIONS") | _matching | limit

_if_not_exists = pp.Opt(flag("if_not_exists", "IF NOT EXISTS"))


def _job_created(**given: Any) -> statements.JobStatement:
    if given.pop("or_replace", False):
        raise ParseError(
            given["span"].start, "a job cannot be replaced; DROP JOB removes it, then CREATE JOB creates a new one"
        )
    if "connection" not in given:
        return statements.CreateTableJob(**given)
    return statements.CreateCopyJob(**given) if "into" in given else statements.CreateInsertJob(**given)


_into = offering("table", field("into", table)).set_name("a table's name")
_reached = field("connection", connection_name).set_name("a connection's name")
_copy = words("COPY FROM S3") - _reached - pp.Opt(job_settings) - words("INTO") - _into - pp.Opt(job_settings)
_copied = _copy - job_expectations
_into_s3 = words("S3") - _reached - pp.Opt(job_settings) - field("query", query)
_into_table = _into - pp.Opt(into_columns) - pp.Opt(by_names) - field("query", inserted)
_insert = words("INSERT INTO") - (_into_s3 | _into_table).set_name("S3, or a table's name")
_merge = words("MERGE INTO") - _into - field("merge", merged)
_job = (
    (flag("sync", "SYNC") - words("JOB") | words("JOB"))
    - _if_not_exists
    - new_name
    - pp.Opt(job_settings)
    - words("AS")
    - (_copied | _insert | _merge).set_name("COPY FROM S3, INSERT INTO or MERGE INTO")
)
_view = (
    words("MATERIALIZED VIEW")
    - _if_not_exists
    - field("name", table_name)
    - pp.Opt(job_settings)
    - words("AS")
    - field("query", viewed)
    - pp.Opt(job_settings)
)
_made = (
    variant(statements.CreateConnection, _s3_connection - _if_not_exists - new_name - _made_of)
    | variant(
        statements.CreateTable,
        (flag("iceberg", "ICEBERG") - words("TABLE") | words("TABLE"))
        - _if_not_exists
        - table_named
        - pp.Opt(field("columns", columns))
        - pp.ZeroOrMore(pp.Opt(mark(",")) + table_clause)
        - pp.Opt(field("query", words("AS") - query)),
    )
    | variant(_job_created, _job)
    | variant(_job_created, _view)
).set_name("S3 CONNECTION, TABLE, SYNC, JOB or MATERIALIZED VIEW")
create = variants(words("CREATE") - pp.Opt(flag("or_replace", "OR REPLACE")) - _made)
_any_table = words("TABLE") | unoffered(words("ICEBERG TABLE"))
_delete_data = field("delete_data", words("DELETE_DATA") - mark("=") - boolean)
_altered = (
    variant(
        statements.AlterConnection,
        _s3_connection - if_exists - named - (_set | _unset | _rename).set_name("SET, UNSET or RENAME TO"),
    )
    | variant(
        statements.AlterJob,
        (words("JOB") | words("MATERIALIZED VIEW"))
        - job_named
        - (
            words("SET") - job_settings
            | words("ADD") - fields("expectations", expectation)
            | words("DROP EXPECTATION") - field("dropped", name)
        ).set_name("SET, ADD or DROP EXPECTATION"),
    )
    | variant(statements.AlterTable, _any_table - table_there - words("SET") - table_settings)
).set_name("S3 CONNECTION, TABLE or JOB")
alter = variants(words("ALTER") - _altered)
_dropped = (
    variant(
        statements.DropConnection,
        (words("CONNECTION") | words("S3 CONNECTION")) - if_exists - named - pp.Opt(flag("cascade", "CASCADE")),
    )
    | variant(
        statements.DropTable,
        _any_table - if_exists - table_there - pp.Opt(_delete_data) - pp.Opt(unoffered(table_settings)),
    )
    | variant(statements.DropJob, flag("view", "MATERIALIZED VIEW") - if_exists - job_named - pp.Opt(_delete_data))
    | variant(statements.DropJob, words("JOB") - if_exists - job_named)
).set_name("CONNECTION, TABLE, MATERIALIZED VIEW or JOB")
drop = variants(words("DROP") - _dropped)
_shown_again = (
    variant(statements.ShowCreate, _s3_connection - named)
    | variant(statements.ShowCreateTable, words("TABLE") - table_there)
    | variant(statements.ShowCreateJob, words("JOB") - job_named)
).set_name("S3 CONNECTION, TABLE or JOB")
_shown = (
    variant(statements.ShowConnections, (words("CONNECTIONS") | unoffered(words("S3 CONNECTIONS"))) - pp.Opt(like))
    | variant(statements.ShowBuckets, words("BUCKETS") - pp.ZeroOrMore(using | like))
    | variant(statements.ShowSettings, words("SETTINGS"))
    | variant(statements.ShowTables, words("TABLES") - pp.Opt(like))
    | variant(statements.ShowSnapshots, words("SNAPSHOTS") - table_there)
    | words("CREATE") - _shown_again
    | variant(statements.ShowJobs, words("JOBS") - pp.Opt(like))
    | variant(statements.ShowJobErrors, words("JOB") - job_named - words("ERRORS"))
).set_name("CONNECTIONS, BUCKETS, SETTINGS, TABLES, SNAPSHOTS, JOBS, JOB, or CREATE S3 CONNECTION, TABLE or JOB")
show = variants(words("SHOW") - _shown)
# The name of a connection, followed by its clauses or the end of the statement.
_alone = field(
    "name",
    offering(
        "connection",
        leaf(
            rf"(?!(?ai:{'|'.join(sorted(RESERVED))}){WORD_END}){IDENTIFIER}(?=[{WHITE}]*(?:;|\Z|(?ai:LOCATION|WITH){WORD_END}))",
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
    | variant(statements.DescribeRows, offering("table", field("table", table_name)))
).set_name("CONNECTION, an s3:// location, a table or a query")
describe = variants(keyword("DESCRIBE", "DESC") - _described)
test = builds(
    statements.TestConnection,
    words("TEST")
    - _which
    - pp.ZeroOrMore(
        field("location", words("LOCATION") - pp.Opt(mark("=")) - place) | flag("with_write", "WITH WRITE")
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
    - (inventory | location).set_name("an s3:// location")
    - pp.ZeroOrMore(inventory | using | by | depth),
)
_exact = words("ROWS") - mark("=") - words("EXACT")
discover = builds(
    statements.Discover,
    words("DISCOVER")
    - pp.Opt(location)
    - pp.ZeroOrMore(
        inventory
        | using
        | depth
        | looks
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
_rows = (field("query", query) | location - pp.Opt(using) | offering("table", field("table", table_name))).set_name(
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
_setting = offering("setting", name_but(STRUCTURAL - {"LIMIT"}, "a setting"))
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
_topic = offering("topic", Terminal(IDENTIFIER, "a name", lambda raw, _: raw))
topic = Node(pp.OneOrMore(_topic), lambda parts, _: " ".join(parts))
help_ = builds(statements.Help, words("HELP") - pp.Opt(field("topic", topic)))

insert = builds(
    statements.InsertInto,
    words("INSERT INTO") - table_there - pp.Opt(into_columns) - pp.Opt(by_names) - field("query", inserted),
)
merge = builds(statements.MergeInto, words("MERGE INTO") - table_there - field("query", merged))
optimize = builds(statements.OptimizeTable, words("OPTIMIZE TABLE") - table_there)
_ran = (variant(statements.RunJob, words("JOB") - job_named) | variant(statements.RunJobs, words("JOBS"))).set_name(
    "JOB or JOBS"
)
run = variants(words("RUN") - _ran)
pause = builds(statements.PauseJob, words("PAUSE JOB") - job_named)
resume = builds(statements.ResumeJob, words("RESUME JOB") - job_named)

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
        ParseError: no rule matches. Unlike pyparsing's errors, it holds nothing of the text.
    """
    try:
        return list(cell.parse_string(code))
    except pp.ParseBaseException as error:
        at, message = error.loc, error.msg
    finally:
        pp.ParserElement.reset_cache()  # keeps the text if another library (matplotlib) enabled packrat
    raise ParseError(at, message)


def parse(source: Source) -> list[statements.Statement]:
    """Return the statements of a cell, in order; none for a blank one.

    Raises:
        StatementSyntaxError: with the place of the first mismatch, and what was expected.
    """
    # The error is created after the except block, so that it has no context.
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
    return _with_translation(answer, source)


def _parses(text: str) -> bool:
    try:
        parse_cell(text)
    except ParseError:
        return False
    return True


def _with_translation(answer: Answer, source: Source) -> list[Any]:
    """Return the statements of a cell with the translation of one that EXPLAIN got from another system."""
    start, end = answer.span
    rest = "\n".join(" " * len(line) for line in source.text[start:end].split("\n"))
    parsed = parse(replace(source, text=source.text[:start] + rest + source.text[end:]))
    return sorted([*parsed, Translation(text=answer.hint, span=answer.span)], key=lambda node: node.span)
