from __future__ import annotations

import gc
import importlib.util
import os
import signal
import site
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from boto_clients import client
from hypothesis import settings
from kernels import Kernel, started
from lab import CHROMIUM, Lab
from servers import RcloneServer
from synthetic import serving
from wheels import Installed

from s3conn_magic.sandbox import EMPTY, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab import Notebook

# No test depends on an idle machine: examples have no time of their own, only the test has.
settings.register_profile("s3conn", deadline=None)
settings.load_profile("s3conn")

# Hundreds of processes import the same libraries, here and in what tests start: each is compiled once, not by each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# jsonschema, and nbformat with it, would compile 39 grammars to check internationalized URIs, which no notebook has.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type] # how Python is told that there is none


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass by what is there for good: 13,000 tests and the libraries they imported."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what a test has recorded as its `summary`, such as how much it looked at."""
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, text in report.user_properties:
            if name == "summary" and report.when == "call":
                terminalreporter.write_line(text)


@pytest.fixture(scope="session", autouse=True)
def stop_button() -> None:
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background of a shell, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


_CLEARED = ("AWS_", "BOTO_", "S3CONN", "IPYTHON", "JUPYTER", "JPY_", "XDG_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home folder for this worker and every process it starts, and nothing of the user's settings."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_CLEARED) or name in _PROXIES:
                patch.delenv(name)
        # Packages installed for the user are found through the home folder.
        patch.setenv("PYTHONUSERBASE", site.getuserbase())
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("HOME", str(folder))
        patch.setenv("USERPROFILE", str(folder))
        for name in ("CONFIG", "CACHE", "DATA", "STATE"):
            patch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(folder / name.lower()))
        yield folder


@pytest.fixture(scope="module", autouse=True)
def no_credentials(home: Path, request: pytest.FixtureRequest) -> None:
    """Each module begins without credentials of AWS; what one before it has left is reported."""
    del home
    left = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN") if name in os.environ]
    for name in left:
        del os.environ[name]
    if left:
        warnings.warn(f"a module before {request.node.name} has left {', '.join(left)}", stacklevel=1)


@pytest.fixture(autouse=True)
def aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where this test's AWS config and credentials files would be; neither exists until the test writes it."""
    config, credentials = tmp_path / "aws-config", tmp_path / "aws-credentials"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    return config, credentials


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package as pip installs it from its wheel, alone in a folder, one for each worker."""
    return Installed.make(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The embedded S3, one for each worker. Tests that write do so in `acme-empty` and clean up."""
    with Sandbox.start() as running:
        yield running


@pytest.fixture
def upstream(sandbox: Sandbox) -> Iterator[Any]:
    """A boto3 client of the sandbox; what a test wrote to the empty bucket is gone afterwards."""
    s3 = client("s3", sandbox.endpoint, sandbox.admin)
    yield s3
    for one in s3.list_objects_v2(Bucket=EMPTY).get("Contents", []):
        s3.delete_object(Bucket=EMPTY, Key=one["Key"])
    for one in s3.list_multipart_uploads(Bucket=EMPTY).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=EMPTY, Key=one["Key"], UploadId=one["UploadId"])


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """An S3 server that is not moto, one for each worker: write to it by S3, and clean up."""
    server = RcloneServer.start(tmp_path_factory.mktemp("rclone") / "buckets")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for each worker; tests ask for `kernel`."""
    with started(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    """A real kernel that knows no variable and has not loaded this package."""
    shared_kernel.reset()
    yield shared_kernel
    # What a test put in the place of parts of the package goes with it.
    shared_kernel.reset()


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Serve a synthetic bucket until the test ends; gives the server's address."""

    def start(*arguments: object, **options: object) -> str:
        server = serving(*arguments, **options)
        address = server.__enter__()
        request.addfinalizer(lambda: server.__exit__(None, None, None))
        return address

    return start


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab and a browser for each module that asks for them."""
    if importlib.util.find_spec("playwright") is None or importlib.util.find_spec("jupyterlab") is None:
        pytest.skip("playwright or jupyterlab is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; name one with S3CONN_CHROMIUM")
    with Lab(tmp_path_factory.mktemp("lab") / "server") as started:
        yield started


@pytest.fixture(scope="module")
def shared_notebook(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """A notebook for each module, whose kernel has run the module's `SETUP`; tests ask for `notebook`."""
    notebook = lab.open([request.module.SETUP])
    notebook.run_all()
    yield notebook
    notebook.page.close()


@pytest.fixture
def notebook(shared_notebook: Notebook) -> Iterator[Notebook]:
    """The same without cells. On its page no script fails, and nothing asks the user."""
    shared_notebook.clear()
    yield shared_notebook
    assert shared_notebook.errors == []
    assert shared_notebook.dialogs == []
