"""Properties of the language for any text, name and value."""

from __future__ import annotations

import contextlib
import os
import string
from typing import TYPE_CHECKING, get_args

import pytest
from catalogs import having, options_of, plans_of
from corpora import SECRET, leaked
from fuzz import OUTCOMES, outcome
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mutations import CELLS, mutated
from outcomes import failure_of
from writing import cell_text, statement_text

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language import statements
from s3conn_magic.language.grammar import RESERVED, parse
from s3conn_magic.language.help import create_statement
from s3conn_magic.language.job_options import JOB_OPTIONS, TABLE_OPTIONS
from s3conn_magic.language.options import OPTION_NAMES, BoundValue
from s3conn_magic.language.redaction import redacted
from s3conn_magic.language.reference import KEYWORDS, AnalyzeBy, CompareBy
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.source import Source, Span, Token
from s3conn_magic.language.words import literal
from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

# Longer: S3CONN_EXAMPLES=10000 python -m pytest tests/language/test_properties.py, or tests/language/fuzz.py
CALM = settings(
    max_examples=int(os.environ.get("S3CONN_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
PIECES = st.one_of(
    st.sampled_from(sorted(KEYWORDS | set(OPTION_NAMES))),
    st.sampled_from(
        ["'", '"', "''", "--", "/*", "*/", ";", ",", "(", ")", "=", "$", "s3://b-c/", "\n", "\t", " ", "\\"]
    ),
    st.text(max_size=6),
    st.from_regex(r"'[^']{0,8}'", fullmatch=True),
)


def _ends_well(text: str) -> None:
    """Statements or a StatementError with a place inside the text; nothing else."""
    error = failure_of(text)
    if error is None:
        return
    place = error.place
    assert 1 <= place.line <= text.count("\n") + 1
    assert 1 <= place.column <= len(text.split("\n")[place.line - 1]) + 1
    assert len(place.marker) <= len(place.excerpt) + 1
    assert (error.__context__, error.__cause__) == (None, None)


@CALM
@given(st.text())
@example("\x00")
@example("\ud800")
@example("\x1c\x85\u2028")
def test_any_text_ends_in_statements_or_a_statement_error(text: str):
    """No text makes the parser raise anything else."""
    _ends_well(text)


@CALM
@given(st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join))
def test_any_pieces_of_the_language_end_in_statements_or_a_statement_error(text: str):
    """Words and marks of the language in any order, with blanks between them or without."""
    _ends_well(text)


@CALM
@given(st.randoms(use_true_random=False))
def test_any_change_of_a_valid_cell_ends_in_plans_or_an_error_of_the_language(chance: Random):
    """Words and characters taken out, put in, doubled, swapped, spliced, cut: parsed and bound, nothing else comes."""
    text = mutated(chance)
    assert outcome(text) in {"plans", *(kind.__name__ for kind in OUTCOMES)}
    _ends_well(text)


@CALM
@given(st.lists(PIECES, max_size=12), st.lists(PIECES, max_size=12), st.booleans())
def test_a_secret_among_any_pieces_leaves_with_no_error(before: list[str], after: list[str], in_quotes: bool):
    """A secret anywhere in any text, in quotes or bare, is in no error of it."""
    secret = f"'{SECRET}'" if in_quotes else SECRET
    with contextlib.suppress(S3ConnError), _no_leak():
        plans_of(" ".join([*before, secret, *after]), having("lake"))


UNQUOTED = st.lists(PIECES.filter(lambda piece: not set(piece) & set("'\"")), max_size=12)


@CALM
@given(UNQUOTED, UNQUOTED)
def test_a_bare_secret_among_any_pieces_is_not_kept(before: list[str], after: list[str]):
    """A secret without quotes, whatever stands before and after it, is not in what a history keeps."""
    assert not leaked(redacted(" ".join([*before, SECRET, *after])))


@contextlib.contextmanager
def _no_leak() -> Iterator[None]:
    try:
        yield
    except S3ConnError as error:
        if pieces := leaked(error.block() + repr(vars(error))):
            pytest.fail(f"{pieces} in {type(error).__name__}")
        raise


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30) | st.sampled_from(sorted(RESERVED))


@CALM
@given(NAMES)
def test_any_name_can_be_written(name: str):
    """A name as it is rendered is read back as that name."""
    (statement,) = parse(Source(f"USE CONNECTION {name_text(name)}"))
    assert statement.name.text == name


@CALM
@given(st.text(st.characters(codec="utf-8")))
def test_any_text_can_be_written(text: str):
    """A text in quotes is read back to the last character."""
    assert options_of(f"COMMENT = {literal(text)} READ_ONLY = TRUE")["COMMENT"].value == text


KEYS = st.text(st.characters(codec="utf-8"), max_size=40)
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", fullmatch=True)
PATHS = st.builds(Location, BUCKETS, KEYS)
ALNUM = st.text(string.ascii_letters + string.digits, min_size=2, max_size=20)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "AWS_ROLE": ALNUM.map("arn:aws:iam::123456789012:role/{}".format),
        "PATH_DISPLAY_FILTERS": st.lists(PATHS, min_size=1, max_size=4, unique=True).map(tuple),
        "READ_ONLY": st.booleans(),
        "ENCRYPTION_KMS_KEY": ALNUM.map("alias/{}".format),
        "COMMENT": st.text(st.characters(codec="utf-8")),
        "AWS_PROFILE": ALNUM,
        "REGION": ALNUM,
        "ENDPOINT": st.tuples(ALNUM, st.integers(1, 65535).filter(lambda port: port != 443)).map(
            lambda one: f"http://{one[0]}:{one[1]}"
        ),
        "ADDRESSING_STYLE": st.sampled_from(["auto", "path", "virtual"]),
        "REQUESTER_PAYS": st.booleans(),
    },
)


@CALM
@given(NAMES, OPTIONS)
def test_show_create_makes_the_connection_again(name: str, options: dict[str, object]):
    """Bound options, written as SHOW CREATE writes them and bound again, are the same options."""
    bound = {key: BoundValue(value) for key, value in options.items()}
    (again,) = plans_of(create_statement(name, bound))
    assert (again.name, dict(again.options)) == (name, bound)
    assert create_statement(name, again.options) == create_statement(name, bound)


def _may_be_an_option(word: str) -> bool:
    return word.upper() not in RESERVED - set(OPTION_NAMES)


NO_SPAN = Span(0, 0)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
WORDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
NUMBERS = st.integers(0, 10**18 - 1)
NAME = st.builds(statements.Name, NAMES, st.just(NO_SPAN))
OPTION = st.builds(
    statements.Name,
    st.sampled_from(OPTION_NAMES) | st.sampled_from(OPTION_NAMES).map(str.lower) | WORDS.filter(_may_be_an_option),
    st.just(NO_SPAN),
)
LITERAL = st.builds(statements.StringLiteral, st.builds(Secret, TEXTS), st.just(NO_SPAN))
VARIABLE = st.builds(statements.VariableSource, WORDS, st.just(NO_SPAN))
SCALAR = st.one_of(
    LITERAL,
    VARIABLE,
    st.builds(statements.BooleanLiteral, st.booleans(), st.just(NO_SPAN)),
    st.builds(statements.IntegerLiteral, NUMBERS, st.just(NO_SPAN)),
    st.builds(statements.EnvSource, TEXTS, st.just(NO_SPAN)),
    st.builds(statements.PromptSource, TEXTS, st.just(NO_SPAN)),
    st.builds(statements.KeyringSource, TEXTS, TEXTS, st.just(NO_SPAN)),
)
VALUE = SCALAR | st.builds(
    statements.ListLiteral, st.lists(SCALAR, min_size=1, max_size=4).map(tuple), st.just(NO_SPAN)
)
SETTINGS = st.lists(st.builds(statements.OptionSetting, OPTION, VALUE, st.just(NO_SPAN)), max_size=5).map(tuple)
PLACE = LITERAL | VARIABLE
PIECES = st.sampled_from(
    [
        "a",
        ",",
        "'b;'",
        '"c;"',
        "$$ ';\" $$",
        "$t$ $$ ; $t$",
        "$x",
        "(",
        ")",
        "->>",
        "::int",
        "-",
        "/",
        "'it''s'",
        "\n",
        "ä",
    ]
)
SQL = st.builds(
    lambda word, rest: statements.SqlText(Secret(" ".join([word, *rest]).strip()), NO_SPAN),
    st.sampled_from(["SELECT", "with", "From", "(SELECT"]),
    st.lists(PIECES, max_size=8),
)
COLUMNS = st.sampled_from(["(a int)", '(a int, "b)" decimal(5, 2))', "(a varchar DEFAULT ')')"]).map(
    lambda text: statements.SqlText(Secret(text), NO_SPAN)
)
# Of a table without schema; a dot within quotes is in the tests of names of tables.
ALONE = st.builds(statements.Name, NAMES.filter(lambda text: "." not in text), st.just(NO_SPAN))
TABLE = st.builds(statements.TableName, st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.just(NO_SPAN))
JOB_OPTION = st.builds(
    statements.Name,
    st.sampled_from([name for name in JOB_OPTIONS if name != "COLUMN_TRANSFORMATIONS"]),
    st.just(NO_SPAN),
)
JOB_VALUE = st.one_of(LITERAL, VARIABLE, st.builds(statements.BooleanLiteral, st.booleans(), st.just(NO_SPAN)))
JOB_SETTINGS = st.lists(st.builds(statements.JobSetting, JOB_OPTION, JOB_VALUE, st.just(NO_SPAN)), max_size=5)
BOOLEAN = st.builds(statements.BooleanLiteral, st.booleans(), st.just(NO_SPAN))
TABLE_OPTION = st.builds(statements.Name, st.sampled_from([*TABLE_OPTIONS]), st.just(NO_SPAN))
TABLE_SETTINGS = st.lists(
    st.builds(statements.JobSetting, TABLE_OPTION, JOB_VALUE, st.just(NO_SPAN)), min_size=1, max_size=4
).map(tuple)
MERGES = st.sampled_from(["USING s ON t.a = s.a WHEN MATCHED THEN DELETE", "using (from ';') AS \";\" ON true"]).map(
    lambda text: statements.SqlText(Secret(text), NO_SPAN)
)
JOB: dict[str, st.SearchStrategy[object]] = {
    "name": NAME,
    "connection": NAME,
    "settings": JOB_SETTINGS.map(tuple),
    "sync": st.booleans(),
    "if_not_exists": st.booleans(),
}
NAMED = st.just(()) | st.lists(NAMES, min_size=1, max_size=3).map(tuple)
EXPECTED = st.builds(
    statements.Expectation,
    NAME,
    st.sampled_from(["a > 1", "length(b) IN (1, 2) AND c <> 'ON VIOLATION'", '"on" IS NOT NULL']).map(
        lambda text: statements.Expression(Secret(text), NO_SPAN)
    ),
    st.sampled_from(["DROP", "WARN"]),
    st.just(NO_SPAN),
)
NUMBER = st.none() | st.builds(statements.IntegerLiteral, NUMBERS, st.just(NO_SPAN))
SIDE = st.builds(
    statements.ComparedSide,
    location=PLACE,
    report=st.booleans(),
    as_of=st.none() | LITERAL,
    using=st.none() | NAME,
    span=st.just(NO_SPAN),
)
FIELDS: dict[type[statements.Statement], dict[str, st.SearchStrategy[object]]] = {
    statements.CreateConnection: {"name": NAME, "settings": SETTINGS, "or_replace": st.booleans()}
    | {"if_not_exists": st.booleans()},
    statements.AlterConnection: {"name": NAME, "if_exists": st.booleans()},
    statements.DropConnection: {"name": NAME, "if_exists": st.booleans(), "cascade": st.booleans()},
    statements.ShowConnections: {"like": st.none() | TEXTS},
    statements.DescribeConnection: {"name": NAME},
    statements.ShowCreate: {"name": NAME},
    statements.TestConnection: {"name": NAME, "location": st.none() | PLACE, "with_write": st.booleans()},
    statements.UseConnection: {"name": NAME},
    statements.Help: {"topic": st.lists(WORDS, max_size=3).map(" ".join)},
    statements.ShowBuckets: {"using": st.none() | NAME, "like": st.none() | TEXTS},
    statements.ListObjects: {"location": st.none() | PLACE, "using": st.none() | NAME, "recursive": st.booleans()}
    | {"versions": st.booleans(), "matching": st.none() | LITERAL, "limit": st.none() | st.just("ALL") | NUMBERS},
    statements.ListInventory: {"location": PLACE, "using": st.none() | NAME, "matching": st.none() | LITERAL}
    | {"limit": st.none() | st.just("ALL") | NUMBERS},
    statements.Explore: {"location": st.none() | PLACE, "using": st.none() | NAME, "aside": st.booleans()},
    statements.ExploreAll: {"aside": st.booleans()},
    statements.Analyze: {
        "location": PLACE,
        "inventory": st.none() | PLACE,
        "using": st.none() | NAME,
        "by": st.sampled_from(get_args(AnalyzeBy)),
    }
    | {"depth": NUMBER},
    statements.Discover: {"location": st.none() | PLACE, "inventory": st.none() | PLACE, "using": st.none() | NAME}
    | {"depth": NUMBER, "sample": NUMBER, "exact": st.booleans(), "into_tables": st.booleans()},
    statements.Compare: {"left": SIDE, "right": SIDE, "by": st.sampled_from(get_args(CompareBy))},
    statements.DescribeRows: {"location": PLACE, "using": st.none() | NAME},
    statements.Summarize: {"location": PLACE, "using": st.none() | NAME, "percent": NUMBER},
    statements.Preview: {
        "location": PLACE,
        "version": st.none() | LITERAL,
        "using": st.none() | NAME,
        "limit": st.none() | NUMBERS,
    },
    statements.SetSetting: {
        "name": OPTION,
        "value": VALUE | st.builds(statements.WordLiteral, st.just("ALL"), st.just(NO_SPAN)),
    },
    statements.ShowSettings: {},
    statements.Query: {"query": SQL},
    statements.ExplainAnalyze: {"query": SQL},
    statements.CreateTable: {"name": ALONE, "or_replace": st.booleans(), "if_not_exists": st.booleans()}
    | {"columns": st.none() | COLUMNS, "location": st.none() | PLACE, "using": st.none() | NAME}
    | {"query": st.none() | SQL},
    statements.DropTable: {"name": ALONE, "if_exists": st.booleans(), "delete_data": st.none() | BOOLEAN},
    statements.AlterTable: {"name": ALONE, "settings": TABLE_SETTINGS},
    statements.InsertInto: {"name": ALONE, "query": SQL, "by_name": st.booleans(), "columns": NAMED},
    statements.MergeInto: {"name": ALONE, "query": MERGES},
    statements.OptimizeTable: {"name": ALONE},
    statements.ShowSnapshots: {"name": ALONE},
    statements.ShowTables: {"like": st.none() | TEXTS},
    statements.SaveConnections: {"path": PLACE, "or_replace": st.booleans()},
    statements.StartSandbox: {},
    statements.StopSandbox: {},
    statements.CreateCopyJob: JOB | {"into": TABLE, "expectations": st.lists(EXPECTED, max_size=2).map(tuple)},
    statements.CreateTableJob: {name: JOB[name] for name in ("name", "settings", "sync", "if_not_exists")}
    | {
        "into": TABLE,
        "query": SQL,
        "by_name": st.just(True),
        "columns": NAMED,
        "without": st.lists(NAME, max_size=2).map(tuple),
    },
    statements.CreateInsertJob: JOB | {"query": SQL.filter(lambda sql: sql.value.reveal()[0] != "(")},
    statements.RunJob: {"name": NAME},
    statements.RunJobs: {},
    statements.AlterJob: {"name": NAME, "settings": JOB["settings"].filter(bool)},
    statements.PauseJob: {"name": NAME},
    statements.ResumeJob: {"name": NAME},
    statements.ShowCreateJob: {"name": NAME},
    statements.ShowCreateTable: {"name": ALONE},
    statements.DropJob: {"name": NAME, "if_exists": st.booleans(), "view": st.booleans()},
    statements.ShowJobs: {"like": st.none() | TEXTS},
    statements.ShowJobErrors: {"name": NAME},
}
_TOLD_OF = [statements.ListObjects, statements.Analyze, statements.CreateConnection, statements.TestConnection]
FIELDS[statements.Explain] = {
    "statement": st.one_of([st.builds(kind, **FIELDS[kind], span=st.just(NO_SPAN)) for kind in _TOLD_OF])
}
CHANGES = st.one_of(
    st.fixed_dictionaries({"settings": SETTINGS.filter(bool)}),
    st.fixed_dictionaries({"unset": st.lists(OPTION, min_size=1, max_size=4).map(tuple)}),
    st.fixed_dictionaries({"rename_to": NAME}),
)


@st.composite
def any_statement(draw: st.DrawFn) -> statements.Statement:
    """Any statement of the language, with any values."""
    kind = draw(st.sampled_from([*FIELDS]))
    fields = draw(st.fixed_dictionaries(FIELDS[kind]))
    return kind(**fields, **(draw(CHANGES) if kind is statements.AlterConnection else {}), span=NO_SPAN)


def test_every_statement_is_among_those_that_are_written():
    """No kind of statement is left out of the next property."""
    kinds = {kind for kind in vars(statements).values() if isinstance(kind, type)}
    # Those that others are made of are no statements by themselves.
    assert set(FIELDS) == {
        kind for kind in kinds if issubclass(kind, statements.Statement) and not kind.__subclasses__()
    }


@CALM
@given(st.lists(any_statement(), max_size=4))
def test_statements_are_read_back_as_they_were_written(cell: list[statements.Statement]):
    """Any statements, written and parsed, are the same statements, and are written alike again."""
    again = parse(Source(cell_text(cell)))
    assert again == cell
    assert cell_text(again) == cell_text(cell)


@pytest.mark.parametrize("cell", CELLS)
def test_a_valid_cell_is_read_back_as_it_is_written(cell: str):
    """Parsed, written and parsed again, every cell of the corpus has the same tree."""
    found = parse(Source(cell))
    assert parse(Source(cell_text(found))) == found


def _holds_sql(statement: statements.Statement) -> bool:
    """Whether a part of it is DuckDB's to read, which keeps its blanks."""
    predicates = any(getattr(statement, name, ()) for name in ("expectations", "added"))
    texts = any(isinstance(getattr(statement, name, None), statements.SqlText) for name in ("query", "columns"))
    return predicates or texts


GAPS = st.sampled_from(["\n", "\t", "  ", "-- a comment; with 'a quote\n", '/* a\ncomment " */', "/**/ "])


@CALM
@given(any_statement().filter(lambda one: not _holds_sql(one)), st.data())
def test_comments_white_space_and_case_change_nothing(statement: statements.Statement, data: st.DataObject):
    """Between any two words there may be comments and white space, and keywords may be in lower case."""
    tokens = Source(statement_text(statement)).tokens
    pieces = [_rewritten(tokens[at], data, statement) for at in range(len(tokens))]
    assert parse(Source(f"{data.draw(GAPS)}{''.join(pieces)}{data.draw(GAPS)};")) == [statement]


def _rewritten(token: Token, data: st.DataObject, statement: statements.Statement) -> str:
    if token.kind == "space":
        return data.draw(GAPS)
    # Where a topic of HELP stands, any word may stand, and is kept as it is written.
    fixed = token.text in RESERVED - {*OPTION_NAMES, *JOB_OPTIONS} and not isinstance(statement, statements.Help)
    return data.draw(st.sampled_from([token.text, token.text.lower(), token.text.title()])) if fixed else token.text


@pytest.mark.parametrize(
    "unit", ["CREATE ", "'", '"', "(", "/*", "/**/", ";", "a'", "--\n", "$", "x = 'y' ", "\u00a0", "=,", "''"]
)
def test_64_kib_of_anything_ends_well(unit: str):
    """A large cell of one repeated piece is answered like any other."""
    _ends_well((unit * (65_536 // len(unit) + 1))[:65_536])
    _ends_well("CREATE S3 CONNECTION x " + (unit * (65_536 // len(unit) + 1))[:65_536])
