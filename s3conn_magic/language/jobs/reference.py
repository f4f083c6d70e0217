"""The reference of the statements about jobs."""

from __future__ import annotations

from s3conn_magic.language.entries import Column, Reference

JOB_STATEMENTS: tuple[Reference, ...] = (
    Reference(
        "CREATE JOB",
        "CREATE [SYNC] JOB [IF NOT EXISTS] job [option = value ...]"
        " AS {COPY FROM S3 name [option = value ...] INTO table"
        " | INSERT INTO S3 name [option = value ...] query}",
        "Make a job and run it. COPY FROM S3 loads each object below a location into a table, once: all of its rows or"
        " none. INSERT INTO S3 writes the result of a query as one object, which is there whole or not at all. The"
        " statement returns when the run is over, with SYNC and without.",
        "CREATE JOB load_orders CONTENT_TYPE = CSV AS COPY FROM S3 lake LOCATION = 's3://bucket/orders/' INTO orders;",
    ),
    Reference(
        "RUN JOB",
        "RUN JOB job",
        "Run a job again. COPY FROM S3 takes the objects that are new or were changed since; the rows of a changed one"
        " replace those that it gave before. INSERT INTO S3 replaces the object that it wrote, or with run_start_time()"
        " and run_end_time() in its query adds one for the time since its last run.",
        "RUN JOB load_orders;",
    ),
    Reference(
        "SHOW JOBS",
        "SHOW JOBS [LIKE 'pattern']",
        "The session's jobs, and what they have done.",
        "SHOW JOBS;",
        (
            Column("job", "string", "as written when it was created"),
            Column("type", "string", "COPY FROM S3 or INSERT INTO S3"),
            Column("connection", "string", "the connection that it depends on"),
            Column("location", "string", "where it reads or writes"),
            Column("table", "string", "what COPY FROM loads into"),
            Column("state", "string", "'ok', 'errors' (some objects failed), 'failed', 'interrupted' or 'not run'"),
            Column("runs", "count", "runs in this session"),
            Column("objects", "count", "objects that were loaded or written, all runs"),
            Column("rows", "count", "their rows"),
            Column("bytes", "count", "their bytes"),
            Column("failed", "count", "objects that failed and have not been loaded since"),
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
        "Forget a job and which objects it has loaded; tables and objects that it made stay.",
        "DROP JOB load_orders;",
    ),
)
