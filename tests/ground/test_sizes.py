"""Sizes in text: decimal, and written alike wherever they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import s3conn_magic
from s3conn_magic.locations import size_text

ROOT = Path(s3conn_magic.__file__).parent
TEXTS = ROOT / "explorer" / "front" / "texts.js"
SIZES = [
    0,
    1,
    999,
    1_000,
    1_024,
    12_345,
    999_499,
    999_500,
    999_999,
    1_234_567,
    10**9,
    4_560_000_000,
    10**12,
    9 * 10**18,
]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (1_024, "1.02 kB"),
        (999_999, "1 MB"),
        (1_234_567, "1.23 MB"),
        (5 * 1024**4, "5.5 TB"),
        (12.5e18, "12.5 EB"),
        (5_000e18, "5000 EB"),
    ],
)
def test_a_size_has_three_digits_in_decimal_units(size, text):
    """1 kB is 1,000 bytes, and a size in the largest fitting unit has three digits."""
    assert size_text(size) == text


def test_no_text_of_the_package_has_a_binary_unit():
    """Nothing that is shown, in Python or in the browser, has KiB, MiB or KB; comments and docstrings may."""
    shown = re.compile(r"""f?(["'`])(?:(?!\1).)*\b(?:[KMGTPE]iB|KB)\b(?:(?!\1).)*\1""")
    files = [*ROOT.rglob("*.py"), *ROOT.rglob("*.js")]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert not [line for line in lines if shown.search(line) and '"""' not in line]


def test_the_browser_writes_sizes_as_python_does():
    """The explorer and the chart write every size as the frames and cards do."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    program = (
        f"import {{ sizeText }} from {json.dumps(TEXTS.as_uri())};\nconsole.log(JSON.stringify({SIZES}.map(sizeText)))"
    )
    done = subprocess.run(
        [node, "--input-type=module", "-e", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == list(map(size_text, SIZES))
