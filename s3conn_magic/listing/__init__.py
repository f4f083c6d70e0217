"""Pages of a bucket turned into columns."""
