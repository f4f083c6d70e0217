"""What somebody does first with the package as it is installed: `python newcomer.py FOLDER ENDPOINT KEY SECRET`.

Run from any folder but the repository, with no more than the package and what it requires. FOLDER is where the package
was installed to, the others are of an S3 server that has the sandbox's lake. `--without` hides modules that are there.
What boto3 lists is what LIST has to list.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

FOLDER = "sales/"
LOCATION = f"s3://acme-lake/{FOLDER}"
CREATE = """%%upsql
CREATE S3 CONNECTION lake
    AWS_ACCESS_KEY_ID = $key
    AWS_SECRET_ACCESS_KEY = $secret
    ENDPOINT = $endpoint
    VALIDATE = FALSE
"""

KEYRING = "%upsql CREATE S3 CONNECTION k AWS_ACCESS_KEY_ID = 'A' AWS_SECRET_ACCESS_KEY = KEYRING 'a' 'b'"
NEEDS = {
    "moto": ("sandbox", "%upsql START SANDBOX"),
    "distributed": ("dask", "%upsql SET ENGINE = 'dask'"),
    "obstore": ("obstore", "import s3conn_magic; s3conn_magic.connection('lake').obstore('acme-lake')"),
    "keyring": ("keyring", KEYRING),
}
"""Modules of the extras, each with its extra and a cell that needs it."""


def main() -> None:
    """Every step in order; what is not as it should be is an AssertionError."""
    parser = argparse.ArgumentParser()
    for name in ("folder", "endpoint", "key", "secret"):
        parser.add_argument(name)
    parser.add_argument("--without", nargs="*", default=[])
    given = parser.parse_args()
    for name in given.without:
        sys.modules[name] = None  # type: ignore[assignment] # how Python is told that there is none
    package_is_whole(Path(given.folder))
    shell = loaded(key=given.key, secret=given.secret, endpoint=given.endpoint)
    statements_are_completed_and_explained(shell)
    buckets_are_reached(shell, given)
    extras_are_named(shell)
    print("everything is there")


def package_is_whole(folder: Path) -> None:
    """It is imported from where it was installed, with its version, its commands, its lexer, and its files."""
    import s3conn_magic

    root = Path(s3conn_magic.__file__).parent
    assert root.is_relative_to(folder), root
    assert version("s3conn-magic") == s3conn_magic.__version__
    assert (root / "py.typed").is_file()
    assert sorted(one.name for one in (root / "notebooks").iterdir()) == [
        "bucket_to_result.ipynb",
        "first_tries.ipynb",
        "lakehouse.ipynb",
        "quickstart.ipynb",
    ]
    assert {one.name for one in entry_points(group="pygments.lexers") if "s3conn_magic" in one.value} == {"upsql"}
    assert {one.name for one in entry_points(group="console_scripts") if "s3conn_magic" in one.value} == {
        "s3conn-magic"
    }


class Shell:
    """IPython, in which cells run that must not fail."""

    def __init__(self, **variables: Any) -> None:
        from IPython.core.interactiveshell import InteractiveShell

        self.ipython = InteractiveShell.instance()
        self.ipython.push(variables)

    def run(self, cell: str) -> Any:
        """The value of a cell."""
        done = self.ipython.run_cell(cell)
        done.raise_error()
        return done.result

    def offered(self, cell: str) -> set[str]:
        """What Tab offers at the end of a cell."""
        from IPython.core.completer import provisionalcompleter

        with provisionalcompleter():
            return {one.text for one in self.ipython.Completer.completions(cell, len(cell))}


def loaded(**variables: Any) -> Shell:
    """IPython with the extension."""
    shell = Shell(**variables)
    shell.run("%load_ext s3conn_magic")
    return shell


def statements_are_completed_and_explained(shell: Shell) -> None:
    """Tab knows the statements, and HELP has them all."""
    from s3conn_magic.language.reference import STATEMENTS

    assert shell.offered("%%upsql\nCREATE S3 CON") == {"CONNECTION"}
    assert {one.split()[0] for one in shell.offered("%%upsql\n")} >= {one.name.split()[0] for one in STATEMENTS}
    told = repr(shell.run("%upsql HELP"))
    assert all(one.name in told for one in STATEMENTS)


def buckets_are_reached(shell: Shell, given: argparse.Namespace) -> None:
    """A connection is made, and objects are listed, previewed, queried and explored through it."""
    shell.run(CREATE)
    assert shell.offered("%%upsql\nDROP CONNECTION ") >= {"lake"}
    frame = shell.run(f"%upsql LIST '{LOCATION}' USING lake RECURSIVE")
    assert list(frame.key) == keys(given)
    assert "customer_id" in repr(shell.run(f"%upsql PREVIEW '{LOCATION}customers.csv' LIMIT 3"))
    (count,) = shell.run(f"%upsql SELECT count(*) AS n FROM '{LOCATION}customers.csv'").n
    assert count > 0
    tree = shell.run(f"%upsql EXPLORE '{LOCATION}'")._repr_mimebundle_()[0]
    assert set(tree) >= {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
    assert "customers.csv" in tree["text/plain"]
    assert sum(shell.run(f"%upsql ANALYZE '{LOCATION}' BY EXTENSION").objects) == len(keys(given))


def keys(given: argparse.Namespace) -> list[str]:
    """The keys below the folder, as boto3 has them."""
    import boto3

    signed = {"aws_access_key_id": given.key, "aws_secret_access_key": given.secret, "region_name": "us-east-1"}
    pages = boto3.client("s3", endpoint_url=given.endpoint, **signed).get_paginator("list_objects_v2")
    found = [one["Key"] for page in pages.paginate(Bucket="acme-lake", Prefix=FOLDER) for one in page["Contents"]]
    assert found
    return found


def extras_are_named(shell: Shell) -> None:
    """What needs an extra that is not installed says which, and nothing of what was there is lost."""
    from importlib.util import find_spec

    from s3conn_magic.errors import pip_install

    for module, (extra, cell) in NEEDS.items():
        if find_spec(module) is None:
            error: Any = shell.ipython.run_cell(cell).error_in_exec
            assert pip_install(extra) in error.block(), cell
    assert set(shell.run("%upsql SHOW CONNECTIONS").name) == {"lake"}


if __name__ == "__main__":
    main()
