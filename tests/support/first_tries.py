"""First tries of people who know another language: a cell, what it is answered with, and what comes of the answer.

The files of `tests/corpus/first_tries/` have cases as those of `corpora.py` do, with a third part: `runs` where the
hint, followed to the letter, succeeds; `decides` where there is something that only the person can decide;
`accepted` where the cell itself succeeds. `python tests/support/first_tries.py` writes down what the answers are now.
"""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from corpora import FOLDER, KEY, SECRET
from following import followed
from moto import mock_aws
from offline import Inputs

from s3conn_magic.errors import S3ConnError
from s3conn_magic.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = FOLDER / "first_tries"
BLANKS = {"s3://…": "s3://acme-lake", "@…": "@acme-lake", "::…:": "::123456789012:", "'…'": "'acme-lake'"}
"""What is filled in where a hint leaves a blank."""
VARIABLES = {
    "profile": "dev",
    "place": "s3://acme-lake/",
    "my_role": "arn:aws:iam::123456789012:role/reader",
    "name": "lake",
}
_ENDPOINTS = (
    "http://localhost:9000,https://minio.example:9000,https://abc1def.r2.cloudflarestorage.com,"
    "https://storage.googleapis.com"
)
_PROFILES = "".join(
    f"[{name}]\nregion=us-east-1\naws_access_key_id=AKIAMOTO\naws_secret_access_key=moto\n"
    for name in ("default", "profile dev")
)
_HELD = re.compile(r"<(?:U\+([0-9A-F]{4})|(SECRET|KEY))>")


class Try(NamedTuple):
    """A cell and what comes of it."""

    group: str
    title: str
    written: str
    answered: str
    then: str

    @property
    def id(self) -> str:
        """Names the case in the output of the tests."""
        return f"{self.group}: {self.title}"

    @property
    def cell(self) -> str:
        """The cell's text."""
        held = {"SECRET": SECRET, "KEY": KEY}
        return _HELD.sub(lambda match: chr(int(match[1], 16)) if match[1] else held[match[2]], self.written)


def read() -> list[Try]:
    """All cases."""
    return [case for file in sorted(PLACE.glob("*.txt")) for case in _read_file(file)]


def _read_file(file: Path) -> Iterator[Try]:
    for block in re.split(r"^=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, rest = block.partition("\n")
        written, answered, then = (rest.rstrip("\n") + "\n").split("\n---\n", 2)
        yield Try(file.stem, title, written, answered, then.strip())


@contextmanager
def mocked(folder: Path) -> Iterator[None]:
    """S3 within the process, with two buckets, a role and two profiles; the environment is as it was afterwards."""
    (folder / "config").write_text(_PROFILES, encoding="utf-8")
    given = {
        "AWS_ACCESS_KEY_ID": "AKIAMOTO",
        "AWS_SECRET_ACCESS_KEY": "moto",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_S3_CUSTOM_ENDPOINTS": _ENDPOINTS,
        "TRY_PROFILE": "dev",
        "TRY_KEY_ID": "AKIAMOTO",
        "TRY_SECRET": "moto",
    }
    before, at = {name: os.environ.get(name) for name in given}, Path.cwd()
    os.environ.update(given)
    os.chdir(folder)
    mock = mock_aws()
    mock.start()
    try:
        _fill()
        yield
    finally:
        mock.stop()
        os.chdir(at)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _fill() -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    for bucket in ("acme-lake", "acme-out"):
        s3.create_bucket(Bucket=bucket)
    parquet = io.BytesIO()
    pq.write_table(pa.table({"n": [1]}), parquet)
    s3.put_object(Bucket="acme-lake", Key="orders/a.csv", Body=b"id,n\n1,2\n")
    s3.put_object(Bucket="acme-lake", Key="data/a.parquet", Body=parquet.getvalue())
    boto3.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument="{}")


class _Asked(Inputs):
    """Answers every question."""

    def prompt(self, text: str) -> str:
        """A secret of the right form."""
        return KEY if "CUSTOMER" in text else SECRET


class _Server:
    endpoint = "http://localhost:9000"

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def fresh_session() -> Session:
    """A session with two connections, of which `lake` is the default, and a table."""
    session = Session(_Asked(VARIABLES), start_server=_Server, note=lambda _: None)
    setting_up = (
        "SET PROGRESS = FALSE; CREATE S3 CONNECTION lake VALIDATE = FALSE;"
        " CREATE S3 CONNECTION commented COMMENT = 'x' VALIDATE = FALSE; USE CONNECTION lake;"
    )
    list(session.run(setting_up))
    return session


def outcome(session: Session, text: str) -> S3ConnError | None:
    """Run a text, and return its error."""
    if "sales" in text:
        list(session.run("CREATE OR REPLACE TABLE sales AS SELECT 1 AS n"))
    try:
        list(session.run(text))
    except S3ConnError as error:
        return error
    return None


def answer_of(error: S3ConnError) -> str:
    """What is written down of an error: its first line, its place and its hint, wherever its folder is."""
    place = f"\n{error.place.line}:{error.place.column}" if error.place else ""
    said = f"{type(error).__name__}: {error.message.splitlines()[0]}{place}" + (f"\n{error.hint}" if error.hint else "")
    return said.replace(str(Path.cwd()), "~/.aws")


def came_of(case: Try) -> tuple[str, str]:
    """The answer to a cell, and what comes of following it: `runs`, `decides`, `accepted`, or what failed."""
    session = fresh_session()
    try:
        error = outcome(session, case.cell)
        if error is None:
            return "", "accepted"
        text = followed(case.cell, error, BLANKS)
        if text is None:
            return answer_of(error), "decides"
        again = outcome(session, text)
        return answer_of(error), "runs" if again is None else f"fails: {answer_of(again)}"
    finally:
        session.close()


def _accept() -> None:
    import tempfile

    with mocked(Path(tempfile.mkdtemp())):
        for file in sorted(PLACE.glob("*.txt")):
            written = []
            for case in _read_file(file):
                answered, then = came_of(case)
                answered = answered.replace(SECRET, "<SECRET>").replace(KEY, "<KEY>")
                written.append(f"=== {case.title}\n{case.written}\n---\n{answered}\n---\n{then}\n")
            head = file.read_text(encoding="utf-8").partition("=== ")[0]
            file.write_text(head + "\n".join(written), encoding="utf-8")


if __name__ == "__main__":
    _accept()
