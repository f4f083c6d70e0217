"""The server's own process: `python -m s3conn_magic.sandbox`. It ends when its standard input does."""

from __future__ import annotations

from s3conn_magic.sandbox.serve import main

if __name__ == "__main__":
    main()
