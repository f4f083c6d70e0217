"""The session: runs the statements of a kernel or script."""
