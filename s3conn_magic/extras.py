"""The package's extras, by the packages that they stand for: those are on the index, ours need not be."""

from __future__ import annotations

import shlex
import sys

EXTRAS = {
    "dask": ("distributed",),
    "keyring": ("keyring",),
    "lab": ("jupyterlab", "matplotlib"),
    "obstore": ("obstore",),
    "sandbox": ("moto[s3,server,sts,iam]",),
}
"""The packages of each extra that a statement or command may need, as in pyproject.toml, without versions."""


def pip_install(extra: str, *, here: bool = True) -> str:
    """What installs the packages of an extra.

    Args:
        extra: its name.
        here: whether for this process: in a notebook, where `pip` may be another Python's, it is then the magic.
    """
    command = shlex.join(["pip", "install", *EXTRAS[extra]])
    return f"%{command}" if here and _in_ipython() else command


def _in_ipython() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
