"""The one table of statements: syntax, help and result columns. Grammar, binder, HELP and frames read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from s3conn_magic.language.job_options import JOB_OPTION_NAMES, TABLE_OPTION_NAMES
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
"""What ANALYZE groups by."""
BY_QUERY = ("DUPLICATES", "VERSIONS", "UPLOADS")
"""Those for which more is asked than the objects of a listing, one by one."""
CompareBy = Literal["ETAG", "SIZE", "TIME"]
"""What COMPARE tells two objects of one key apart by."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A statement as the documentation shows it. `columns` is empty where the result is not a frame."""

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
        "Make a job and run it. COPY FROM S3 loads each object below a location into a table, once: all of its rows or"
        " none; of each EXPECTATION it counts the rows that violate it, and leaves them out where it says DROP."
        " INSERT INTO S3 writes the result of a query as one object, written whole or not at all. INSERT INTO"
        " and MERGE INTO change a table by the rows of a query. What a query holds BETWEEN run_start_time() AND"
        " run_end_time(), or by time_filter(), each run takes from where the last one ended, with the note of that:"
        " no row twice, none lost. The statement returns when the run is over, with SYNC and without.",
        "CREATE JOB load_orders CONTENT_TYPE = CSV AS COPY FROM S3 lake LOCATION = 's3://bucket/orders/' INTO orders;",
    ),
    Reference(
        "CREATE MATERIALIZED VIEW",
        "CREATE MATERIALIZED VIEW [IF NOT EXISTS] name [option = value ...] AS query",
        "Make a table of a query's rows that a job of its name keeps: RUN JOB puts what the query gives then in their"
        " place, all at once.",
        "CREATE MATERIALIZED VIEW last_orders AS SELECT id, last(price) AS price "
        "FROM 's3://bucket/sales/1.csv' GROUP BY id;",
    ),
    Reference(
        "RUN JOB",
        "RUN JOB job",
        "Run a job again. COPY FROM S3 takes the objects that are new or were changed since; the rows of a changed one"
        " replace those that it gave before. INSERT INTO S3 replaces the object that it wrote, or with run_start_time()"
        " and run_end_time() in its query adds one for the time since its last run. INSERT INTO and MERGE INTO take the"
        " rows of that time, and a materialized view is rebuilt.",
        "RUN JOB load_orders;",
    ),
    Reference(
        "RUN JOBS",
        "RUN JOBS",
        "Run the jobs that are due: those that are not paused, and whose RUN_INTERVAL, where they have one, has passed"
        " since their last run began. A job that reads a table runs after those that load it.",
        "RUN JOBS;",
    ),
    Reference(
        "ALTER JOB",
        "ALTER JOB job {SET option = value ... | ADD EXPECTATION name EXPECT predicate ON VIOLATION {DROP | WARN}"
        " | DROP EXPECTATION name}",
        "Give a job another COMMENT, END_AT, RUN_INTERVAL or SKIP_VALIDATIONS, or an expectation more or less, for its"
        " next runs. What it reads, and where to, stays as it was created.",
        "ALTER JOB load_orders SET RUN_INTERVAL = 1 HOUR;",
    ),
    Reference(
        "PAUSE JOB",
        "PAUSE JOB job",
        "Keep a job from running by RUN JOB or RUN JOBS until RESUME JOB.",
        "PAUSE JOB load_orders;",
    ),
    Reference(
        "RESUME JOB",
        "RESUME JOB job",
        "Let a paused job run again, by RUN JOB or when it is due.",
        "RESUME JOB load_orders;",
    ),
    Reference(
        "SHOW CREATE JOB",
        "SHOW CREATE JOB job",
        "The statement that creates the job, with what ALTER JOB has set since.",
        "SHOW CREATE JOB load_orders;",
    ),
    Reference(
        "SHOW CREATE TABLE",
        "SHOW CREATE TABLE table",
        "The statement that creates a table like it, without its rows: with the same columns, or over the same files.",
        "SHOW CREATE TABLE orders;",
    ),
    Reference(
        "SHOW JOBS",
        "SHOW JOBS [LIKE 'pattern']",
        "The session's jobs, and what they have done.",
        "SHOW JOBS;",
        (
            Column("job", "string", "as written when it was created"),
            Column("type", "string", "COPY FROM S3, INSERT INTO S3, INSERT INTO, MERGE INTO or MATERIALIZED VIEW"),
            Column("connection", "string", "the connection that it depends on; missing where it only changes a table"),
            Column("location", "string", "where it reads or writes in S3"),
            Column("table", "string", "the table that it loads or changes"),
            Column(
                "state",
                "string",
                "'ok', 'errors' (of some objects), 'failed', 'interrupted', 'paused' or 'not run'",
            ),
            Column("runs", "count", "runs in this session"),
            Column("objects", "count", "objects that were loaded or written, all runs"),
            Column("rows", "count", "their rows"),
            Column("bytes", "count", "their bytes"),
            Column("failed", "count", "objects that failed and have not been loaded since"),
            Column("violations", "count", "rows that violated an expectation, all runs"),
            Column("last_run", "timestamp", "beginning of the last run, UTC"),
            Column("created_at", "timestamp", "UTC"),
            Column("comment", "string", "COMMENT"),
        ),
    ),
    Reference(
        "SHOW JOB",
        "SHOW JOB job ERRORS",
        "What failed in the runs of a job, and why, the latest first.",
        "SHOW JOB load_orders ERRORS;",
        (
            Column("run", "integer", "number of the run, from 1 on"),
            Column("failed_at", "timestamp", "UTC"),
            Column("location", "string", "the object"),
            Column("etag", "string", "its entity tag then"),
            Column("error", "string", "what went wrong"),
            Column("resolved", "boolean", "whether it has been loaded since, or is gone"),
        ),
    ),
    Reference(
        "DROP JOB",
        "DROP JOB [IF EXISTS] job",
        "Remove a job and its record of loaded objects; tables and objects that it wrote stay.",
        "DROP JOB load_orders;",
    ),
    Reference(
        "DROP MATERIALIZED VIEW",
        "DROP MATERIALIZED VIEW [IF EXISTS] name [DELETE_DATA = boolean]",
        "Forget a materialized view, with its rows.",
        "DROP MATERIALIZED VIEW last_orders;",
    ),
)


STATEMENTS: tuple[Reference, ...] = (
    Reference(
        "CREATE S3 CONNECTION",
        "CREATE [OR REPLACE] S3 CONNECTION [IF NOT EXISTS] name [option = value ...]",
        "Create a connection and keep it in the session, after a probe of what it reaches.",
        "CREATE S3 CONNECTION lake AWS_PROFILE = 'analytics' READ_ONLY = TRUE;",
    ),
    Reference(
        "ALTER S3 CONNECTION",
        "ALTER S3 CONNECTION [IF EXISTS] name {SET option = value ... | UNSET option, ... | RENAME TO name}",
        "Change a connection, whole or not at all; open explorers and handles follow.",
        "ALTER S3 CONNECTION lake SET COMMENT = 'events and orders';",
    ),
    Reference(
        "DROP CONNECTION",
        "DROP [S3] CONNECTION [IF EXISTS] name [CASCADE]",
        "Remove a connection; refused while tables or jobs depend on it, unless CASCADE drops them too.",
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
            Column("identity", "string", "ARN that STS named at the last probe"),
            Column("region", "string", "REGION, or missing where it is found per bucket"),
            Column("endpoint", "string", "ENDPOINT, or missing for AWS"),
            Column("read_only", "boolean", "READ_ONLY"),
            Column(
                "encryption",
                "string",
                "what every write asks for; TEST CONNECTION WITH WRITE shows whether the server does it",
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
        "Every option of a connection and where its value came from.",
        "DESCRIBE CONNECTION lake;",
        (
            Column("option", "string", "name of the option"),
            Column("value", "string", "its value; 'set' for a secret; missing when not given"),
            Column("source", "string", "'statement', the secret source, or 'default'"),
            Column("mutable", "boolean", "whether ALTER may set it"),
            Column("description", "string", "what it does"),
        ),
    ),
    Reference(
        "SHOW CREATE S3 CONNECTION",
        "SHOW CREATE S3 CONNECTION name",
        "The statement that creates the connection again; a secret is its source, or a PROMPT that asks for it.",
        "SHOW CREATE S3 CONNECTION lake;",
    ),
    Reference(
        "TEST CONNECTION",
        "TEST CONNECTION name [LOCATION 's3://bucket/prefix'] [WITH WRITE]",
        "Try what the connection may do; writes only WITH WRITE, never when it is READ_ONLY, and cleans up.",
        "TEST CONNECTION lake LOCATION 's3://bucket/folder/';",
        (
            Column("action", "string", "identity, list buckets, list, read, write, delete, encryption"),
            Column("allowed", "boolean", "missing when it was not tried"),
            Column("detail", "string", "what was found, or the IAM action that is missing"),
            Column("ms", "integer", "milliseconds it took"),
        ),
    ),
    Reference(
        "USE CONNECTION",
        "USE CONNECTION name",
        "Make it the session's default from now on.",
        "USE CONNECTION lake;",
    ),
    Reference(
        "SHOW BUCKETS",
        "SHOW BUCKETS [USING name] [LIKE 'pattern']",
        "The buckets of a connection, or those of its display filters.",
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
        "Objects and folders at a location, or every object below it with RECURSIVE, as a frame. A location is exact"
        " and no pattern, here as everywhere; ARNs, s3a:// and URLs of buckets, objects and the console are read, too.",
        "LIST 's3://bucket/folder/' RECURSIVE MATCHING '**/*.parquet';",
        (*LISTING_COLUMNS, *VERSION_COLUMNS, PREFIX_COLUMN),
    ),
    Reference(
        "LIST FROM INVENTORY",
        "LIST FROM INVENTORY 's3://bucket/prefix/manifest.json' [USING name] [MATCHING 'glob'] [LIMIT n | LIMIT ALL]",
        "The objects of a bucket by a report of S3 Inventory (CSV, ORC or Parquet), without listing it: as they were"
        " when it was made. A folder stands for the newest report below it. The columns of LIST, with those of VERSIONS"
        " where the report is of all versions; what the report leaves out is missing. Every data file is compared with"
        " its size and MD5. FROM inventory('s3://…/manifest.json') has the same rows in a query, with all fields that"
        " the report has.",
        "LIST FROM INVENTORY 's3://reports/acme-lake/daily/2026-01-01T01-00Z/manifest.json' LIMIT ALL;",
        (*LISTING_COLUMNS, *VERSION_COLUMNS, PREFIX_COLUMN),
    ),
    Reference(
        "EXPLORE",
        "EXPLORE ['s3://bucket/prefix'] [USING name] [ASIDE]",
        "A tree of buckets, folders and objects to open, search, look into, download, upload and delete; with ASIDE"
        " beside the notebook.",
        "EXPLORE 's3://bucket/';",
    ),
    Reference(
        "EXPLORE ALL CONNECTIONS",
        "EXPLORE ALL CONNECTIONS [ASIDE]",
        "One tree whose roots are the session's connections, each opening to its display filters or buckets.",
        "EXPLORE ALL CONNECTIONS;",
    ),
    Reference(
        "ANALYZE",
        "ANALYZE ['s3://bucket/prefix'] [FROM INVENTORY 's3://bucket/prefix/manifest.json'] [USING name]"
        f" [BY {{{' | '.join(get_args(AnalyzeBy))}}}] [DEPTH n]",
        "What is below a location: objects and bytes by folder, class, extension, age or size, with a chart beside it. "
        "All keys are listed, or read from a report of S3 Inventory, then without a location those of the whole bucket;"
        " DEPTH is the number of folders that make a group BY PREFIX. BY DUPLICATES has the copies beside each object"
        " of equal size and etag, BY VERSIONS current and old versions and delete markers, BY UPLOADS what uploads that"
        " were never finished hold. usd_month is what the bytes cost a month, by S3's list prices for storage."
        " Beyond 100,000 groups, those with the fewest"
        " bytes are one row, the last.",
        "ANALYZE 's3://bucket/folder/' BY PREFIX DEPTH 2;",
        ANALYSIS_COLUMNS,
    ),
    Reference(
        "DISCOVER",
        "DISCOVER ['s3://bucket/prefix'] [FROM INVENTORY 's3://bucket/prefix/manifest.json'] [USING name] [DEPTH n]"
        " [SAMPLE n] [ROWS = EXACT] [INTO TABLES]",
        "What is in a bucket: its datasets, by one listing, or a report of S3 Inventory, and a few looks into objects."
        " Objects are one dataset where folders, names, format and columns are alike; partitions, columns, rows, and"
        " where the columns change are shown, with a query that runs. Lake tables are one each; what belongs to none is"
        " the last row, other. A look reads at most 66 kB; SAMPLE is how many there may be for each dataset (4);"
        " with 0, keys alone decide. DEPTH is the number of folders that distinguish datasets. ROWS = EXACT counts all"
        " rows, however much that reads. INTO TABLES shows the CREATE TABLE statement of each, ready to run.",
        "DISCOVER 's3://bucket/folder/';",
        DATASET_COLUMNS,
    ),
    Reference(
        "COMPARE",
        "COMPARE 's3://bucket/prefix' [FROM INVENTORY] [AS OF 'time'] [USING name]"
        " WITH 's3://bucket/prefix' [FROM INVENTORY] [AS OF 'time'] [USING name]"
        f" [BY {{{' | '.join(get_args(CompareBy))}}}]",
        "What differs between two locations, by two listings: keys of only one, and keys of both whose sizes or ETAGs"
        " differ, or SIZEs alone, or by TIME those that are of other sizes or newer on the left. Etags of uploads in"
        " parts depend on how the parts were cut: where sizes are equal and such etags are not, the change is"
        " undecided, because only reading the bytes would tell. Under SSE-KMS and SSE-C etags of equal bytes differ,"
        " too. With FROM INVENTORY the location is that of an S3 Inventory report; with AS OF a versioned bucket is"
        " compared as it was at that time.",
        "COMPARE 's3://bucket/folder/' WITH 's3://bucket/orders/' BY SIZE;",
        COMPARISON_COLUMNS,
    ),
    Reference(
        "PREVIEW",
        "PREVIEW 's3://bucket/key' [VERSION 'id'] [USING name] [LIMIT n]",
        "The beginning of an object: the first rows (100 without LIMIT) of Parquet, ORC, Arrow, Avro, CSV or JSON"
        " lines, of the first sheet of a workbook, the members of a ZIP file, a text or an image. Reads the part that"
        " it needs, never the whole of a large object. VERSION shows an earlier version, by its id of LIST VERSIONS;"
        " 's3://bucket/key?versionId=id' is the same.",
        "PREVIEW 's3://bucket/folder/data.parquet' LIMIT 20;",
    ),
    *JOB_STATEMENTS,
    Reference(
        "SELECT",
        "SELECT … FROM 's3://bucket/key' … | WITH … | FROM … | UNNEST(query)",
        "A query in DuckDB's SQL. 's3://bucket/key' is read through the session's connection, 's3://name@bucket/key'"
        " through the connection of that name: whatever COPY reads, told by its content (Parquet, CSV, JSON, ORC, Avro,"
        " Arrow, logs of AWS, compressed or not), with wildcards (which match no name that begins with _ or .) and Hive"
        " partitions. The folder of a Delta, Iceberg or Hudi table gives its current snapshot, or an older one by"
        " AT (VERSION => n) or AT (TIMESTAMP => t) behind it; its files are not read as loose ones. Behind an object"
        " AT (VERSION => 'id') reads that version of it, as 's3://bucket/key?versionId=id' does."
        " What Upsolver writes is read, too: $event_time, $event_date, $commit_time and $source are columns of a table"
        " that COPY FROM S3 loads, FROM t LET a = e names an expression, UNNEST(SELECT items[].id FROM t) gives each"
        " element of a list a row."
        " FROM objects('s3://bucket/prefix') is the listing, with the columns of LIST, and with versions => true behind"
        " the location that of all versions. Python frames are"
        " tables by their names, $name is the value of a Python variable.",
        "SELECT count(*) FROM 's3://bucket/folder/*.parquet';",
    ),
    Reference(
        "DESCRIBE",
        "DESCRIBE {'s3://bucket/prefix' [USING name] | table | query}",
        "The columns of objects, of a table or of a query: type, a value, and of objects from which on a column"
        " appears. A location is an object, a pattern, a folder that holds one dataset, or a lake table.",
        "DESCRIBE 's3://bucket/sales.parquet';",
        DESCRIPTION_COLUMNS,
    ),
    Reference(
        "SUMMARIZE",
        "SUMMARIZE {'s3://bucket/prefix' [USING name] | table | query} [SAMPLE n PERCENT]",
        "What each column holds: least and greatest value, how many different ones, mean and quartiles, the share"
        " that is missing, the most frequent, and a small histogram. All rows are read, or n percent of them; 0"
        " PERCENT reads none, and shows what the statistics of Parquet files say exactly: count, min, max, null_share.",
        "SUMMARIZE 's3://bucket/sales.parquet';",
        SUMMARY_COLUMNS,
    ),
    Reference(
        "EXPLAIN ANALYZE",
        "EXPLAIN ANALYZE query",
        "Run a query, and show what it read from S3 (requests, bytes) and where its time went.",
        "EXPLAIN ANALYZE SELECT max(price) FROM 's3://bucket/sales.parquet';",
    ),
    Reference(
        "CREATE TABLE",
        "CREATE [OR REPLACE] [ICEBERG] TABLE [IF NOT EXISTS] name [(column type, ...)]"
        " [LOCATION 's3://bucket/prefix' [USING name]]"
        " [PARTITIONED BY column | transform(column), ...] [PRIMARY KEY column, ...] [option = value ...] [AS query]",
        "Create a table of the session, called name, schema.name or catalog.schema.name: empty, from a query, or"
        " over the files or the Delta, Iceberg or Hudi table at a LOCATION, which every query reads again. It"
        " depends on the connections that it is read through.",
        "CREATE TABLE sales AS SELECT * FROM 's3://bucket/sales/*.csv';",
    ),
    Reference(
        "ALTER TABLE",
        "ALTER TABLE name SET option = value ...",
        "Change options of a table whose files are in S3: TABLE_DATA_RETENTION, COMPRESSION, COMMENT.",
        "ALTER TABLE clicks SET TABLE_DATA_RETENTION = 30 DAYS;",
    ),
    Reference(
        "INSERT INTO",
        "INSERT INTO name [(columns)] [MAP_COLUMNS_BY_NAME [EXCEPT column, ...]] query",
        "Put the rows of a query, or VALUES, into a table: all of them or none, each value as it is or the statement is"
        " refused. Columns go by their places; with MAP_COLUMNS_BY_NAME by their names, and those that the table lacks"
        " are added to it. INSERT INTO S3 writes objects, as what a job does: HELP CREATE JOB.",
        "INSERT INTO sales SELECT * FROM 's3://bucket/sales/1.csv';",
    ),
    Reference(
        "MERGE INTO",
        "MERGE INTO name merge",
        "Change, delete and add rows of a table by those of a source, all at once, as DuckDB's MERGE does: USING source"
        " ON condition, then WHEN MATCHED or WHEN NOT MATCHED with THEN and what is done. Upsolver's REPLACE and INSERT"
        " MAP_COLUMNS_BY_NAME go by the names of columns, too.",
        "MERGE INTO sales USING (SELECT 1 AS id) gone ON sales.id = gone.id WHEN MATCHED THEN DELETE;",
    ),
    Reference(
        "OPTIMIZE TABLE",
        "OPTIMIZE TABLE name",
        "Tidy a table whose files are in S3: small files are put together, rows that are older than"
        " TABLE_DATA_RETENTION are deleted, snapshots older than five days (or than the retention) expire, and"
        " files that no snapshot uses any more are deleted; those that none ever used, after a day.",
        "OPTIMIZE TABLE clicks;",
    ),
    Reference(
        "SHOW SNAPSHOTS",
        "SHOW SNAPSHOTS name",
        "The snapshots of a table whose files are in S3, the newest first; AT (VERSION => snapshot) behind its name in"
        " a query reads one.",
        "SHOW SNAPSHOTS clicks;",
        (
            Column("snapshot", "string", "its id, as AT takes it"),
            Column("committed_at", "timestamp", "UTC"),
            Column("operation", "string", "append, overwrite, replace or delete"),
            Column("added", "integer", "rows that it added"),
            Column("deleted", "integer", "rows that it deleted"),
            Column("rows", "integer", "rows in it"),
            Column("files", "integer", "their files"),
            Column("bytes", "integer", "bytes of these"),
            Column("is_current", "boolean", "whether queries read it"),
        ),
    ),
    Reference(
        "DROP TABLE",
        "DROP TABLE [IF EXISTS] name [DELETE_DATA = boolean]",
        "Remove a table; files at its LOCATION or STORAGE_LOCATION stay. DELETE_DATA = TRUE deletes those of a table"
        " whose files are in S3.",
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
        "What a statement would request, without a request: calls to S3 and STS, the IAM action of each, how many, and"
        " dollars at the list prices of S3 Standard. No server is asked, and nothing is changed.",
        "EXPLAIN LIST 's3://bucket/folder/' RECURSIVE;",
        EXPLAIN_COLUMNS,
    ),
    Reference(
        "SAVE CONNECTIONS",
        "SAVE [OR REPLACE] CONNECTIONS TO 'file'",
        "Write the session's connections to a file, without a secret: a secret is its source, or a PROMPT that asks for"
        " it. `%upsql --file` loads it. An existing file is kept, unless OR REPLACE is written.",
        "SAVE CONNECTIONS TO 'connections.usql';",
    ),
    Reference(
        "START SANDBOX",
        "START SANDBOX",
        "Start the embedded S3 server with sample data, and create the connection sandbox to it.",
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

# Words of the value syntax, which no statement's line spells out.
VALUE_WORDS = ("TRUE", "FALSE", "ENV", "PROMPT", "KEYRING")


def words_of(syntax: str) -> list[str]:
    """Return the keywords of a statement's syntax, in its order."""
    return re.findall(r"\b[A-Z][A-Z0-9_]+\b", syntax)


KEYWORDS: frozenset[str] = frozenset(
    word for statement in STATEMENTS for word in words_of(statement.syntax)
) | frozenset(VALUE_WORDS)

VOCABULARY: frozenset[str] = KEYWORDS | {*OPTION_NAMES, *JOB_OPTION_NAMES, *TABLE_OPTION_NAMES}
"""Every word of the language itself. Nothing in it can be a secret, so messages may show it."""


def find_statement(name: str) -> Reference | None:
    """Return the statement of that name, in whatever case; `CREATE` alone finds the first that begins so."""
    wanted = " ".join(name.upper().split())
    exact = [statement for statement in STATEMENTS if statement.name == wanted]
    return next(iter(exact or [statement for statement in STATEMENTS if statement.name.startswith(wanted + " ")]), None)


def columns_of(name: str) -> tuple[Column, ...]:
    """Return the columns of the result of a statement."""
    return next(statement.columns for statement in STATEMENTS if statement.name == name)


def statement_of(words: Sequence[str]) -> Reference | None:
    """Return the statement that begins with these words, in upper case: the one with most of its name among them."""
    possible = [statement for statement in STATEMENTS if words[:1] == statement.name.split()[:1]]
    # Words of a name stand in its order, but others may stand between them.
    named = [statement for statement in possible if _in_order(statement.name.split(), words)]
    return max(named, key=lambda statement: len(statement.name), default=next(iter(possible), None))


def _in_order(wanted: Sequence[str], words: Sequence[str]) -> bool:
    rest = iter(words)
    return all(word in rest for word in wanted)
