"""Statements of other SQL, which are no misspelt ones of ours: what is so here, and what does the same.

The beginning of a phrase book: the first words of a statement → one true sentence, whose statements run as they are
once the names in them are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ANEW = "CREATE OR REPLACE TABLE name AS SELECT … makes it anew."
_ROWS = f"No statement changes the rows of a table: {_ANEW}"
_OBJECTS = "No statement deletes objects; the explorer does: EXPLORE 's3://bucket/';"
_TRANSACTION = "There are no transactions: each statement is done when its result is shown."
_EXTENSION = "No extension is loaded: a SELECT reads Parquet, CSV and JSON as it is, and no other format."
_DATABASE = "There are no databases or schemas: SHOW CONNECTIONS, SHOW BUCKETS and SHOW TABLES show what there is."
_VIEW = "There are no views: CREATE TABLE name AS SELECT … keeps a result."
_INDEX = "There are no indexes: a SELECT reads of Parquet only the columns and row groups that it needs."
_RIGHTS = "Permissions are those of IAM: TEST CONNECTION name tries what a connection may do."
_PROCEDURE = "There are no procedures or prepared statements: SELECT … is a query, RUN JOB name runs a job."
_FRESH = "Nothing is cached that could be old: every LIST and SELECT asks the server anew."
_SECRET = "Credentials belong to a connection: CREATE S3 CONNECTION name AWS_PROFILE = 'profile';"  # noqa: S105
_FILES = "The explorer uploads and downloads: EXPLORE 's3://bucket/';"
_UNLOAD = "A job writes objects: CREATE JOB name AS INSERT INTO S3 connection LOCATION = 's3://bucket/folder/' SELECT …"
_STORE = "Where objects are is told by a connection: CREATE S3 CONNECTION name AWS_PROFILE = 'profile';"

FOREIGN: dict[str, str] = {
    "DELETE": f"No statement deletes rows: {_ANEW} DROP TABLE name drops a table, DROP CONNECTION name a connection.",
    "UPDATE": _ROWS,
    "MERGE": _ROWS,
    "UPSERT": _ROWS,
    "REPLACE": _ROWS,
    "TRUNCATE": f"No statement empties a table: DROP TABLE name drops it; {_ANEW}",
    "REMOVE": _OBJECTS,
    "RM": _OBJECTS,
    "INSTALL": _EXTENSION,
    "LOAD": _EXTENSION,
    "ATTACH": "No database is attached: CREATE S3 CONNECTION and CREATE TABLE name AS SELECT … make what there is.",
    "DETACH": "No database is attached; DROP CONNECTION name drops a connection, DROP TABLE name a table.",
    "PRAGMA": "SHOW SETTINGS shows the settings of the session, SET changes one: SET LIMIT = 1000.",
    "RESET": "SHOW SETTINGS shows the settings of the session, SET changes one: SET LIMIT = 1000.",
    "GRANT": _RIGHTS,
    "REVOKE": _RIGHTS,
    "DENY": _RIGHTS,
    "CALL": _PROCEDURE,
    "EXEC": _PROCEDURE,
    "EXECUTE": _PROCEDURE,
    "PREPARE": _PROCEDURE,
    "DEALLOCATE": _PROCEDURE,
    "DECLARE": _PROCEDURE,
    "DO": _PROCEDURE,
    "BEGIN": _TRANSACTION,
    "COMMIT": _TRANSACTION,
    "END": _TRANSACTION,
    "ABORT": _TRANSACTION,
    "ROLLBACK": _TRANSACTION,
    "SAVEPOINT": _TRANSACTION,
    "START TRANSACTION": _TRANSACTION,
    "LOCK": _TRANSACTION,
    "CHECKPOINT": _FRESH,
    "VACUUM": _FRESH,
    "OPTIMIZE": _FRESH,
    "REFRESH": _FRESH,
    "MSCK": _FRESH,
    "CACHE": _FRESH,
    "PUT": _FILES,
    "GET": _FILES,
    "UNLOAD": _UNLOAD,
    "EXPORT": f"A variable of the environment is set by %env NAME=value. {_UNLOAD}",
    "COMMENT": "A comment is an option: ALTER S3 CONNECTION name SET COMMENT = 'text';",
    "RENAME": "A connection gets another name by ALTER S3 CONNECTION name RENAME TO other.",
    "CREATE SECRET": _SECRET,
    "CREATE PERSISTENT": _SECRET,
    "DROP SECRET": "DROP CONNECTION name drops a connection, and its credentials with it.",
    "CREATE STAGE": _STORE,
    "CREATE EXTERNAL": _STORE,
    "CREATE STORAGE": _STORE,
    "CREATE VIEW": _VIEW,
    "CREATE MATERIALIZED": _VIEW,
    "DROP VIEW": _VIEW,
    "CREATE INDEX": _INDEX,
    "DROP INDEX": _INDEX,
    "CREATE DATABASE": _DATABASE,
    "CREATE SCHEMA": _DATABASE,
    "DROP DATABASE": _DATABASE,
    "DROP SCHEMA": _DATABASE,
    "SHOW DATABASES": _DATABASE,
    "SHOW SCHEMAS": _DATABASE,
    "USE DATABASE": _DATABASE,
    "USE SCHEMA": _DATABASE,
}


def foreign(words: Sequence[str]) -> str:
    """What is said of a statement that begins with these words, in capitals; empty where it is none of another SQL."""
    if words[0] in {"DELETE", "REMOVE"} and {"CONNECTION", "JOB", "S3", "TABLE"}.intersection(words[1:2]):
        return "Did you mean DROP?"
    return FOREIGN.get(" ".join(words[:2])) or FOREIGN.get(words[0], "")
