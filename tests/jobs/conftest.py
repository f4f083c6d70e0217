"""The fixtures of the tests of jobs."""

from lakes import lake, moto_lake, nursery, rclone_lake  # noqa: F401 - pytest finds them here
