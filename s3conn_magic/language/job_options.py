"""The one table of the options of jobs. Grammar, binder, `HELP` and the generated reference read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from s3conn_magic.language import job_values
from s3conn_magic.language.session_settings import boolean, text

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["COPY", "INSERT", "INTO", "TABLE"]
BOTH: tuple[Kind, ...] = ("COPY", "INSERT")
EVERY: tuple[Kind, ...] = ("COPY", "INSERT", "INTO")
WRITES: tuple[Kind, ...] = ("INSERT", "INTO")
COPY: tuple[Kind, ...] = ("COPY",)
INSERT: tuple[Kind, ...] = ("INSERT",)
TABLE: tuple[Kind, ...] = ("TABLE",)


@dataclass(frozen=True, slots=True)
class JobOption:
    """One option.

    Attributes:
        name: as it is written, in whatever case.
        read: turns a raw value into the stored one; raises ValueError with what is wanted.
        takes: what is written after `=`.
        help: one sentence.
        default: what holds when it is not given, in words.
        example: a value as one would write it.
        kinds: what has it: COPY FROM, INSERT INTO S3, what changes a table (INTO), or several; or a table.
        effect: False for what is Upsolver's and has no meaning on one machine; accepted, with a note.
        switch: whether it may stand alone, for TRUE.
        mutable: whether ALTER JOB sets it.
        excludes: options that must not be there too.
        requires: options that must be there too.
    """

    name: str
    read: Callable[[Any], Any]
    takes: str
    help: str
    default: str
    example: str
    kinds: tuple[Kind, ...]
    effect: bool = True
    switch: bool = False
    mutable: bool = False
    excludes: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


def _idle(name: str, help_: str, example: str, kinds: tuple[Kind, ...] = BOTH) -> JobOption:
    return JobOption(name, job_values.anything, "any value", help_, "none", example, kinds, effect=False, mutable=True)


_LOCATIONS = (
    JobOption(
        "LOCATION",
        text,
        "an s3:// location",
        "Where COPY FROM reads every object whose key begins with it, or the folder INSERT INTO writes to; or BUCKET.",
        "none",
        "'s3://bucket/folder/'",
        BOTH,
        excludes=("BUCKET", "PREFIX"),
    ),
    JobOption("BUCKET", job_values.bucket, "a bucket's name", "The older form of LOCATION.", "none", "'bucket'", BOTH),
    JobOption(
        "PREFIX",
        job_values.prefix,
        "the beginning of keys",
        "Used with BUCKET.",
        "the whole bucket",
        "'folder/'",
        BOTH,
        requires=("BUCKET",),
    ),
)
_READING = (
    JobOption(
        "CONTENT_TYPE",
        job_values.content_type,
        "AUTO, CSV, TSV, JSON, PARQUET, ORC, AVRO, ARROW, CLOUDTRAIL, SPLIT_LINES, REGEX or FIXED_WIDTH, or (TYPE = …"
        " and its settings)",
        "Format of the objects. CSV and TSV take DELIMITER (CSV), HEADER, HEADER_LINE, SKIP_LINES, COMMENT_PREFIX,"
        " INFER_TYPES, NULL_VALUE, NULL_VALUES, DATE_FORMAT, TIMESTAMP_FORMAT (codes of strftime), QUOTE_ESCAPE_CHAR,"
        " MAX_COLUMNS and ALLOW_DUPLICATE_HEADERS; JSON SPLIT_ROOT_ARRAY; SPLIT_LINES PATTERN, the text between two"
        " lines; REGEX PATTERN (RE2's, whose groups are columns), MULTILINE and NULL_VALUES; FIXED_WIDTH COLUMNS."
        " CLOUDTRAIL is JSON whose Records are rows. Every text takes ENCODING.",
        "AUTO: by the first bytes of each object, then by its name",
        "(TYPE = CSV DELIMITER = ';')",
        COPY,
    ),
    JobOption(
        "FILE_PATTERN",
        job_values.pattern,
        "a regular expression",
        "Only objects whose key below the location it matches as a whole are loaded. Those with names or folders that"
        " begin with _ or . are left out, with a note, unless it names them.",
        "every object",
        r"'.*\.parquet'",
        COPY,
    ),
    JobOption(
        "FILE_SUFFIX",
        text,
        "text",
        "Only objects whose key ends with it are loaded.",
        "every object",
        "'.json.gz'",
        COPY,
    ),
    JobOption(
        "INITIAL_LOAD_PREFIX",
        job_values.prefix,
        "the beginning of keys",
        "The first run also loads the objects below this prefix of the bucket, whatever FILE_PATTERN, FILE_SUFFIX,"
        " START_FROM and DATE_PATTERN say.",
        "none",
        "'history/'",
        COPY,
    ),
    JobOption(
        "INITIAL_LOAD_PATTERN",
        job_values.pattern,
        "a regular expression",
        "FILE_PATTERN of INITIAL_LOAD_PREFIX; without that, of the location in the first run.",
        "every object",
        r"'.*LOAD.*\.csv'",
        COPY,
    ),
    JobOption(
        "EXCLUDE_COLUMNS",
        job_values.names,
        "one name of a column or more, * for any characters",
        "Columns that are not loaded.",
        "none",
        "('email', 'debug_*')",
        COPY,
    ),
    JobOption(
        "COLUMN_TRANSFORMATIONS",
        job_values.transformations,
        "(column = expression, …)",
        "Columns computed from the object's, in DuckDB's SQL; one of the same name is replaced.",
        "none",
        "(email = sha256(email), total = price * quantity)",
        COPY,
    ),
    JobOption(
        "DELETE_FILES_AFTER_LOAD",
        boolean,
        "TRUE or FALSE",
        "Delete an object when all of its rows are in the table; a READ_ONLY connection refuses that.",
        "FALSE",
        "TRUE",
        COPY,
    ),
    JobOption(
        "SKIP_VALIDATIONS",
        job_values.validations,
        "ALL, EMPTY_PATH or ALLOW_CARTESIAN_PRODUCT",
        "Create the job even though there is nothing at its location yet.",
        "a location without objects is refused",
        "('EMPTY_PATH')",
        EVERY,
        mutable=True,
    ),
    JobOption(
        "SKIP_ALL_VALIDATIONS",
        boolean,
        "nothing, TRUE or FALSE",
        "As SKIP_VALIDATIONS = ('ALL').",
        "FALSE",
        "TRUE",
        EVERY,
        switch=True,
    ),
    JobOption(
        "DEDUPLICATE_WITH",
        job_values.deduplication,
        "(COLUMNS = (column, …) WINDOW = a number of MINUTES, HOURS or DAYS)",
        "Of rows that are equal in the columns only the first is loaded, with those that were loaded within the window"
        " before the run.",
        "every row is loaded",
        "(COLUMNS = (id) WINDOW = 4 HOURS)",
        COPY,
    ),
)
_WRITING = (
    JobOption(
        "FILE_FORMAT",
        job_values.file_format,
        "PARQUET, CSV, TSV or JSON (one object a line), or (TYPE = … and its settings)",
        "Format of the objects that are written. CSV takes DELIMITER and HEADER, TSV takes HEADER; there is one unless"
        " HEADER = FALSE. What COPY FROM S3 would not read back as it was is refused.",
        "PARQUET",
        "(TYPE = CSV DELIMITER = ';')",
        INSERT,
    ),
    JobOption(
        "OUTPUT_OFFSET",
        job_values.interval,
        "a number of MINUTES, HOURS or DAYS",
        "Added to the time that DATE_PATTERN names.",
        "0",
        "1 HOUR",
        INSERT,
        requires=("DATE_PATTERN",),
    ),
    JobOption(
        "MAP_COLUMNS_BY_NAME",
        boolean,
        "nothing, TRUE or FALSE",
        "Columns keep the names that the SELECT gives them, as they always do.",
        "TRUE",
        "TRUE",
        INSERT,
        switch=True,
    ),
)
_SHARED = (
    JobOption(
        "COMPRESSION",
        job_values.choice("AUTO", "NONE", "GZIP", "SNAPPY", "ZSTD", refused=("LZO", "KCL", "SNAPPY_UNFRAMED")),
        "AUTO, NONE, GZIP, ZSTD or SNAPPY",
        "How objects are compressed; SNAPPY is for Parquet only.",
        "COPY FROM: by the first bytes of each object; INSERT INTO: SNAPPY for Parquet, NONE for the others",
        "GZIP",
        BOTH,
    ),
    JobOption(
        "DATE_PATTERN",
        job_values.date_pattern,
        "a date as Java writes it, of yyyy, yy, MM, dd, DDD, HH, mm and ss",
        "COPY FROM: the date right behind the location in each key, which START_FROM and END_AT then go by."
        " INSERT INTO: the folder below the location, the time of the run in UTC.",
        "none",
        "'yyyy/MM/dd/HH'",
        BOTH,
    ),
    JobOption(
        "START_FROM",
        job_values.start,
        "NOW, BEGINNING or a time",
        "COPY FROM: older objects, by the date in the key or when they were written, are not loaded."
        " INSERT INTO: what run_start_time() is in the first run.",
        "BEGINNING",
        "'2026-11-01'",
        EVERY,
    ),
    JobOption(
        "END_AT",
        job_values.end,
        "NOW or a time",
        "COPY FROM: objects from then on are not loaded. INSERT INTO: run_end_time() is never later.",
        "never",
        "'2026-12-01T00:00:00Z'",
        EVERY,
        mutable=True,
    ),
    JobOption(
        "RUN_INTERVAL",
        job_values.interval,
        "a number of MINUTES, HOURS or DAYS",
        "How long after its last run RUN JOBS runs the job again; nothing runs by itself.",
        "each RUN JOBS runs it",
        "5 MINUTES",
        EVERY,
        mutable=True,
    ),
    JobOption("COMMENT", text, "text", "Free text shown with the job.", "none", "'hourly events'", EVERY, mutable=True),
)
_IDLE = (
    _idle("COMPUTE_CLUSTER", "Upsolver's cluster that runs the job.", '"Default Compute"', EVERY),
    _idle("RUN_PARALLELISM", "Upsolver's number of shards that run the job.", "4", EVERY),
    _idle("COMMIT_INTERVAL", "How often Upsolver commits; here each object is committed.", "5 MINUTES", COPY),
    _idle("MAX_DELAY", "How late Upsolver looks for objects; here each run lists all.", "1 HOUR", COPY),
    _idle("SQS_QUEUE_NAME", "Queue by which Upsolver hears of new objects.", "'queue'", COPY),
    _idle("SQS_KMS_KEY", "Key of that queue.", "'alias/queue'", COPY),
    _idle("AGGREGATION_PARALLELISM", "Upsolver's number of shards of an aggregation.", "4", WRITES),
    _idle("ALLOW_CARTESIAN_PRODUCTS", "Upsolver's permission for a join without a condition.", "TRUE", WRITES),
    _idle("ADD_MISSING_COLUMNS", "Upsolver's leave to add columns, which are added in any case.", "TRUE", WRITES),
    _idle("MAX_TIME_TRAVEL_DURATION", "How long Upsolver keeps what a materialized view was.", "1 DAY", ("INTO",)),
)
VIEW_OPTIONS = ("MAX_TIME_TRAVEL_DURATION", "COMPUTE_CLUSTER", "COMMENT")
"""Options that may stand behind the query of a materialized view."""

JOB_OPTIONS: tuple[JobOption, ...] = (*_LOCATIONS, *_READING, *_WRITING, *_SHARED, *_IDLE)
_BY_NAME = {option.name: option for option in JOB_OPTIONS}
LOCATIONS = frozenset(option.name for option in _LOCATIONS)
"""The options that say where a job reads or writes."""
JOB_OPTION_NAMES = tuple(_BY_NAME)


TABLE_OPTIONS: tuple[JobOption, ...] = (
    JobOption(
        "STORAGE_CONNECTION",
        job_values.name,
        "the name of a connection",
        "The connection through which the table's files are read and written; needs STORAGE_LOCATION.",
        "DEFAULT_STORAGE",
        "lake",
        TABLE,
        requires=("STORAGE_LOCATION",),
    ),
    JobOption(
        "STORAGE_LOCATION",
        text,
        "an s3:// location",
        "The folder for the table's files, used by no other table; needs STORAGE_CONNECTION.",
        "DEFAULT_STORAGE",
        "'s3://bucket/tables/orders/'",
        TABLE,
        requires=("STORAGE_CONNECTION",),
    ),
    JobOption(
        "TABLE_DATA_RETENTION",
        job_values.days,
        "a number of DAYS",
        "Rows older than that, by the first partition that is a date or a time, are deleted by OPTIMIZE TABLE.",
        "rows stay",
        "30 DAYS",
        TABLE,
    ),
    JobOption(
        "COMPRESSION",
        job_values.choice("ZSTD", "SNAPPY", "GZIP", "LZ4", "UNCOMPRESSED"),
        "ZSTD, SNAPPY, GZIP, LZ4 or UNCOMPRESSED",
        "How the table's Parquet files are compressed.",
        "ZSTD",
        "SNAPPY",
        TABLE,
    ),
    JobOption("COMMENT", text, "text", "Free text that is kept with the table.", "none", "'orders, by day'", TABLE),
    JobOption(
        "COLUMN_DATA_RETENTION",
        job_values.nothing("values of single columns do not end by their age here; TABLE_DATA_RETENTION ends rows"),
        "nothing here",
        "Upsolver's end of the values of single columns, which is not had here: TABLE_DATA_RETENTION ends rows.",
        "values stay",
        "(COLUMN = email DURATION = 8 DAYS)",
        TABLE,
    ),
    *(
        _idle(name, help_, example, TABLE)
        for name, help_, example in (
            ("COMPUTE_CLUSTER", "Upsolver's cluster that looks after the table.", '"Default Compute"'),
            ("COMPACTION_PROCESSES", "Upsolver's number of compactions at a time; here OPTIMIZE TABLE does it.", "2"),
            ("DISABLE_COMPACTION", "Upsolver compacts by itself; here OPTIMIZE TABLE does it.", "TRUE"),
            ("GLOBALLY_UNIQUE_KEYS", "Whether Upsolver looks for a key in every partition, as is done here.", "TRUE"),
        )
    ),
)
_OF_TABLE = {option.name: option for option in TABLE_OPTIONS}
TABLE_OPTION_NAMES = tuple(_OF_TABLE)


def find_job_option(name: str, kind: Kind | None = None) -> JobOption | None:
    """The option of that name, in whatever case: of a job, or of a table."""
    return (_OF_TABLE if kind == "TABLE" else _BY_NAME).get(name.upper())
