"""The means of the other tests: the second S3 server, the kernel, the hermetic environment."""

from __future__ import annotations

import os
from pathlib import Path

import boto3
import pytest
from boto_clients import client
from botocore.exceptions import ClientError

from s3conn_magic.sandbox import LAKE, LOGS, Keys
from s3conn_magic.secrets import Secret


def test_rclone_serves_the_lake_in_pages(rclone_server):
    """The second server has the sandbox's folders as buckets and lists 2,400 logs without one missing or twice."""
    s3 = client("s3", rclone_server.endpoint, rclone_server.keys)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=LOGS)
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    on_disk = {f"web/{path.name}" for path in (rclone_server.root / LOGS / "web").iterdir()}
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} == {LAKE, LOGS, "acme-empty"}
    assert len(keys) == 2400
    assert set(keys) == on_disk
    assert s3.get_object(Bucket=LAKE, Key="sales/orders.csv")["Body"].read().startswith(b"order_id,")


def test_rclone_shows_what_a_test_writes_and_deletes(rclone_server):
    """An object is in the listing after it was put, and neither there nor on disk after it was deleted."""
    s3 = client("s3", rclone_server.endpoint, rclone_server.keys)

    def keys():
        # Other tests of this worker write below the root.
        return [item["Key"] for item in s3.list_objects_v2(Bucket="acme-empty", Prefix="shown/").get("Contents", [])]

    seen = [keys()]
    s3.put_object(Bucket="acme-empty", Key="shown/new.txt", Body=b"new")
    seen.append(keys())
    s3.delete_object(Bucket="acme-empty", Key="shown/new.txt")
    seen.append(keys())
    assert seen == [[], ["shown/new.txt"], []]
    assert not (rclone_server.root / "acme-empty" / "shown").exists()


@pytest.mark.parametrize(
    ("key_id", "code"), [("RCLONEEXAMPLEKEY", "SignatureDoesNotMatch"), ("ANOTHERKEY", "InvalidAccessKeyId")]
)
def test_rclone_refuses_wrong_keys(rclone_server, key_id, code):
    """A wrong secret fails on the signature, a wrong key id on the id."""
    s3 = client("s3", rclone_server.endpoint, Keys(key_id, Secret("wrong")))
    with pytest.raises(ClientError) as refused:
        s3.list_objects_v2(Bucket=LAKE)
    assert refused.value.response["Error"]["Code"] == code


def test_the_kernel_s_outputs_come_apart(kernel):
    """Streams, displays, the value and the reply of one cell are each where they belong."""
    outcome = kernel.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\ndisplay({'a': 1})\n40 + 2")
    assert (outcome.status, outcome.stdout, outcome.stderr, outcome.error) == ("ok", "out\n", "err\n", None)
    assert outcome.displays == [{"text/plain": "{'a': 1}"}]
    assert outcome.result == {"text/plain": "42"}


def test_the_kernel_s_error_is_the_notebook_s(kernel):
    """A failing cell has the status error and the block a notebook would save."""
    outcome = kernel.run("raise ValueError('no')")
    assert outcome.status == "error"
    assert (outcome.error["ename"], outcome.error["evalue"]) == ("ValueError", "no")


def test_the_kernel_can_be_answered(kernel):
    """A password prompt gets the answer of the test and shows it nowhere."""
    outcome = kernel.run("from getpass import getpass\nlen(getpass('Secret: '))", answers=["hush-hush"])
    assert outcome.result == {"text/plain": "9"}
    assert "hush-hush" not in outcome.everything


def test_the_kernel_runs_this_repository_and_forgets(kernel):
    """It imports the package under test, and a reset leaves neither variable nor module as it was."""
    seen = "import s3conn_magic\ns3conn_magic.seen = True\ns3conn_magic.__file__"
    where = kernel.run(seen).result["text/plain"].strip("'")
    kernel.reset()
    # What masks the history stays in the shell, and imports the package anew.
    left = "import sys\n(hasattr(sys.modules.get('s3conn_magic'), 'seen'), 's3conn_magic' in globals())"
    left = kernel.run(left).result
    assert Path(where).is_relative_to(Path(__file__).parents[1])
    assert left == {"text/plain": "(False, False)"}


def test_tests_see_no_settings_of_the_user(home, kernel):
    """No credentials are found, here or in the kernel, and what is written goes to a temporary home."""
    assert boto3.Session().get_credentials() is None
    assert boto3.Session().available_profiles == []
    assert Path.home() == home
    assert kernel.run("import os\nprint(os.path.expanduser('~'), end='')").stdout == str(home)
    assert kernel.run("print(get_ipython().ipython_dir, end='')").stdout == os.environ["IPYTHONDIR"]


@pytest.mark.parametrize("profile", ["one", "two"])
def test_an_aws_profile_is_one_test_s_own(aws_files, profile):
    """A profile that a test writes is found by it and by no other."""
    aws_files[0].write_text(f"[profile {profile}]\nregion = eu-west-1\n")
    assert boto3.Session().available_profiles == [profile]
