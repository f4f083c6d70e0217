"""Run the command line with `python -m s3conn_magic`."""

from __future__ import annotations

import sys

from s3conn_magic.cli import main

if __name__ == "__main__":
    sys.exit(main())
