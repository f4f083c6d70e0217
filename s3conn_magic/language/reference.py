"""The table of statements: syntax, help and result columns, for grammar, binder, HELP and frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from s3conn_magic.language.job_options import JOB_OPTIONS, TABLE_OPTIONS
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.result_columns import (
    ANALYSIS_COLUMNS,
    COMPARISON_COLUMNS,
    DATASET_COLUMNS,
    DESCRIPTION_COLUMNS,
    EXPLAIN_COLUMNS,
    LISTING_COLUMNS,
    PREFIX_COLUMN,
    SUMMARY_COLUMNS,
    TABLE_COLUMNS,
    VERSION_COLUMNS,
    Column,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

AnalyzeBy = Literal["PREFIX", "STORAGE_CLASS", "EXTENSION", "AGE", "SIZE", "DUPLICATES", "VERSIONS", "UPLOADS"]
"""Groupings of ANALYZE."""
BY_QUERY = ("DUPLICATES", "VERSIONS", "UPLOADS")
"""Groupings that need more than a listing of objects."""
CompareBy = Literal["ETAG", "SIZE", "TIME"]
"""What COMPARE compares of two objects with the same key."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A statement as documented. `columns` is empty if the result is not a frame."""

    name: str
    syntax: str
    help: str
    example: str
    columns: tuple[Column, ...] = ()


JOB_STATEMENTS: tuple[Reference, ...] = (
    Reference(
        "CREATE JOB",
        "CREATE [SYNC] JOB [IF NOT EXISTS] job [option = value ...]"
        " AS {COPY FROM S3 name [option = value ...] INTO table"
        " [WITH EXPECTATION name EXPECT predicate ON VIOLATION {DROP | WARN}] ..."
        " | INSERT INTO S3 name [option = value ...] query"
        " | INSERT INTO table [(columns)] [MAP_COLUMNS_BY_NAME [EXCEPT column, ...]] query | MERGE INTO table merge}",
        "Create a job and run it; the statement returns when the run is over, with or without SYNC. COPY FROM S3"
        " loads each object below a location into a table exactly once, all of its rows or none. Each EXPECTATION"
        " counts the rows that violate it, and with DROP leaves them out. INSERT INTO S3 writes the result of a query"
        " as one object, whole or not at all. INSERT INTO and MERGE INTO change a table by the rows of a query. If"
        " the query asks for BETWEEN run_start_time() AND run_end_time(), or uses time_filter(), each run continues"
        " where the last one ended, so that no row comes twice and none is lost.",
        "CREATE JOB load_orders CONTENT_TYPE = CSV AS COPY FROM S3 lake LOCATION = 's3://bucket/orders/' INTO orders;",
    ),
    Reference(
        "CREATE MATERIALIZED VIEW",
        "CREATE MATERIALIZED VIEW [IF NOT EXISTS] name [option = value ...] AS query",
        "Create a table from a query, and a job of the same name that keeps it up to date: RUN JOB runs the query"
        " again and replaces all rows in one step.",
        "CREATE MATERIALIZED VIEW last_orders AS SELECT id, last(price) AS price "
        "FROM 's3://bucket/sales/1.csv' GROUP BY id;",
    ),
    Reference(
        "RUN JOB",
        "RUN JOB job",
        "Run a job again. COPY FROM S3 loads the objects that are new or have changed since the last run; the rows of"
        " a changed object replace its former ones. INSERT INTO S3 replaces the object that it wrote, or, if its"
        " query uses run_start_time() and run_end_time(), adds one for the time since the last run. INSERT INTO and"
        " MERGE INTO take the rows of that time, and a materialized view is rebuilt.",
        "RUN JOB load_orders;",
    ),
    Reference(
        "RUN JOBS",
        "RUN JOBS",
        "Run the jobs that are due: those that aren't paused and whose RUN_INTERVAL, if they have one, has passed"
        " since their last run began. A job that reads a table runs after the jobs that load it.",
        "RUN JOBS;",
    ),
    Reference(
        "ALTER JOB",
        "ALTER JOB job {SET option = value ... | ADD EXPECTATION name EXPECT predicate ON VIOLATION {DROP | WARN}"
        " | DROP EXPECTATION name}",
        "Change a job's COMMENT, END_AT, RUN_INTERVAL or SKIP_VALIDATIONS, or add or drop an expectation, from its"
        " next run on. What it reads and where it writes stays as it was created.",
        "ALTER JOB load_orders SET RUN_INTERVAL = 1 HOUR;",
    ),
    Reference(
        "PAUSE JOB",
        "PAUSE JOB job",
        "Pause a job: neither RUN JOB nor RUN JOBS runs it until RESUME JOB.",
        "PAUSE JOB load_orders;",
    ),
    Reference(
        "RESUME JOB",
        "RESUME JOB job",
        "Resume a paused job, so that RUN JOB and RUN JOBS run it again.",
        "RESUME JOB load_orders;",
    ),
    Reference(
        "SHOW CREATE JOB",
        "SHOW CREATE JOB job",
        "The statement that creates the job, including what ALTER JOB has changed since.",
        "SHOW CREATE JOB load_orders;",
    ),
    Reference(
        "SHOW CREATE TABLE",
        "SHOW CREATE TABLE table",
        "The statement that creates the same table without its rows: with the same columns, or over the same files.",
        "SHOW CREATE TABLE orders;",
    ),
    Reference(
        "SHOW JOBS",
        "SHOW JOBS [LIKE 'pattern']",
        "The session's jobs and what they have done so far.",
        "SHOW JOBS;",
        (
            Column("job", "string", "as written when it was created"),
            Column("type", "string", "COPY FROM S3, INSERT INTO S3, INSERT INTO, MERGE INTO or MATERIALIZED VIEW"),
            Column("connection", "string", "connection that it depends on; missing if it only changes a table"),
            Column("location", "string", "where it reads or writes in S3"),
            Column("table", "string", "the table that it loads or changes"),
            Column(
                "state",
                "string",
                "'ok', 'errors' (of some objects), 'failed', 'interrupted', 'paused' or 'not run'",
            ),
            Column("runs", "count", "runs in this session"),
            Column("objects", "count", "objects loaded or written, in all runs"),
            Column("rows", "count", "rows in these objects"),
            Column("bytes", "count", "bytes of these objects"),
            Column("failed", "count", "objects that failed and haven't been loaded since"),
            Column("violations", "count", "rows that violated an expectation, in all runs"),
            Column("last_run", "timestamp", "start of the last run, UTC"),
            Column("created_at", "timestamp", "UTC"),
            Column("comment", "string", "COMMENT"),
        ),
    ),
    Reference(
        "SHOW JOB",
        "SHOW JOB job ERRORS",
        "What failed in the runs of a job and why, latest first.",
        "SHOW JOB load_orders ERRORS;",
        (
            Column("run", "integer", "number of the run, from 1"),
            Column("failed_at", "timestamp", "UTC"),
            Column("location", "string", "the object"),
            Column("etag", "string", "its ETag at that time"),
            Column("error", "string", "what went wrong"),
            Column("resolved", "boolean", "whether it was loaded later, or is gone"),
        ),
    ),
    Reference(
        "DROP JOB",
        "DROP JOB [IF EXISTS] job",
        "Remove a job and its record of loaded objects. Tables and objects that it wrote stay.",
        "DROP JOB load_orders;",
    ),
    Reference(
        "DROP MATERIALIZED VIEW",
        "DROP MATERIALIZED VIEW [IF EXISTS] name [DELETE_DATA = boolean]",
        "Remove a materialized view, its rows and its job.",
        "DROP MATERIALIZED VIEW last_orders;",
    ),
)


STATEMENTS: tuple[Reference, ...] = (
    Reference(
        "CREATE S3 CONNECTION",
        "CREATE [OR REPLACE] S3 CONNECTION [IF NOT EXISTS] name [option = value ...]",
        "Create a connection and keep it in the session, once a probe has shown that it reaches what it should.",
        "CREATE S3 CONNECTION lake AWS_PROFILE = 'analytics' READ_ONLY = TRUE;",
    ),
    Reference(
        "ALTER S3 CONNECTION",
        "ALTER S3 CONNECTION [IF EXISTS] name {SET option = value ... | UNSET option, ... | RENAME TO name}",
        "Change a connection, completely or not at all. Open explorers and handles follow the change.",
        "ALTER S3 CONNECTION lake SET COMMENT = 'events and orders';",
    ),
    Reference(
        "DROP CONNECTION",
        "DROP [S3] CONNECTION [IF EXISTS] name [CASCADE]",
        "Remove a connection. If tables or jobs depend on it, this is refused, unless CASCADE drops them too.",
        "DROP CONNECTION lake;",
    ),
    Reference(
        "SHOW CONNECTIONS",
        "SHOW CONNECTIONS [LIKE 'pattern']",
        "The session's connections.",
        "SHOW CONNECTIONS LIKE 'la%';",
        (
            Column("name", "string", "as written when it was created"),
            Column("type", "string", "S3"),
            Column("credentials", "string", "how requests are signed"),
            Column("identity", "string", "ARN from STS at the last probe"),
            Column("region", "string", "REGION; missing if it is found for each bucket"),
            Column("endpoint", "string", "ENDPOINT; missing for AWS"),
            Column("read_only", "boolean", "READ_ONLY"),
            Column(
                "encryption",
                "string",
                "what every write asks for; TEST CONNECTION WITH WRITE shows whether the server complies",
            ),
            Column("display_filters", "list", "PATH_DISPLAY_FILTERS"),
            Column("comment", "string", "COMMENT"),
            Column("created_at", "timestamp", "UTC"),
            Column("state", "string", "'ok' after a probe that succeeded, 'not probed' after VALIDATE = FALSE"),
        ),
    ),
    Reference(
        "DESCRIBE CONNECTION",
        "DESCRIBE CONNECTION name",
        "Every option of a connection, and where its value comes from.",
        "DESCRIBE CONNECTION lake;",
        (
            Column("option", "string", "name of the option"),
            Column("value", "string", "its value; 'set' for a secret; missing when not given"),
            Column("source", "string", "'statement', the secret source, or 'default'"),
            Column("mutable", "boolean", "whether ALTER can set it"),
            Column("description", "string", "what it does"),
        ),
    ),
    Reference(
        "SHOW CREATE S3 CONNECTION",
        "SHOW CREATE S3 CONNECTION name",
        "The statement that creates the connection again. In place of a secret it has the secret's source, or a"
        " PROMPT that asks for it.",
        "SHOW CREATE S3 CONNECTION lake;",
    ),
    Reference(
        "TEST CONNECTION",
        "TEST CONNECTION name [LOCATION 's3://bucket/prefix'] [WITH WRITE]",
        "Try out what the connection may do. It writes only WITH WRITE, cleans up afterwards, and never writes"
        " through a READ_ONLY connection.",
        "TEST CONNECTION lake LOCATION 's3://bucket/folder/';",
        (
            Column("action", "string", "identity, list buckets, list, read, write, delete, encryption"),
            Column("allowed", "boolean", "missing if it wasn't tried"),
            Column("detail", "string", "what was found, or which IAM action is missing"),
            Column("ms", "integer", "milliseconds it took"),
        ),
    ),
    Reference(
        "USE CONNECTION",
        "USE CONNECTION name",
        "Make a connection the session's default from now on.",
        "USE CONNECTION lake;",
    ),
    Reference(
        "SHOW BUCKETS",
        "SHOW BUCKETS [USING name] [LIKE 'pattern']",
        "The buckets of a connection, or its display filters if it has any.",
        "SHOW BUCKETS USING lake;",
        (
            Column("bucket", "string", "name of the bucket"),
            Column("location", "string", "s3:// location to list: the bucket, or a display filter in it"),
            Column("region", "string", "where the server says it is"),
            Column("created_at", "timestamp", "UTC; missing with display filters"),
        ),
    ),
    Reference(
        "LIST",
        "LIST ['s3://bucket/prefix'] [USING name] [RECURSIVE] [VERSIONS] [MATCHING 'glob'] [LIMIT n | LIMIT ALL]",
        "Objects and folders at a location as a frame, or with RECURSIVE every object below it. A location is taken"
        " literally and isn't a pattern (see MATCHING for those). ARNs, s3a:// paths and URLs of buckets,"
        " objects and the console work too.",
        "LIST 's3://bucket/folder/' RECURSIVE MATCHING '**/*.parquet';",
        (*LISTING_COLUMNS, *VERSION_COLUMNS, PREFIX_COLUMN),
    ),
    Reference(
        "LIST FROM INVENTORY",
        "LIST FROM INVENTORY 's3://bucket/prefix/manifest.json' [USING name] [MATCHING 'glob'] [LIMIT n | LIMIT ALL]",
        "The objects of a bucket from a report of S3 Inventory (CSV, ORC or Parquet), as they were when it was made,"
        " without listing the bucket. Give its manifest, or a folder to take the newest report below it. The columns"
        " are those of LIST, with those of VERSIONS if the report covers all versions; fields that the report doesn't"
        " have are missing. Size and MD5 of every data file are checked. In a query, FROM"
        " inventory('s3://…/manifest.json') gives the same rows with all fields of the report.",
        "LIST FROM INVENTORY 's3://reports/acme-lake/daily/2026-01-01T01-00Z/manifest.json' LIMIT ALL;",
        (*LISTING_COLUMNS, *VERSION_COLUMNS, PREFIX_COLUMN),
    ),
    Reference(
        "EXPLORE",
        "EXPLORE ['s3://bucket/prefix'] [USING name] [ASIDE]",
        "A tree of buckets, folders and objects in which you can open, search, preview, download, upload and delete."
        " ASIDE puts it beside the notebook.",
        "EXPLORE 's3://bucket/';",
    ),
    Reference(
        "EXPLORE ALL CONNECTIONS",
        "EXPLORE ALL CONNECTIONS [ASIDE]",
        "One tree of all connections of the session. Each opens to its display filters or buckets.",
        "EXPLORE ALL CONNECTIONS;",
    ),
    Reference(
        "ANALYZE",
        "ANALYZE ['s3://bucket/prefix'] [FROM INVENTORY 's3://bucket/prefix/manifest.json'] [USING name]"
        f" [BY {{{' | '.join(get_args(AnalyzeBy))}}}] [DEPTH n]",
        "How much is where: objects and bytes below a location by folder, class, extension, age or size, with a"
        " chart. All keys are listed, or read from a report of S3 Inventory (of the whole bucket if you give no"
        " location). With BY PREFIX, DEPTH is the number of folders that make a group. BY DUPLICATES shows the copies"
        " of each object (equal size and etag), BY VERSIONS current versions, old versions and delete markers, BY"
        " UPLOADS what unfinished uploads hold. usd_month is what the bytes cost a month at S3's list prices for"
        " storage. Beyond 100,000 groups, the smallest are added up in one last row.",
        "ANALYZE 's3://bucket/folder/' BY PREFIX DEPTH 2;",
        ANALYSIS_COLUMNS,
    ),
    Reference(
        "DISCOVER",
        "DISCOVER ['s3://bucket/prefix'] [FROM INVENTORY 's3://bucket/prefix/manifest.json'] [USING name] [DEPTH n]"
        " [SAMPLE n] [ROWS = EXACT] [INTO TABLES]",
        "What is in a bucket: finds its datasets from one listing (or a report of S3 Inventory) and a look into a few"
        " objects. Objects belong to one dataset if their folders, names, format and columns are alike. For each you"
        " see partitions, columns, rows, where the columns change, and a query that runs. A lake table is one"
        " dataset; objects that belong to none are summed up in the last row, other. A look reads at most 66 kB."
        " SAMPLE sets how many looks a dataset may take (4); with 0 only keys count. DEPTH is how many folders tell"
        " datasets apart. ROWS = EXACT counts all rows, however much that reads. INTO TABLES shows a CREATE TABLE"
        " statement for each dataset, ready to run.",
        "DISCOVER 's3://bucket/folder/';",
        DATASET_COLUMNS,
    ),
    Reference(
        "COMPARE",
        "COMPARE 's3://bucket/prefix' [FROM INVENTORY] [AS OF 'time'] [USING name]"
        " WITH 's3://bucket/prefix' [FROM INVENTORY] [AS OF 'time'] [USING name]"
        f" [BY {{{' | '.join(get_args(CompareBy))}}}]",
        "What differs between two locations, from two listings: keys that only one has, and keys whose objects differ"
        " by ETag or size (BY ETAG), by size alone (BY SIZE), or are of other size or newer on the left (BY TIME)."
        " The ETag of a multipart upload depends on its part size, so if sizes are equal and such ETags differ, the"
        " change is 'undecided': only reading the bytes would tell. Under SSE-KMS and SSE-C, equal bytes have"
        " different ETags too. With FROM INVENTORY the location is a report of S3 Inventory; AS OF compares a"
        " versioned bucket as it was at that time.",
        "COMPARE 's3://bucket/folder/' WITH 's3://bucket/orders/' BY SIZE;",
        COMPARISON_COLUMNS,
    ),
    Reference(
        "PREVIEW",
        "PREVIEW 's3://bucket/key' [VERSION 'id'] [USING name] [LIMIT n]",
        "The beginning of an object: the first rows (100, or LIMIT) of Parquet, ORC, Arrow, Avro, CSV, JSON or the"
        " first sheet of a workbook, the members of a ZIP file, a text or an image. Only the part that is shown is"
        " read, never the whole of a large object. VERSION shows an earlier version by its id, as LIST VERSIONS has"
        " it; 's3://bucket/key?versionId=id' does the same.",
        "PREVIEW 's3://bucket/folder/data.parquet' LIMIT 20;",
    ),
    *JOB_STATEMENTS,
    Reference(
        "SELECT",
        "SELECT … FROM 's3://bucket/key' … | WITH … | FROM … | UNNEST(query)",
        "A query in DuckDB's SQL. FROM 's3://bucket/key' reads through the session's default connection, FROM"
        " 's3://name@bucket/key' through the connection of that name. It reads everything that COPY reads, whatever"
        " the file's name says: Parquet, CSV, JSON, ORC, Avro, Arrow and AWS logs, compressed or not. Wildcards and"
        " Hive partitions work; wildcards skip names that begin with _ or a dot. The folder of a Delta, Iceberg or"
        " Hudi table gives its current snapshot, AT (VERSION => n) or AT (TIMESTAMP => t) after it an older one."
        " After an object, AT (VERSION => 'id') reads that version of it, as 's3://bucket/key?versionId=id' does."
        " FROM objects('s3://bucket/prefix') is the listing with LIST's columns; versions => true after the location"
        " lists all versions. Python frames are tables under their names, and $name is the value of a Python"
        " variable. Of Upsolver's SQL it knows $event_time, $event_date, $commit_time and $source (in tables that"
        " COPY FROM S3 loads), FROM t LET a = e to name an expression, and UNNEST(SELECT items[].id FROM t) for a row"
        " per list element.",
        "SELECT count(*) FROM 's3://bucket/folder/*.parquet';",
    ),
    Reference(
        "DESCRIBE",
        "DESCRIBE {'s3://bucket/prefix' [USING name] | table | query}",
        "The columns of objects, a table or a query, each with its type and a sample value; for objects also the"
        " object from which on a column appears. A location may be an object, a pattern, a folder that holds one"
        " dataset, or a lake table.",
        "DESCRIBE 's3://bucket/sales.parquet';",
        DESCRIPTION_COLUMNS,
    ),
    Reference(
        "SUMMARIZE",
        "SUMMARIZE {'s3://bucket/prefix' [USING name] | table | query} [SAMPLE n PERCENT]",
        "Statistics of each column: minimum, maximum, number of distinct values, mean, quartiles, share of missing"
        " values, the most frequent values and a small histogram. It reads all rows, or n percent of them with"
        " SAMPLE. SAMPLE 0 PERCENT reads no rows and shows only what the statistics of Parquet files say exactly:"
        " count, min, max and null_share.",
        "SUMMARIZE 's3://bucket/sales.parquet';",
        SUMMARY_COLUMNS,
    ),
    Reference(
        "EXPLAIN ANALYZE",
        "EXPLAIN ANALYZE query",
        "Run a query and show what it read from S3 (requests, bytes) and where the time went.",
        "EXPLAIN ANALYZE SELECT max(price) FROM 's3://bucket/sales.parquet';",
    ),
    Reference(
        "CREATE TABLE",
        "CREATE [OR REPLACE] [ICEBERG] TABLE [IF NOT EXISTS] name [(column type, ...)]"
        " [LOCATION 's3://bucket/prefix' [USING name]]"
        " [PARTITIONED BY column | transform(column), ...] [PRIMARY KEY column, ...] [option = value ...] [AS query]",
        "Create a table of the session, named name, schema.name or catalog.schema.name: empty, from a query, or over"
        " a LOCATION, whose files (or Delta, Iceberg or Hudi table) every query reads again. The table depends on the"
        " connections that it is read through.",
        "CREATE TABLE sales AS SELECT * FROM 's3://bucket/sales/*.csv';",
    ),
    Reference(
        "ALTER TABLE",
        "ALTER TABLE name SET option = value ...",
        "Change TABLE_DATA_RETENTION, COMPRESSION or COMMENT of a table whose files are in S3.",
        "ALTER TABLE clicks SET TABLE_DATA_RETENTION = 30 DAYS;",
    ),
    Reference(
        "INSERT INTO",
        "INSERT INTO name [(columns)] [MAP_COLUMNS_BY_NAME [EXCEPT column, ...]] query",
        "Add the rows of a query, or VALUES, to a table: all of them, each value unchanged, or none. Columns match by"
        " position, or by name with MAP_COLUMNS_BY_NAME, which also adds columns that the table doesn't have. To"
        " write objects, use INSERT INTO S3 in a job: HELP CREATE JOB.",
        "INSERT INTO sales SELECT * FROM 's3://bucket/sales/1.csv';",
    ),
    Reference(
        "MERGE INTO",
        "MERGE INTO name merge",
        "Update, delete and insert rows of a table from a source in one step, as DuckDB's MERGE does: USING source ON"
        " condition, then WHEN MATCHED or WHEN NOT MATCHED … THEN …. Upsolver's REPLACE and INSERT"
        " MAP_COLUMNS_BY_NAME match columns by name.",
        "MERGE INTO sales USING (SELECT 1 AS id) gone ON sales.id = gone.id WHEN MATCHED THEN DELETE;",
    ),
    Reference(
        "OPTIMIZE TABLE",
        "OPTIMIZE TABLE name",
        "Clean up a table whose files are in S3: merge small files, delete rows older than TABLE_DATA_RETENTION,"
        " expire snapshots older than five days (or than the retention), and delete files that no snapshot uses any"
        " more, or after a day those that none ever used.",
        "OPTIMIZE TABLE clicks;",
    ),
    Reference(
        "SHOW SNAPSHOTS",
        "SHOW SNAPSHOTS name",
        "The snapshots of a table whose files are in S3, newest first. To query one, write AT (VERSION => snapshot)"
        " after the table's name.",
        "SHOW SNAPSHOTS clicks;",
        (
            Column("snapshot", "string", "its id, for AT"),
            Column("committed_at", "timestamp", "UTC"),
            Column("operation", "string", "append, overwrite, replace or delete"),
            Column("added", "integer", "rows added"),
            Column("deleted", "integer", "rows deleted"),
            Column("rows", "integer", "number of rows"),
            Column("files", "integer", "number of files"),
            Column("bytes", "integer", "bytes of these files"),
            Column("is_current", "boolean", "whether it is the one that queries read"),
        ),
    ),
    Reference(
        "DROP TABLE",
        "DROP TABLE [IF EXISTS] name [DELETE_DATA = boolean]",
        "Remove a table. Files at its LOCATION or STORAGE_LOCATION stay; DELETE_DATA = TRUE deletes the files of a"
        " table that keeps them in S3.",
        "DROP TABLE sales;",
    ),
    Reference(
        "SHOW TABLES",
        "SHOW TABLES [LIKE 'pattern']",
        "The session's tables.",
        "SHOW TABLES;",
        TABLE_COLUMNS,
    ),
    Reference(
        "SET",
        "SET setting = value",
        "Change a setting of the session.",
        "SET PROGRESS = FALSE;",
    ),
    Reference(
        "SHOW SETTINGS",
        "SHOW SETTINGS",
        "The session's settings.",
        "SHOW SETTINGS;",
        (
            Column("setting", "string", "name of the setting"),
            Column("value", "string", "its value now"),
            Column("takes", "string", "what it can be set to"),
            Column("description", "string", "what it does"),
        ),
    ),
    Reference(
        "EXPLAIN",
        "EXPLAIN statement",
        "Which requests a statement would make, without making any: calls to S3 and STS, the IAM action that each"
        " needs, how many, and what they cost at the list prices of S3 Standard. Nothing is changed.",
        "EXPLAIN LIST 's3://bucket/folder/' RECURSIVE;",
        EXPLAIN_COLUMNS,
    ),
    Reference(
        "SAVE CONNECTIONS",
        "SAVE [OR REPLACE] CONNECTIONS TO 'file'",
        "Write the session's connections to a file that `%upsql --file` loads. The file holds no secret, but the"
        " secret's source or a PROMPT that asks for it. An existing file is replaced only with OR REPLACE.",
        "SAVE CONNECTIONS TO 'connections.usql';",
    ),
    Reference(
        "START SANDBOX",
        "START SANDBOX",
        "Start the embedded S3 server with sample data, and create the connection sandbox for it.",
        "START SANDBOX;",
    ),
    Reference(
        "STOP SANDBOX",
        "STOP SANDBOX",
        "Stop the embedded S3 server and drop its connection.",
        "STOP SANDBOX;",
    ),
    Reference(
        "HELP",
        "HELP [statement | option | setting | keyword]",
        "This reference, or one entry of it.",
        "HELP CREATE S3 CONNECTION;",
        (
            Column("statement", "string", "statement, option or setting"),
            Column("syntax", "string", "how it is written"),
            Column("description", "string", "what it does"),
        ),
    ),
)

# Keywords of values, which are not in any statement's syntax.
VALUE_WORDS = ("TRUE", "FALSE", "ENV", "PROMPT", "KEYRING")


def words_of(syntax: str) -> list[str]:
    """Return the keywords of a syntax, in order."""
    return re.findall(r"\b[A-Z][A-Z0-9_]+\b", syntax)


KEYWORDS: frozenset[str] = frozenset(
    word for statement in STATEMENTS for word in words_of(statement.syntax)
) | frozenset(VALUE_WORDS)

VOCABULARY: frozenset[str] = KEYWORDS | {*OPTION_NAMES, *JOB_OPTIONS, *TABLE_OPTIONS}
"""Every word of the language. None can be a secret, so messages may show them."""


def find_statement(name: str) -> Reference | None:
    """Return the statement of that name, in any case; `CREATE` alone finds the first that begins with it."""
    wanted = " ".join(name.upper().split())
    exact = [statement for statement in STATEMENTS if statement.name == wanted]
    return next(iter(exact or [statement for statement in STATEMENTS if statement.name.startswith(wanted + " ")]), None)


def columns_of(name: str) -> tuple[Column, ...]:
    """Return the result columns of a statement."""
    return next(statement.columns for statement in STATEMENTS if statement.name == name)


def statement_of(words: Sequence[str]) -> Reference | None:
    """Return the statement that begins with these words, in upper case, and has most of its name in them."""
    possible = [statement for statement in STATEMENTS if words[:1] == statement.name.split()[:1]]
    # The words of the name are in order, but others may be between them.
    named = [statement for statement in possible if _in_order(statement.name.split(), words)]
    return max(named, key=lambda statement: len(statement.name), default=next(iter(possible), None))


def _in_order(wanted: Sequence[str], words: Sequence[str]) -> bool:
    rest = iter(words)
    return all(word in rest for word in wanted)
