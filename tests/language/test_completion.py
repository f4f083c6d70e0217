"""What may be written at each place of a cell; `|` is the cursor."""

from __future__ import annotations

import re
from typing import ClassVar

import pytest
from corpora import read
from outcomes import failure_of

from s3conn_magic.language.completion import Item, _last_word, complete
from s3conn_magic.language.grammar import RESERVED, parse
from s3conn_magic.language.options import OPTION_NAMES, OPTIONS
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS
from s3conn_magic.language.session_settings import SETTINGS
from s3conn_magic.language.source import BEFORE_NAME, Source
from s3conn_magic.locations import Location
from s3conn_magic.notebook.tab import statements_at

FIRST_WORDS = {one.name.split()[0] for one in STATEMENTS} | {"WITH", "FROM"}
CLAUSES = ["USING", "RECURSIVE", "VERSIONS", "MATCHING", "LIMIT"]
VALID = [case.cell for case in read("valid")]


class Surroundings:
    """Two connections, two buckets, and a note of what was asked."""

    NAMES: ClassVar = {
        "connection": ["lake", "Two words", "list"],
        "table": ["sales", "stock"],
        "job": ["load_sales"],
        "option of lake": ["REGION", "COMMENT", "READ_ONLY"],
        "option of x": ["REGION", "COMMENT"],
        "variable": ["uri", "user"],
        "environment variable": ["MY_KEY", "MY_SECRET"],
        "profile": ["analytics", "admin"],
        "region": ["eu-west-1", "us-east-1"],
        "frame": ["prices"],
        "function": ["strftime", "strip_accents", "sum"],
        "columns of sales": ["amount", "order", "two words"],
        "columns of stock": ["amount_left", "shelf"],
        "columns of prices": ["amount_paid"],
        "columns of s3://acme-lake/a.parquet": ["amount_read"],
    }
    ROOTS: ClassVar = ["s3://acme-lake/", "s3://acme-logs/app/"]
    NAMES_BELOW: ClassVar = ["sales/", "sales.csv", "it's.txt", "evil\u202egpj.txt", "new\nline"]

    def __init__(self):
        self.asked = []

    def names(self, kind):
        return self.NAMES.get(kind, ())

    def below(self, connection, place, beginning):
        self.asked.append((connection, place, beginning))
        return self.ROOTS if place is None else self.NAMES_BELOW


def completed(marked):
    """What is replaced, the items, and what was asked of the surroundings."""
    at, text = marked.index("|"), marked.replace("|", "", 1)
    around = Surroundings()
    start, items = complete(text, at, around)
    return text[start:at], list(items), around.asked


def texts(marked):
    """The texts that are offered."""
    return [item.text for item in completed(marked)[1]]


def test_a_statement_begins_with_the_words_of_the_reference():
    """An empty cell, and the place behind a `;`, offer the beginning of every statement and nothing else."""
    assert {text.split()[0] for text in texts("|")} == FIRST_WORDS
    assert texts("LIST 's3://b;c/' ; |") == texts("|")
    assert texts("-- a comment; LIST\n/* ' */ |") == texts("|")


@pytest.mark.parametrize(
    ("marked", "offered"),
    [
        ("CREATE |", ["OR REPLACE", "S3 CONNECTION", "ICEBERG TABLE", "TABLE", "SYNC JOB", "JOB", "MATERIALIZED VIEW"]),
        ("create or |", ["REPLACE"]),
        ("CREATE S3 CONNECTION |", ["IF NOT EXISTS"]),
        ("CREATE S3 CONNECTION pri|", []),
        ("ALTER S3 CONNECTION lake |", ["SET", "UNSET", "RENAME TO"]),
        ("ALTER S3 CONNECTION lake RENAME TO |", []),
        ("DROP CONNECTION lake |", ["CASCADE"]),
        ("SHOW |", ["CONNECTIONS", "BUCKETS", "SETTINGS", "TABLES", "SNAPSHOTS", "CREATE", "JOBS", "JOB"]),
        ("SHOW CREATE |", ["S3 CONNECTION", "TABLE", "JOB"]),
        ("LIST |", ["'s3://", "FROM INVENTORY", *CLAUSES]),
        ("LIST RECURSIVE USING lake |", ["VERSIONS", "MATCHING", "LIMIT"]),
        ("LIST 's3://b/' USING lake LIMIT |", ["ALL"]),
        (
            "ANALYZE 's3://b/' BY |",
            ["PREFIX", "STORAGE_CLASS", "EXTENSION", "AGE", "SIZE", "DUPLICATES", "VERSIONS", "UPLOADS"],
        ),
        ("TEST CONNECTION lake LOCATION = |", ["'s3://"]),
        ("SHOW BUCKETS LIKE |", []),
        ("SHOW BUCKETS LIKE 'prin|", []),
        ("LIST 's3://b/' nonsense |", []),
        ("nonsense |", []),
    ],
)
def test_keywords_are_those_that_may_stand_there(marked: str, offered: list[str]):
    """Only what the grammar allows, phrases whole, and no clause twice."""
    assert texts(marked) == offered


def test_keywords_are_written_as_they_were_begun():
    """Who writes in lower case goes on in lower case; names keep theirs."""
    assert texts("li|") == ["list"]
    assert texts("Li|") == ["LIST"]
    assert texts("create s3 connection x read|") == ["read_only"]
    assert texts("use connection two|") == []
    assert texts('use connection "two|') == ['"Two words"']


@pytest.mark.parametrize("text", VALID + [one.example for one in STATEMENTS])
def test_every_word_of_a_statement_is_offered_where_it_stands(text: str):
    """In each statement that is known to be valid, what is written so far leads to the word that follows."""
    words = [token for token in Source(text).tokens if token.kind == "word"]
    for token in words:
        upper = token.text.upper()
        if upper in KEYWORDS | set(OPTION_NAMES) and _is_ours(text, token) and not _is_in_query(text, token):
            marked = f"{text[: token.span.start]}{token.text[:1]}|{text[token.span.end :]}"
            assert [one for one in texts(marked) if one.split()[0].upper() in {upper, _canonical(upper)}], marked


def _is_in_query(text, token):
    """Whether a word stands in a query, behind the first of it: DuckDB's own words are not offered."""
    queries = [one.query.span for one in parse(Source(text)) if getattr(one, "query", None)]
    return any(one.start < token.span.start < one.end for one in queries)


def _is_ours(text, token):
    """Whether a word is no name, no topic of HELP, no second SET, and no option that another one there excludes."""
    before = Source(text).token_before(token.span.start)
    if before is None:
        return True
    named = before.text.upper() in BEFORE_NAME and token.text.upper() not in RESERVED
    head = text[: token.span.start].upper().split()
    return (
        not named
        and before.text != "$"
        and "HELP" not in head
        and token.text.upper() not in {"SET", *head, *_excluded(head)}
    )


def _excluded(given):
    """Options that do not go with those that are given."""
    return {one.name for one in OPTIONS for other in OPTIONS if other.name in given and _exclude_each_other(one, other)}


def _exclude_each_other(one, other):
    return one.name in other.excludes or other.name in one.excludes


def _canonical(name):
    return next((one.name for one in OPTIONS if name in one.aliases), name)


BEGINNINGS = sorted(
    {text[: found.start()] for text in VALID for found in re.finditer(r"(?<=\s)\S", text)},
    key=lambda text: (len(text), text),
)


@pytest.mark.parametrize("text", BEGINNINGS[:: max(1, len(BEGINNINGS) // 150)])
def test_every_keyword_that_is_offered_may_stand_there(text: str):
    """The parser refuses none of the words that completion offers, whatever it misses behind them."""
    for item in complete(text, len(text), Surroundings()).items:
        if item.kind in {"keyword", "option", "setting"}:
            failure = failure_of(f"{text}{item.text}")
            assert failure is None or "but found" not in failure.message, item.text


# Names and variables


def test_connections_are_offered_where_one_is_named():
    """Names that need quotes have them, also names that are words of the language."""
    assert texts("LIST USING |") == ["lake", '"Two words"', '"list"']
    assert texts("DROP CONNECTION |") == ["lake", '"Two words"', '"list"', "IF EXISTS"]
    assert texts('TEST CONNECTION "|"') == ['"lake', '"Two words', '"list']


def test_variables_are_offered_after_the_dollar():
    """Where a value or a location may be one, and nowhere else."""
    assert texts("LIST $u|") == ["$uri", "$user"]
    assert texts("CREATE S3 CONNECTION x AWS_ROLE = $|") == ["$uri", "$user"]
    assert texts("USE CONNECTION $|") == []


# Options and settings


def test_options_are_those_that_are_not_given_yet():
    """No option twice in either spelling, none that excludes another, and first what another needs."""
    assert texts("CREATE S3 CONNECTION x |")[0] == "AWS_PROFILE"
    assert set(texts("CREATE S3 CONNECTION x |")) == {one.name for one in OPTIONS}
    offered = texts("CREATE S3 CONNECTION x aws_secret_access_key = 'x', PATH_DISPLAY_FILTER = 's3://b/' |")
    assert offered[0] == "AWS_ACCESS_KEY_ID"
    gone = {"AWS_SECRET_ACCESS_KEY", "PATH_DISPLAY_FILTERS", "AWS_PROFILE", "ANONYMOUS"}
    assert set(offered) == {one.name for one in OPTIONS} - gone


def test_options_that_cannot_be_altered_are_not_offered():
    """READ_ONLY is an option of CREATE, and not of ALTER."""
    for marked in ("ALTER S3 CONNECTION lake SET |", "ALTER S3 CONNECTION lake UNSET COMMENT, |"):
        assert set(texts(marked)) <= {one.name for one in OPTIONS if one.mutable}
        assert "REGION" in texts(marked)


@pytest.mark.parametrize(
    ("marked", "offered"),
    [
        ("ALTER S3 CONNECTION lake UNSET |", ["COMMENT", "REGION"]),
        ("CREATE S3 CONNECTION x secret_|", ["aws_secret_access_key"]),
        ("CREATE S3 CONNECTION x SESSION|", ["AWS_SESSION_TOKEN"]),
        ("CREATE S3 CONNECTION x REGION |", ["="]),
        ("SET PROGRESS |", ["="]),
        ("DROP TABLE |", ["sales", "stock", "IF EXISTS"]),
        ("DROP TABLE s|", ["sales", "stock"]),
        ("RUN JOB |", ["load_sales"]),
        ("DROP JOB l|", ["load_sales"]),
        ("SHOW JOB |", ["load_sales"]),
        ("SELECT * FROM |", ["prices", "sales", "stock"]),
        ("SELECT * FROM sales JOIN st|", ["stock"]),
        ("SELECT sa|", []),
    ],
)
def test_names_and_marks_are_those_that_may_stand_there(marked, offered):
    """What is set, options by the middle of their names, `=` behind them, and tables and jobs where one is named."""
    assert sorted(texts(marked)) == sorted(offered)


@pytest.mark.parametrize(
    ("option", "offered"),
    [
        ("READ_ONLY", ["TRUE", "FALSE"]),
        ("aws_role", ["ENV", "KEYRING", "PROMPT"]),
        ("ADDRESSING_STYLE", ["'auto'", "'path'", "'virtual'", "ENV", "KEYRING", "PROMPT"]),
        ("AWS_PROFILE", ["'analytics'", "'admin'", "ENV", "KEYRING", "PROMPT"]),
        ("PATH_DISPLAY_FILTER", ["'s3://", "ENV", "KEYRING", "PROMPT"]),
        ("ENDPOINT = ENV", []),
        ("EXTERNAL_ID = ENV 'x' COMMENT", ["ENV", "KEYRING", "PROMPT"]),
    ],
)
def test_values_are_those_of_the_option(option: str, offered: list[str]):
    """Words, texts and sources that the table says the option takes."""
    assert texts(f"CREATE S3 CONNECTION x {option} = |") == offered


@pytest.mark.parametrize(
    ("marked", "offered"),
    [
        ("CREATE S3 CONNECTION x ADDRESSING_STYLE = '|", ["'auto'", "'path'", "'virtual'"]),
        ("CREATE S3 CONNECTION x ADDRESSING_STYLE = 'v|'", ["'virtual"]),
        ("CREATE S3 CONNECTION x AWS_PROFILE = 'an|' REGION = 'x'", ["'analytics"]),
        ("CREATE S3 CONNECTION x REGION = 'eu|", ["'eu-west-1'"]),
        ("CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY = ENV 'my_s|'", ["'MY_SECRET"]),
        ("CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY = '|", []),
        ("CREATE S3 CONNECTION x COMMENT = 's3://|", []),
        ("SET EXPLORER_UI = 'b|'", ["'basic"]),
    ],
)
def test_texts_are_those_of_the_option(marked: str, offered: list[str]):
    """In quotes; the closing one only if it is not there yet."""
    assert texts(marked) == offered


def test_settings_and_their_values_are_those_of_the_table():
    """SET offers each setting, and after `=` what it takes."""
    assert texts("SET |") == [one.name for one in SETTINGS]
    assert texts("SET LIMIT = |") == ["ALL"]
    assert texts("SET progress = |") == ["TRUE", "FALSE"]
    assert texts("SET EXPLORER_UI = |") == ["'auto'", "'basic'"]


def test_help_offers_what_it_explains():
    """Statements, options and settings; a topic of several words as a whole."""
    named = [one.name for table in (STATEMENTS, OPTIONS, SETTINGS) for one in table]
    assert set(texts("HELP |")) == set(named)
    assert completed("HELP CREATE  S3 C|")[:2] == ("CREATE  S3 C", [])
    assert completed("HELP CREATE S3 C|")[:2] == ("CREATE S3 C", [Item("CREATE S3 CONNECTION", "keyword")])


# Locations


@pytest.mark.parametrize("begun", ["'", "'s3:", "'s3://"])
def test_buckets_and_filters_are_offered_in_an_opened_location(begun: str):
    """The opening quote is enough."""
    fragment, items, asked = completed(f"LIST {begun}|")
    assert fragment == begun[1:]
    assert items == [Item("s3://acme-lake/", "bucket"), Item("s3://acme-logs/app/", "bucket")]
    assert asked == [(None, None, "s3://")]


def test_folders_and_objects_are_offered_by_their_last_segment():
    """A quote in a key is written twice; a key with characters that cannot be seen is not offered."""
    fragment, items, asked = completed("LIST 's3://acme-lake/a//b/|' RECURSIVE")
    assert (fragment, asked) == ("", [(None, Location("acme-lake", "a//b/"), "")])
    assert items == [Item("sales/", "folder"), Item("sales.csv", "object"), Item("it''s.txt", "object")]
    fragment, items, asked = completed("LIST 's3://acme-lake/it''|")
    assert (fragment, items) == ("it''", [Item("it''s.txt", "object")])
    assert asked == [(None, Location("acme-lake"), "it'")]


@pytest.mark.parametrize(
    "marked",
    [
        "LIST 's3://acme-lake/|' RECURSIVE USING lake; LIST USING other",
        "LIST 's3://acme-lake/|' USING \"lake\"",
        "LIST 's3://acme-lake/| USING lake",
        "LIST 's3://acme-lake/|\n  USING lake LIMIT 7;\nSHOW BUCKETS LIKE 'x'",
        "TEST CONNECTION lake LOCATION = 's3://acme-lake/|'",
        "ALTER S3 CONNECTION lake SET PATH_DISPLAY_FILTERS = ('s3://acme-lake/', 's3://acme-lake/|",
        "SELECT * FROM 's3://lake@acme-lake/|'",
    ],
)
def test_a_location_is_looked_into_through_the_connection_of_the_statement(marked: str):
    """Named before or behind it, by USING or as what the statement is about."""
    assert [connection for connection, _, _ in completed(marked)[2]] == ["lake"]


@pytest.mark.parametrize(
    "marked",
    [
        "CREATE S3 CONNECTION new PATH_DISPLAY_FILTERS = ('s3://|",
        "LIST MATCHING 's3://|",
        "LIST -- 's3://|",
        "LIST /* 's3://acme-lake/|",
        "LIST 's3://no*bucket/|",
        "USE CONNECTION 's3://|",
    ],
)
def test_nothing_is_asked_where_no_location_of_a_connection_stands(marked: str):
    """Not of one that does not exist yet, nor in comments, globs and what is no location."""
    assert completed(marked)[1:] == ([], [])


def test_a_word_as_long_as_a_cell_is_read_once():
    """What is being written is found in time that grows with the text, however long a word or a line of blanks is."""
    assert _last_word(f"LIST {'a' * 300_000}-") == ""
    assert _last_word(f"$x {'a$' * 150_000}b") == "$b"
    assert _last_word("LIST $na") == "$na"
    assert _last_word("LIST ab1") == "ab1"
    assert statements_at(f"{' ' * 300_000}x", 300_001) is None
    assert statements_at("x =  %upsql LIST ", 17) == "            LIST "[:12] + "LIST "


QUERIES = {
    "SELECT am| FROM sales": ["amount"],
    "SELECT | FROM sales": ["amount", '"order"', '"two words"'],
    "FROM sales SELECT am|": ["amount"],
    "SELECT am|": ["amount", "amount_left"],
    "SELECT s.am| FROM sales AS s JOIN stock t ON s.amount = t.amount_left": ["amount"],
    "SELECT t.| FROM sales s JOIN stock t USING (x)": ["amount_left", "shelf"],
    "SELECT * FROM sales WHERE am|": ["amount"],
    "SELECT * FROM sales JOIN stock ON am|": ["amount", "amount_left"],
    "SELECT sum(am|) FROM prices": ["amount_paid"],
    "SELECT am| FROM 's3://acme-lake/a.parquet'": ["amount_read"],
    "SELECT st| FROM sales": ["strftime(", "strip_accents("],
    "SELECT su|(amount) FROM sales": ["sum"],
    "SELECT s| FROM stock": ["shelf"],
    "SELECT amount FROM sales ORDER BY amount, am|": ["amount"],
    "SELECT * FROM |": ["sales", "stock", "prices"],
    "SELECT * FROM sales s|": [],
    "CREATE TABLE t AS SELECT sh| FROM stock": ["shelf"],
    "SELECT x.am| FROM sales": [],
}


@pytest.mark.parametrize("marked", QUERIES)
def test_columns_and_functions_stand_where_a_query_takes_them(marked):
    """Columns are those of what stands behind FROM, be it behind the cursor; functions come from two letters on."""
    _, items, asked = completed(marked)
    offered = [item.text for item in items if item.kind in {"column", "function", "table", "frame"}]
    assert offered == QUERIES[marked]
    assert asked == []
