"""Statements of systems that nobody here has seen, made by kinds: what is done, how options are spelled, where it is.

No name, spelling or place is of one system alone. S3CONN_FOREIGN_STRIDE=1 tries every cell.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from s3conn_magic.errors import StatementSyntaxError
from s3conn_magic.language.answers import answer
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.source import BLANK, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Pairs = Sequence[tuple[str, str]]

STRIDE = int(os.environ.get("S3CONN_FOREIGN_STRIDE", "41"))
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
VALUES = {"key": KEY, "secret": SECRET, "region": "eu-west-1", "endpoint": "http://minio.test:9000"}
SETS = (("key", "secret", "region"), ("key", "secret", "endpoint"), ())
NAMES = {
    "plain": ("access_key_id", "secret_access_key", "region", "endpoint"),
    "with aws": ("aws_access_key_id", "aws_secret_access_key", "aws_region", "aws_endpoint_url"),
    "camel case": ("accessKeyId", "secretAccessKey", "region", "endpointUrl"),
    "dotted": ("s3.access-key", "s3.secret-key", "s3.region", "s3.endpoint"),
    "as a secret": ("key_id", "secret", "region", "endpoint"),
    "short": ("aws_id", "aws_secret", "aws_region", "aws_endpoint"),
    "shortest": ("ak", "sk", "region", "endpoint"),
}


def _name(name: str) -> str:
    return name if name.isidentifier() else f'"{name}"'


SPELLINGS: dict[str, Callable[[Pairs], str]] = {
    "with =": lambda pairs: "WITH (" + ", ".join(f"{_name(name)} = '{value}'" for name, value in pairs) + ")",
    "beside": lambda pairs: "OPTIONS (" + ", ".join(f"{_name(name)} '{value}'" for name, value in pairs) + ")",
    "quoted": lambda pairs: "PROPERTIES (" + ", ".join(f'"{name}" = "{value}"' for name, value in pairs) + ")",
    "object": lambda pairs: "WITH {" + ", ".join(f'"{name}": "{value}"' for name, value in pairs) + "}",
    "braces": lambda pairs: "CREDENTIALS = {" + ", ".join(f"'{name}'='{value}'" for name, value in pairs) + "}",
    "text": lambda pairs: "CREDENTIALS '{" + ", ".join(f'"{name}": "{value}"' for name, value in pairs) + "}'",
    "bare =": lambda pairs: " ".join(f"{name} = '{value}'" for name, value in pairs),
    "bare": lambda pairs: " ".join(f"{name} '{value}'" for name, value in pairs),
    "settings": lambda pairs: "SETTINGS " + ", ".join(f"{name} = '{value}'" for name, value in pairs),
    "arrows": lambda pairs: "(" + ", ".join(f"{name} => '{value}'" for name, value in pairs) + ")",
    "called": lambda pairs: "CONNECTION(" + ", ".join(f"{name} = '{value}'" for name, value in pairs) + ")",
    "map": lambda pairs: "OPTIONS = MAP[" + ", ".join(f"'{name}', '{value}'" for name, value in pairs) + "]",
}
UNQUOTED = {"bare =", "bare", "settings", "arrows", "called"}
PLACES = (
    "s3://acme/dir/part.csv",
    "s3a://acme/dir/part.csv",
    "S3://acme/dir/part.csv",
    "https://acme.s3.eu-west-1.amazonaws.com/dir/part.csv",
    "https://s3.eu-west-1.amazonaws.com/acme/dir/part.csv",
    "s3://minio.test:9000/acme/dir/part.csv",
    "http://minio.test:9000/acme/dir/part.csv",
)
PARTS = (
    ("bucket", "path"), ("bucket", "prefix"), ("bucket_name", "key"), ("s3.bucket", "s3.path"),
    ("bucketName", "objectKey"), ("bucket", "filepath"), ("s3_bucket", "s3_key"), ("bucket", "file"),
)  # fmt: skip
FORMS = {
    "connects": [
        f"CREATE {noun} my_src {{options}}"
        for noun in (
            "STAGE", "STORAGE INTEGRATION", "EXTERNAL DATA SOURCE", "CATALOG", "CONNECTION", "REPOSITORY",
            "STORAGE VAULT", "LINK", "SERVER", "NAMED COLLECTION", "DATASTORE", "OBJECT STORE", "PROFILE",
            "BACKUP TARGET", "FILE SPACE", "CREDENTIAL", "ACCESS KEY",
        )
    ],
    "alters": [f"ALTER {noun} my_src SET {{options}}" for noun in ("STAGE", "STORAGE VOLUME", "LINK", "DATASTORE")],
    "tables": [
        "CREATE EXTERNAL TABLE t (a INT) LOCATION {place} {options}",
        "CREATE FOREIGN TABLE t (a INT) {options} LOCATION {place}",
        "CREATE SOURCE t FROM S3 {place} {options}",
        "CREATE EXTERNAL COLLECTION t ON {place} {options}",
        "CREATE DATASET t AT {place} {options}",
        "CREATE STREAM t {parts}",
    ],
    "loads": [
        "COPY t FROM {place} {options}",
        "LOAD DATA INFILE {place} INTO TABLE t {options}",
        "INGEST INTO t FROM {place} {options}",
        "CREATE PIPELINE p AS LOAD DATA S3 {place} {options} INTO TABLE t",
        "CREATE LOAD JOB p SOURCE {place} {options} INTO t",
        "APPEND INTO t FROM {place} {options}",
        "COPY t FROM S3 {parts}",
        "LOAD DATA FROM S3 {parts} INTO TABLE t",
    ],
    "writes": [
        "COPY t TO {place} {options}",
        "EXPORT DATA {options} TO {place} AS SELECT a FROM t",
        "UNLOAD ('SELECT a FROM t') TO {place} {options}",
        "INSERT INTO FILES {place} {options} SELECT a FROM t",
        "OFFLOAD TABLE t TO {place} {options}",
        "DUMP (SELECT a FROM t) INTO {place} {options}",
        "EXPORT TABLE t TO S3 {parts}",
    ],
    "reads": [
        "SELECT * FROM read_files({place}) {options}",
        "SELECT * FROM TABLE(s3_scan({place})) {options}",
        "SELECT a FROM {place} {options}",
    ],
    "lists": [
        "LIST {place} {options}",
        "SHOW FILES IN {place} {options}",
        "SELECT * FROM list_files({place}) {options}",
        "CALL list_s3_files({place}) {options}",
    ],
}  # fmt: skip
MADE = r"(?:CREATE S3 CONNECTION \w+ [^;]*; )?"
RIGHT = {
    "connects": r"CREATE S3 CONNECTION my_src ",
    "alters": r"ALTER S3 CONNECTION my_src SET ",
    "tables": MADE + r"CREATE TABLE t LOCATION 's3://acme/dir/part\.csv'(?: USING \w+)?;",
    "loads": MADE + r"CREATE JOB \w+ [^;]*COPY FROM S3 \w+ LOCATION = 's3://acme/dir/part\.csv' INTO t;",
    "writes": MADE
    + r"CREATE JOB \w+ [^;]*INSERT INTO S3 \w+ LOCATION = 's3://acme/dir/' FILE_FORMAT = CSV SELECT (?:a|\*) FROM t;",
    "reads": MADE + r"SELECT (?:a|\*) FROM 's3://(?:\w+@)?acme/dir/part\.csv';",
    "lists": MADE + r"LIST 's3://acme/dir/part\.csv'(?: USING \w+)?;",
}


class Cell(NamedTuple):
    """A statement of another system, what it does, and what of its options must be in ours."""

    kind: str
    text: str
    carried: tuple[str, ...]


def _cells() -> Iterator[Cell]:
    for kind, forms in FORMS.items():
        for form in forms:
            places = PLACES if "{place}" in form else PARTS if "{parts}" in form else ("",)
            for place in places:
                yield from _of_place(kind, form, place)


def _of_place(kind: str, form: str, place: str | tuple[str, str]) -> Iterator[Cell]:
    for spelling, spell in SPELLINGS.items():
        for names in NAMES.values():
            for chosen in SETS:
                parts = [] if isinstance(place, str) else [*zip(place, ("acme", "dir/part.csv"), strict=True)]
                pairs = [*parts, *((names[[*VALUES].index(each)], VALUES[each]) for each in chosen)]
                odd = spelling in UNQUOTED and not all(name.isidentifier() for name, _ in pairs)
                if odd or not (chosen or (spelling == "with =" and kind not in {"connects", "alters"})):
                    continue
                said = spell(pairs) if pairs else ""
                text = form.format(place=f"'{place}'", options=said, parts=said).strip()
                served = "minio.test:9000" if ":9000/" in place else ""
                told = [VALUES[each] for each in chosen if each in {"key", "endpoint"}]
                yield Cell(kind, text, (*told, *filter(None, [served])))


def _parses(text: str) -> bool:
    try:
        parse(Source(text.replace(BLANK, "x")))
    except StatementSyntaxError:
        return False
    return True


def _fault(cell: Cell) -> str:
    made = answer(cell.text, 0, ["lake"], _parses)
    said = f"{made.ours} {made.note}" if made else ""
    if SECRET in said:
        return f"a secret is told of {cell.text}"
    wrong = made is None or re.fullmatch(RIGHT[cell.kind] + ".*", made.ours) is None or not _parses(made.ours)
    lost = [value for value in cell.carried if value not in said]
    lost += ["the secret"] * (KEY in cell.carried and "AWS_SECRET_ACCESS_KEY = PROMPT" not in said)
    return f"{cell.text}\n  {said}\n  lost: {lost}" if wrong or lost else ""


@pytest.mark.parametrize("kind", FORMS)
def test_statements_of_any_system_are_told_as_ours(kind: str):
    """Of every kind of statement at least 98 in 100 are ours, with place, keys and server, and no secret is told."""
    cells = [cell for at, cell in enumerate(_cells()) if cell.kind == kind and at % STRIDE == 0]
    faults = [fault for cell in cells if (fault := _fault(cell))]
    assert len(cells) > 10
    assert not [fault for fault in faults if fault.startswith("a secret")]
    assert len(faults) <= 0.02 * len(cells), "\n".join(faults[:5])


IN_PLACE = (
    f"s3://{KEY}:{SECRET}@acme/dir/part.csv",
    f"s3a://{KEY}:{SECRET}@s3.eu-west-1.amazonaws.com/acme/dir/part.csv",
    f"s3://{KEY}:{SECRET}@minio.test:9000/acme/dir/part.csv",
    f"s3://acme/dir/part.csv?access_key_id={KEY}&secret_access_key={SECRET}",
    f"s3://acme/dir/part.csv?AWS_ACCESS_KEY_ID={KEY}&AWS_SECRET_ACCESS_KEY={SECRET}",
)


@pytest.mark.parametrize("form", [form for forms in FORMS.values() for form in forms if "{place}" in form])
def test_a_key_pair_within_a_location_is_an_option_and_is_not_told(form: str):
    """It becomes a part of the connection, and the location has neither it nor the server."""
    for place in IN_PLACE:
        text = form.format(place=f"'{place}'", options="").strip()
        made = answer(text, 0, ["lake"], _parses)
        said = f"{made.ours} {made.note}" if made else ""
        assert SECRET not in said
        assert KEY not in said or "s3://acme/dir/" in said or "@acme/dir/" in said, f"{text} {said}"


CALLED = {
    'S3Client.builder().region(Region.of("eu-west-1")).credentialsProvider(Profile.create("dev")).build()': (
        "AWS_PROFILE = 'dev' REGION = 'eu-west-1'"
    ),
    f'minio.New("play.min.io", &minio.Options{{Creds: credentials.NewStaticV4("{KEY}", "{SECRET}", "")}})': KEY,
    "Aws.config.update(region: 'eu-west-1', credentials: Aws::Credentials.new(ENV['K'], ENV['S']))": (
        "AWS_ACCESS_KEY_ID = ENV 'K' AWS_SECRET_ACCESS_KEY = ENV 'S'"
    ),
    'client.send(new ListObjectsV2Command({ Bucket: "acme", Prefix: "dir/" }))': "LIST 's3://acme/dir/' RECURSIVE;",
    'store = S3Store("acme", prefix="dir/", region="eu-west-1", skip_signature=True)': "'s3://acme/dir/' ANONYMOUS",
    f"<name>fs.s3a.access.key</name><value>{KEY}</value>": f"AWS_ACCESS_KEY_ID = '{KEY}'",
    f"s3tool -bucket acme -region eu-west-1 -accessKey {KEY} -secretKey {SECRET}": KEY,
    f"SET s3auth = '{KEY}:{SECRET}'": f"AWS_ACCESS_KEY_ID = '{KEY}'",
}
"""Calls, settings and flags of languages and programs, with a part of what is told of them."""


@pytest.mark.parametrize("text", CALLED)
def test_calls_settings_and_flags_say_options_by_their_names(text: str):
    """In whatever language: a builder's methods, arguments in their order, properties of XML, flags of one dash."""
    made = answer(text, 0, ["lake"], _parses)
    assert made
    assert CALLED[text] in made.ours
    assert SECRET not in f"{made.ours} {made.note}"


WRITTEN = {
    "COPY t TO 's3://acme/out' WITH (FORMAT csv, HEADER false, DELIMITER '|')": (
        "FILE_FORMAT = (TYPE = CSV DELIMITER = '|' HEADER = FALSE)"
    ),
    "UNLOAD (SELECT a FROM t) TO 's3://acme/out/' WITH (format = 'JSON', compression = 'gzip')": "COMPRESSION = GZIP",
    "COPY (SELECT a FROM t) TO 's3://acme/out' (FORMAT parquet, COMPRESSION lz4)": "COMPRESSION has no counterpart",
    "COPY (SELECT a FROM t) TO 's3://acme/out' (FORMAT parquet, PARTITION_BY (a))": "PARTITION BY has no counterpart",
}
"""What is said of files that are written, with what becomes of it."""


@pytest.mark.parametrize("text", WRITTEN)
def test_what_is_said_of_files_is_carried_over_or_named(text: str):
    """Nothing of it is dropped in silence."""
    made = answer(text, 0, ["lake"], _parses)
    assert made
    assert WRITTEN[text] in f"{made.ours} {made.note}"
