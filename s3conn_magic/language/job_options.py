"""The table of the options of jobs, for grammar, binder, `HELP` and the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from s3conn_magic.language import job_values
from s3conn_magic.language.session_settings import boolean, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["COPY", "INSERT", "INTO", "TABLE"]
BOTH: tuple[Kind, ...] = ("COPY", "INSERT")
EVERY: tuple[Kind, ...] = ("COPY", "INSERT", "INTO")
WRITES: tuple[Kind, ...] = ("INSERT", "INTO")
COPY: tuple[Kind, ...] = ("COPY",)
INSERT: tuple[Kind, ...] = ("INSERT",)
TABLE: tuple[Kind, ...] = ("TABLE",)


@dataclass(frozen=True, slots=True)
class JobOption:
    """An option.

    Attributes:
        name: in canonical spelling, matched in any case.
        read: converts and checks a value; raises ValueError with what is wanted.
        takes: what is written after `=`.
        help: one sentence.
        default: in words.
        example: of a value.
        kinds: what has it: COPY FROM, INSERT INTO S3, statements that change a table (INTO), or several; or a table.
        effect: False for options of Upsolver's without meaning on one machine; accepted with a note.
        switch: whether the name alone means TRUE.
        mutable: whether ALTER JOB sets it.
        excludes: options that cannot be combined with it.
        requires: options that must be set too.
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
        "COPY FROM: every object whose key begins with it is loaded. INSERT INTO: the folder to write to. BUCKET is"
        " the older form.",
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
        "Goes with BUCKET.",
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
        " INFER_TYPES, NULL_VALUE, NULL_VALUES, DATE_FORMAT and TIMESTAMP_FORMAT (codes of strftime),"
        " QUOTE_ESCAPE_CHAR, MAX_COLUMNS and ALLOW_DUPLICATE_HEADERS. JSON takes SPLIT_ROOT_ARRAY. SPLIT_LINES takes"
        " PATTERN, the text between two lines. REGEX takes PATTERN (in RE2's syntax; its groups are the columns),"
        " MULTILINE and NULL_VALUES. FIXED_WIDTH takes COLUMNS. CLOUDTRAIL is JSON whose Records are the rows. Every"
        " text format takes ENCODING.",
        "AUTO: told by the first bytes of each object, then by its name",
        "(TYPE = CSV DELIMITER = ';')",
        COPY,
    ),
    JobOption(
        "FILE_PATTERN",
        job_values.pattern,
        "a regular expression",
        "Load only objects whose key below the location matches it as a whole. Names and folders that begin with _ or"
        " a dot are left out, with a note, unless the pattern names them.",
        "every object",
        r"'.*\.parquet'",
        COPY,
    ),
    JobOption(
        "FILE_SUFFIX",
        text,
        "text",
        "Load only objects whose key ends with it.",
        "every object",
        "'.json.gz'",
        COPY,
    ),
    JobOption(
        "INITIAL_LOAD_PREFIX",
        job_values.prefix,
        "the beginning of keys",
        "The first run also loads the objects below this prefix of the bucket, regardless of FILE_PATTERN,"
        " FILE_SUFFIX, START_FROM and DATE_PATTERN.",
        "none",
        "'history/'",
        COPY,
    ),
    JobOption(
        "INITIAL_LOAD_PATTERN",
        job_values.pattern,
        "a regular expression",
        "The FILE_PATTERN for INITIAL_LOAD_PREFIX; without that, for the location in the first run.",
        "every object",
        r"'.*LOAD.*\.csv'",
        COPY,
    ),
    JobOption(
        "EXCLUDE_COLUMNS",
        job_values.names,
        "one name of a column or more, * for any characters",
        "Columns to leave out.",
        "none",
        "('email', 'debug_*')",
        COPY,
    ),
    JobOption(
        "COLUMN_TRANSFORMATIONS",
        job_values.transformations,
        "(column = expression, …)",
        "Columns computed from the object's columns in DuckDB's SQL; one of the same name is replaced.",
        "none",
        "(email = sha256(email), total = price * quantity)",
        COPY,
    ),
    JobOption(
        "DELETE_FILES_AFTER_LOAD",
        boolean,
        "TRUE or FALSE",
        "Delete each object once all of its rows are in the table. A READ_ONLY connection refuses it.",
        "FALSE",
        "TRUE",
        COPY,
    ),
    JobOption(
        "SKIP_VALIDATIONS",
        job_values.validations,
        "ALL, EMPTY_PATH or ALLOW_CARTESIAN_PRODUCT",
        "Create the job although there is nothing at its location yet.",
        "a location without objects is refused",
        "('EMPTY_PATH')",
        EVERY,
        mutable=True,
    ),
    JobOption(
        "SKIP_ALL_VALIDATIONS",
        boolean,
        "nothing, TRUE or FALSE",
        "The same as SKIP_VALIDATIONS = ('ALL').",
        "FALSE",
        "TRUE",
        EVERY,
        switch=True,
    ),
    JobOption(
        "DEDUPLICATE_WITH",
        job_values.deduplication,
        "(COLUMNS = (column, …) WINDOW = a number of MINUTES, HOURS or DAYS)",
        "Of rows that are equal in these columns load only the first, counting those that were loaded within the"
        " window before the run.",
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
        "Format of the objects to write. CSV takes DELIMITER and HEADER, TSV takes HEADER; a header is written unless"
        " HEADER = FALSE. Rows that COPY FROM S3 wouldn't read back unchanged are refused.",
        "PARQUET",
        "(TYPE = CSV DELIMITER = ';')",
        INSERT,
    ),
    JobOption(
        "OUTPUT_OFFSET",
        job_values.interval,
        "a number of MINUTES, HOURS or DAYS",
        "Time to add to the one that DATE_PATTERN writes.",
        "0",
        "1 HOUR",
        INSERT,
        requires=("DATE_PATTERN",),
    ),
    JobOption(
        "MAP_COLUMNS_BY_NAME",
        boolean,
        "nothing, TRUE or FALSE",
        "Columns keep the names from the SELECT, as they always do here.",
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
        "Compression of the objects; SNAPPY only for Parquet.",
        "COPY FROM: told by the first bytes of each object; INSERT INTO: SNAPPY for Parquet, NONE for the others",
        "GZIP",
        BOTH,
    ),
    JobOption(
        "DATE_PATTERN",
        job_values.date_pattern,
        "a date as Java writes it, of yyyy, yy, MM, dd, DDD, HH, mm and ss",
        "COPY FROM: the date that follows the location in each key, used by START_FROM and END_AT. INSERT INTO: the"
        " folder below the location, named by the time of the run in UTC.",
        "none",
        "'yyyy/MM/dd/HH'",
        BOTH,
    ),
    JobOption(
        "START_FROM",
        job_values.start,
        "NOW, BEGINNING or a time",
        "COPY FROM: leave out older objects, by the date in the key or else by when they were written. INSERT INTO:"
        " run_start_time() of the first run.",
        "BEGINNING",
        "'2026-11-01'",
        EVERY,
    ),
    JobOption(
        "END_AT",
        job_values.end,
        "NOW or a time",
        "COPY FROM: leave out objects from that time on. INSERT INTO: the latest run_end_time().",
        "never",
        "'2026-12-01T00:00:00Z'",
        EVERY,
        mutable=True,
    ),
    JobOption(
        "RUN_INTERVAL",
        job_values.interval,
        "a number of MINUTES, HOURS or DAYS",
        "How long after its last run RUN JOBS runs the job again. Nothing runs by itself.",
        "each RUN JOBS runs it",
        "5 MINUTES",
        EVERY,
        mutable=True,
    ),
    JobOption("COMMENT", text, "text", "Free text shown with the job.", "none", "'hourly events'", EVERY, mutable=True),
)
_IDLE = (
    _idle("COMPUTE_CLUSTER", "Upsolver's cluster that runs the job.", '"Default Compute"', EVERY),
    _idle("RUN_PARALLELISM", "Number of shards on which Upsolver runs the job.", "4", EVERY),
    _idle("COMMIT_INTERVAL", "How often Upsolver commits; here every object is a commit.", "5 MINUTES", COPY),
    _idle("MAX_DELAY", "How long Upsolver waits for late objects; here each run lists all.", "1 HOUR", COPY),
    _idle("SQS_QUEUE_NAME", "Queue that tells Upsolver about new objects.", "'queue'", COPY),
    _idle("SQS_KMS_KEY", "Key of that queue.", "'alias/queue'", COPY),
    _idle("AGGREGATION_PARALLELISM", "Number of shards of an aggregation in Upsolver.", "4", WRITES),
    _idle("ALLOW_CARTESIAN_PRODUCTS", "Upsolver's permission for joins without a condition.", "TRUE", WRITES),
    _idle("ADD_MISSING_COLUMNS", "Upsolver's permission to add columns; here they are always added.", "TRUE", WRITES),
    _idle(
        "MAX_TIME_TRAVEL_DURATION", "How long Upsolver keeps earlier states of a materialized view.", "1 DAY", ("INTO",)
    ),
)
VIEW_OPTIONS = ("MAX_TIME_TRAVEL_DURATION", "COMPUTE_CLUSTER", "COMMENT")
"""Options that may follow the query of a materialized view."""


def _named(*options: JobOption) -> Mapping[str, JobOption]:
    return {option.name: option for option in options}


JOB_OPTIONS = _named(*_LOCATIONS, *_READING, *_WRITING, *_SHARED, *_IDLE)
"""Options of jobs, by their names in upper case."""
LOCATIONS = frozenset(option.name for option in _LOCATIONS)
"""Options for the location that a job reads or writes."""


TABLE_OPTIONS = _named(
    JobOption(
        "STORAGE_CONNECTION",
        job_values.name,
        "the name of a connection",
        "The connection that reads and writes the table's files; needs STORAGE_LOCATION.",
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
        "How long rows are kept. OPTIMIZE TABLE deletes older ones, going by the first partition that is a date or a"
        " time.",
        "rows stay",
        "30 DAYS",
        TABLE,
    ),
    JobOption(
        "COMPRESSION",
        job_values.choice("ZSTD", "SNAPPY", "GZIP", "LZ4", "UNCOMPRESSED"),
        "ZSTD, SNAPPY, GZIP, LZ4 or UNCOMPRESSED",
        "Compression of the objects; SNAPPY only for Parquet.",
        "ZSTD",
        "SNAPPY",
        TABLE,
    ),
    JobOption("COMMENT", text, "text", "Free text that is kept with the table.", "none", "'orders, by day'", TABLE),
    JobOption(
        "COLUMN_DATA_RETENTION",
        job_values.nothing("values of single columns do not end by their age here; TABLE_DATA_RETENTION ends rows"),
        "nothing here",
        "Upsolver's retention for single columns, which doesn't exist here; TABLE_DATA_RETENTION deletes whole rows.",
        "values stay",
        "(COLUMN = email DURATION = 8 DAYS)",
        TABLE,
    ),
    *(
        _idle(name, help_, example, TABLE)
        for name, help_, example in (
            ("COMPUTE_CLUSTER", "Upsolver's cluster that looks after the table.", '"Default Compute"'),
            ("COMPACTION_PROCESSES", "How many compactions Upsolver runs at once; here OPTIMIZE TABLE compacts.", "2"),
            ("DISABLE_COMPACTION", "Upsolver compacts by itself; here OPTIMIZE TABLE does.", "TRUE"),
            (
                "GLOBALLY_UNIQUE_KEYS",
                "Whether Upsolver looks for a key in every partition; here it always does.",
                "TRUE",
            ),
        )
    ),
)
