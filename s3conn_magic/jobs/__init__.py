"""Jobs that DuckDB runs: COPY FROM S3, INSERT INTO S3, INSERT, MERGE and materialized views."""
