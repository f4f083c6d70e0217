"""Delta, Iceberg and Hudi tables: read as a snapshot, at, in and above their folder, and never as loose files."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from moto import mock_aws
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.transforms import BucketTransform, DayTransform
from pyiceberg.types import LongType
from statements import Statements, create

from s3conn_magic.errors import QueryError, S3ConnError
from s3conn_magic.explorer.connections import ConnectionChildren
from s3conn_magic.lakes import tables_among
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "silver"
IDS = pa.schema([("id", pa.int64()), ("name", pa.string())])


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": list(ids), "name": [f"n{each}" for each in ids]}, schema=IDS)


class Lake:
    """A bucket in moto's own process, and a session that reaches it."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        self.run = Statements()
        self.run(create("lake", REGION="us-east-1", VALIDATE=False))

    def upload(self, folder: Path, prefix: str) -> None:
        """Have what is in a folder of this machine below a prefix."""
        for file in folder.rglob("*"):
            if file.is_file():
                self.s3.upload_file(str(file), BUCKET, prefix + file.relative_to(folder).as_posix())

    def put(self, key: str, table: pa.Table) -> None:
        """Have a Parquet file."""
        body = io.BytesIO()
        pq.write_table(table, body)
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body.getvalue())

    def ids(self, source: str) -> list[int]:
        """The ids that a query's FROM gives, in order."""
        return [int(each) for each in self.run(f"SELECT id FROM {source} ORDER BY id")["id"]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A Delta table `clicks/` of four versions, an Iceberg table `orders/` of three snapshots, and a plain folder."""
    folder = tmp_path_factory.mktemp("lake")
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        made = Lake()
        made.upload(delta(folder / "clicks"), "t/clicks/")
        made.upload(iceberg(folder / "ice").folder, "t/orders/")
        made.put("t/plain/a.parquet", rows(7))
        yield made


def delta(folder: Path) -> Path:
    """Rows 1 and 2; then 3; then without 1; then with another column."""
    write_deltalake(folder, rows(1, 2), partition_by=["name"])
    write_deltalake(folder, rows(3), mode="append")
    DeltaTable(folder).delete("id = 1")
    wider = rows(4).append_column("more", pa.array([{"x": 1}]))
    write_deltalake(folder, wider, mode="append", schema_mode="merge")
    for name in (f"{0:020}.crc", f"{0:020}.{1:020}.compacted.json"):  # as Spark's, which are listed before the commits
        (folder / "_delta_log" / name).write_text("{}")
    return folder


class Ice:
    """An Iceberg table on this machine."""

    def __init__(self, folder: Path, schema: pa.Schema, **options: Any) -> None:
        folder.mkdir()
        catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}")
        catalog.create_namespace("db")
        self.table = catalog.create_table("db.t", schema=schema, **options)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self.table.location().removeprefix("file://"))

    @property
    def snapshots(self) -> list[int]:
        """The ids of its snapshots."""
        return [each.snapshot_id for each in self.table.metadata.snapshots]


def iceberg(folder: Path) -> Ice:
    """Rows 1 to 3; then without 2; then 4."""
    made = Ice(folder, IDS)
    made.table.append(rows(1, 2, 3))
    made.table.delete("id = 2")
    made.table.append(rows(4))
    return made


# Read as a snapshot


@pytest.mark.parametrize(
    ("source", "ids"),
    [
        ("'s3://silver/t/clicks/'", [2, 3, 4]),
        ("'s3://silver/t/clicks'", [2, 3, 4]),
        ("'s3://lake@silver/t/clicks/' WHERE name = 'n3'", [3]),
        ("'s3://silver/t/clicks/' AT (VERSION => 0)", [1, 2]),
        ("'s3://silver/t/clicks/' AS c AT (VERSION => $version + 0)", [1, 2, 3]),
        ("'s3://silver/t/clicks/' AT (TIMESTAMP => now() + INTERVAL 1 DAY)", [2, 3, 4]),
        ("'s3://silver/t/clicks/' AT (VERSION => 1) WHERE id >= $version", [1, 2, 3]),
        ("'s3://silver/t/orders/'", [1, 3, 4]),
        ("'s3://silver/t/orders' WHERE id > 3", [4]),
        ("'s3://silver/t/orders/' AT (TIMESTAMP => '2100-01-01')", [1, 3, 4]),
        ("'s3://silver/t/orders/' AT (VERSION => 'main')", [1, 3, 4]),
        ("'s3://silver/t/plain/*.parquet'", [7]),
        ("read_parquet('s3://silver/t/pl*/*.parquet')", [7]),
    ],
)
def test_a_query_reads_the_state_that_it_names(lake, source, ids):
    """The folder of a table gives the rows of its current state, or of the one at a version or a time."""
    lake.run.names["version"] = 1
    assert lake.ids(source) == ids


def test_two_states_of_one_table_are_joined(lake):
    """Each mention of a table has its own moment; names before columns are those of the query."""
    gone = lake.run("""SELECT old.id FROM 's3://silver/t/clicks/' old AT (VERSION => 1)
        WHERE old.id NOT IN (SELECT id FROM 's3://silver/t/clicks/' AT (VERSION => 2))""")
    assert list(gone["id"]) == [1]


def test_a_table_over_a_lake_table_follows_it(lake, tmp_path):
    """CREATE TABLE … LOCATION reads the snapshot that is current when a query runs, and earlier ones by AT."""
    write_deltalake(tmp_path / "t", rows(1))
    lake.upload(tmp_path / "t", "grows/")
    assert "Delta, version 0" in str(lake.run("CREATE TABLE grows LOCATION 's3://silver/grows/'"))
    write_deltalake(tmp_path / "t", rows(2), mode="append")
    lake.upload(tmp_path / "t", "grows/")
    assert lake.ids("grows") == [1, 2]
    assert lake.ids("grows AT (VERSION => 0)") == [1]
    assert list(lake.run("SELECT grows.id FROM grows AT (VERSION => 0)")["id"]) == [1]
    assert (
        "no earlier versions"
        in lake.run.fails("CREATE TABLE plain AS SELECT 1 AS id; FROM plain AT (VERSION => 1)").message
    )
    lake.run("DROP TABLE grows; DROP TABLE plain")


@pytest.mark.parametrize("source", ["t/plain/a.parquet", "t/plain/*.parquet", "t/plain/"])
def test_what_has_no_versions_is_not_read_as_of_one(lake, source):
    """AT behind a file, a pattern or a plain folder is an error, and not ignored."""
    assert "no earlier versions" in lake.run.fails(f"FROM 's3://silver/{source}' AT (VERSION => 0)", QueryError).message


def test_a_column_that_came_later_is_null_before(lake):
    """Schema evolution: files without a column have NULL in it, nested ones too; an old state has its own columns."""
    now = lake.run("SELECT id, more FROM 's3://silver/t/clicks/' ORDER BY id")
    assert [None if each is None or each is now["more"].dtype.na_value else each["x"] for each in now["more"]] == [
        None,
        None,
        1,
    ]
    assert list(lake.run("FROM 's3://silver/t/clicks/' AT (VERSION => 0)").columns) == ["id", "name"]


def test_preview_shows_the_rows_of_a_table(lake):
    """PREVIEW of the folder is the current snapshot, and says which; of a file in it the note says whose it is."""
    shown = lake.run("PREVIEW 's3://silver/t/clicks/'")
    assert sorted(shown.frame["id"]) == [2, 3, 4]
    assert "Delta, version 3" in repr(shown)
    assert len(lake.run("PREVIEW 's3://silver/t/orders' LIMIT 2").frame) == 2
    key = next(key for key in keys(lake, "t/orders/data/") if key.endswith(".parquet"))
    assert "a file of the Iceberg table s3://silver/t/orders/" in repr(lake.run(f"PREVIEW 's3://silver/{key}'"))


def keys(lake: Lake, prefix: str) -> list[str]:
    return [each["Key"] for each in lake.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]


def test_lists_and_the_explorer_say_what_a_folder_is(lake):
    """LIST and ANALYZE note it, and the explorer has a badge in the folder's row."""
    for text in ("LIST 's3://silver/t/clicks/'", "LIST 's3://silver/t/' RECURSIVE", "ANALYZE 's3://silver/t/clicks/'"):
        lake.run.notes.clear()
        lake.run(text)
        assert "s3://silver/t/clicks/ is Delta, version 3." in lake.run.notes
    children = ConnectionChildren(lambda: lake.run.connection("lake"))
    badges = [
        children(Location(BUCKET, f"t/{each}/"), None, cancelled=bool).badge for each in ("clicks", "orders", "plain")
    ]
    assert badges[0] == "Delta, version 3"
    assert badges[1].startswith("Iceberg, format 2, snapshot ")
    assert badges[2] == ""


# Never as loose files

_LOOSE = [
    "'s3://silver/t/clicks/*/*.parquet'",
    "'s3://silver/t/clicks/**/*'",
    "'s3://silver/t/clicks/name=n2/'",
    "'s3://silver/t/clicks/name=n2/*.parquet'",
    "read_parquet('s3://silver/t/clicks/name=n2/*.parquet')",
    "read_parquet(['s3://silver/t/plain/a.parquet', 's3://silver/t/orders/data/*.parquet'])",
    "'s3://silver/t/**/*.parquet'",
    "'s3://silver/t/{clicks,plain}/*/*.parquet'",
    "'s3://silver/*/*/*/*.parquet'",
    "'s3://silver/t/**/*.json'",
    "'s3://silver/t/orders/data/*'",
]


@pytest.mark.parametrize("source", _LOOSE)
def test_files_of_tables_are_not_read_as_loose_ones(lake, source):
    """A pattern or a folder at, in or above a table is refused, names the table, and the form that reads it."""
    error = lake.run.fails(f"SELECT count(*) FROM {source}", QueryError)
    assert "(Delta)" in error.message or "(Iceberg)" in error.message or "table s3://silver/t/" in error.message
    assert "reads" in error.hint
    assert "snapshot" in error.hint


@pytest.mark.parametrize("place", ["t/clicks/", "t/clicks", "t/clicks/name=n2/", "t/", "", "t/orders/data/", "t/or"])
def test_copy_refuses_files_of_tables(lake, place):
    """COPY FROM a table's folder, in it or above it, is refused and names CREATE TABLE AS and INSERT INTO S3."""
    error = lake.run.fails(
        f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://silver/{place}' CONTENT_TYPE = PARQUET INTO t"
    )
    assert "CREATE TABLE t AS SELECT * FROM 's3://lake@silver/t/" in error.hint
    assert "INSERT INTO S3" in error.hint
    assert "t" not in lake.run.session.queries.table_names()


@pytest.mark.parametrize("place", ["t/", "t/clicks/name=n2/", "t/**/*.parquet", "t/orders/data"])
def test_a_table_over_files_of_tables_is_refused(lake, place):
    """CREATE TABLE … LOCATION takes a table's own folder, and no other at, in or above it."""
    error = lake.run.fails(f"CREATE TABLE x LOCATION 's3://silver/{place}'", QueryError)
    assert "s3://silver/t/" in error.message


def test_what_is_beside_tables_is_read(lake):
    """A pattern that leaves tables out reads what it names, and so does a job; a log is read when it is written out."""
    lake.run(
        "CREATE JOB beside AS COPY FROM S3 lake LOCATION = 's3://silver/t/' FILE_PATTERN = 'plain/.*'"
        " CONTENT_TYPE = PARQUET INTO beside"
    )
    assert lake.ids("beside") == [7]
    assert len(lake.run("FROM 's3://silver/t/clicks/_delta_log/*.json'")) > 4
    lake.run("DROP JOB beside; DROP TABLE beside")


# What there may be of each format


@pytest.mark.parametrize("name", ["deltalake", "pyiceberg"])
def test_without_the_package_a_table_is_refused_by_name(lake, monkeypatch, name):
    """The error says what it is, which version, and what to install; it is never read otherwise."""
    monkeypatch.setitem(sys.modules, name, None)
    folder, version = ("clicks", "version 3") if name == "deltalake" else ("orders", "format 2, snapshot ")
    error = lake.run.fails(f"FROM 's3://silver/t/{folder}/'", QueryError)
    assert version in error.message
    assert f"pip install {name}" in error.hint
    assert "files of tables" in lake.run.fails("FROM 's3://silver/t/**/*.parquet'").message


@pytest.mark.parametrize(("at", "said"), [
    ("(VERSION => 9)", "versions 0 to 3"), ("(VERSION => 'x')", "versions 0 to 3"),
    ("(TIMESTAMP => '2001-01-01')", "oldest is version 0"),
])  # fmt: skip
def test_a_version_that_there_is_not_is_refused(lake, at, said):
    """The error says which versions there are."""
    assert said in lake.run.fails(f"FROM 's3://silver/t/clicks/' AT {at}", QueryError).hint


def test_a_checkpoint_stands_for_the_commits_before_it(lake, tmp_path):
    """A log whose old commits are gone is read from its checkpoint on, and older versions are refused."""
    folder = tmp_path / "t"
    for each in range(4):
        write_deltalake(folder, rows(each), mode="append")
    DeltaTable(folder).create_checkpoint()
    write_deltalake(folder, rows(9), mode="append")
    for each in range(3):
        (folder / f"_delta_log/{each:020}.json").unlink()
    lake.upload(folder, "checkpointed/")
    assert lake.ids("'s3://silver/checkpointed/'") == [0, 1, 2, 3, 9]
    assert lake.ids("'s3://silver/checkpointed/' AT (VERSION => 3)") == [0, 1, 2, 3]
    assert "versions 3 to 4" in lake.run.fails("FROM 's3://silver/checkpointed/' AT (VERSION => 2)").hint


def test_a_damaged_log_is_refused(lake, tmp_path):
    """A commit that is missing or no JSON is an error, not another set of rows."""
    folder = tmp_path / "t"
    for each in range(3):
        write_deltalake(folder, rows(each), mode="append")
    lake.upload(folder, "broken/")
    lake.s3.put_object(Bucket=BUCKET, Key=f"broken/_delta_log/{1:020}.json", Body=b"{nothing")
    assert "broken" in lake.run.fails("FROM 's3://silver/broken/'", QueryError).message
    lake.s3.delete_object(Bucket=BUCKET, Key=f"broken/_delta_log/{1:020}.json")
    assert "commit of version 1 is missing" in lake.run.fails("FROM 's3://silver/broken/'", QueryError).message


def test_a_vacuumed_file_is_an_error(lake, tmp_path):
    """An old version whose files are gone is refused, and the current one is read."""
    write_deltalake(tmp_path / "t", rows(1))
    write_deltalake(tmp_path / "t", rows(2), mode="overwrite")
    lake.upload(tmp_path / "t", "vacuumed/")
    gone = lake.run("SELECT add.path AS path FROM 's3://silver/vacuumed/_delta_log/00000000000000000000.json'")
    for path in gone["path"].dropna():
        lake.s3.delete_object(Bucket=BUCKET, Key=f"vacuumed/{path}")
    assert lake.ids("'s3://silver/vacuumed/'") == [2]
    lake.run.fails("FROM 's3://silver/vacuumed/' AT (VERSION => 0)", S3ConnError)


def test_column_mapping_gives_the_names_of_the_table(lake):
    """Files whose columns have other names are read by what the log says of them, nested ones too."""
    body = pa.table({"col-1": [5], "col-2": [{"col-3": "x"}]})
    nested = {"type": "struct", "fields": [_mapped("inner", "string", 3)]}
    schema = {"type": "struct", "fields": [_mapped("id", "long", 1), _mapped("outer", nested, 2)]}
    configuration = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "3"}
    lake.put("mapped/part-0.parquet", body)
    actions = [
        {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}},
        {"metaData": {"id": "1", "format": {"provider": "parquet", "options": {}}, "schemaString": json.dumps(schema),
                      "partitionColumns": [], "configuration": configuration, "createdTime": 0}},
        {"add": {"path": "part-0.parquet", "partitionValues": {}, "size": 1, "modificationTime": 0,
                 "dataChange": True}},
    ]  # fmt: skip
    log = "\n".join(map(json.dumps, actions)).encode()
    lake.s3.put_object(Bucket=BUCKET, Key=f"mapped/_delta_log/{0:020}.json", Body=log)
    assert lake.ids("'s3://silver/mapped/'") == [5]
    ((inner,),) = lake.run("SELECT \"outer\".inner FROM 's3://silver/mapped/'").itertuples(index=False)
    assert inner == "x"


def _mapped(name: str, kind: Any, number: int) -> dict[str, Any]:
    physical = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"col-{number}"}
    return {"name": name, "type": kind, "nullable": True, "metadata": physical}


@pytest.mark.parametrize("version", ["1", "2"])
def test_partition_transforms_and_renamed_columns_of_iceberg(lake, tmp_path, version):
    """Columns follow their ids through a rename, a new column and wider types; partitions are those of transforms."""
    schema = pa.schema([("id", pa.int32()), ("name", pa.string()), ("at", pa.timestamp("us"))])
    made = Ice(tmp_path / "ice", schema, properties={"format-version": version})
    with made.table.update_spec() as spec:
        spec.add_field("id", BucketTransform(4))
        spec.add_field("at", DayTransform())
    made.table.append(pa.table({"id": [1, 2], "name": ["a", "b"], "at": [0, 10**12]}).cast(schema))
    with made.table.update_schema() as update:
        update.rename_column("name", "label")
        update.update_column("id", LongType())
        update.add_column("more", LongType())
    lake.upload(made.folder, f"evolved{version}/")
    frame = lake.run(f"SELECT id, label, more FROM 's3://silver/evolved{version}/' WHERE id = 2")
    assert frame.iloc[0, :2].tolist() == [2, "b"]
    assert frame["more"].isna().all()
    assert list(lake.run(f"FROM 's3://silver/evolved{version}/' AT (VERSION => {made.snapshots[0]})").columns) == [
        "id", "name", "at"]  # fmt: skip


def test_empty_tables_have_their_columns(lake, tmp_path):
    """A table without rows, or without a snapshot, gives its columns and no row."""
    lake.upload(Ice(tmp_path / "ice", IDS).folder, "none/")
    write_deltalake(tmp_path / "t", rows())
    lake.upload(tmp_path / "t", "nothing/")
    for folder in ("none", "nothing"):
        frame = lake.run(f"FROM 's3://silver/{folder}/'")
        assert (list(frame.columns), len(frame)) == (["id", "name"], 0)


def test_two_iceberg_tables_in_one_folder_are_refused(lake, tmp_path):
    """Which of them counts only a catalog knows; a metadata file that is written out is read."""
    for name, ids in (("one", (1,)), ("two", (2,))):
        made = Ice(tmp_path / name, IDS)
        made.table.append(rows(*ids))
        lake.upload(made.folder, "both/")
    error = lake.run.fails("FROM 's3://silver/both/'", QueryError)
    assert "several tables" in error.message
    files = [key for key in keys(lake, "both/metadata/") if "/00001-" in key]
    assert sorted(lake.ids(f"'s3://silver/{key}'")[0] for key in files) == [1, 2]


def test_tables_of_two_formats_in_one_folder_are_said(lake, tmp_path):
    """Where a folder is a table of two formats, it is read as one of them, and a note says so."""
    write_deltalake(tmp_path / "t", rows(1))
    lake.upload(tmp_path / "t", "uniform/")
    lake.s3.put_object(Bucket=BUCKET, Key="uniform/metadata/v1.metadata.json", Body=b"{}")
    lake.run.notes.clear()
    assert lake.ids("'s3://silver/uniform/'") == [1]
    assert any("Iceberg, too" in note for note in lake.run.notes)


def test_a_table_in_the_folder_of_another_is_its_own(lake, tmp_path):
    """The innermost table is the one that a file is of, and each folder reads its own log."""
    for name, ids in (("outer/", (1,)), ("outer/inner/", (2,))):
        write_deltalake(tmp_path / str(len(name)), rows(*ids))
        lake.upload(tmp_path / str(len(name)), name)
    assert lake.ids("'s3://silver/outer/'") == [1]
    assert lake.ids("'s3://silver/outer/inner/'") == [2]
    assert "outer/inner/" in lake.run.fails("FROM 's3://silver/outer/inner/*.parquet'").message


@pytest.mark.parametrize(
    ("key", "root"),
    [
        ("a/_delta_log/00000000000000000000.json", "a/"),
        ("_delta_log/00000000000000000010.checkpoint.parquet", ""),
        ("a/_delta_log/00000000000000000010.checkpoint.0000000001.0000000002.parquet", "a/"),
        ("a/_delta_log/00000000000000000000.crc", "a/"),
        ("a/_delta_log/00000000000000000000.00000000000000000009.compacted.json", "a/"),
        ("a/b/metadata/00003-5f7988e8.metadata.json", "a/b/"),
        ("a/metadata/v3.gz.metadata.json", "a/"),
        ("a/metadata/version-hint.text", "a/"),
        ("a/.hoodie/hoodie.properties", "a/"),
        ("a/.hoodie/metadata/.hoodie/hoodie.properties", None),
        ("a/_delta_log/1.json", None),
        ("a/_delta_log/_last_checkpoint", None),
        ("a/metadata/snap-1.avro", None),
        ("a/metadata/deep/v1.metadata.json", None),
        ("a/hoodie.properties", None),
    ],
)
def test_keys_tell_tables(key, root):
    """A key is a mark of the table whose folder it is in, or of none."""
    assert list(tables_among(BUCKET, [key])) == ([] if root is None else [root])
