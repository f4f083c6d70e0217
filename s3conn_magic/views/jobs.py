"""Frames and messages about jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3conn_magic.language.reference import find_statement
from s3conn_magic.patterns import like
from s3conn_magic.sizes import size_text
from s3conn_magic.views.cards import Message
from s3conn_magic.views.frames import S3Frame, frame_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3conn_magic.jobs.job import Job, Outcome

_TYPES = {"COPY": "COPY FROM S3", "INSERT": "INSERT INTO S3"}


def _columns(statement: str) -> Any:
    reference = find_statement(statement)
    return reference.columns if reference else ()


def jobs_frame(jobs: Iterable[Job], pattern: str | None) -> S3Frame:
    """One row a job, in the order of their making."""
    return frame_of(_columns("SHOW JOBS"), [_row(one) for one in jobs if like(pattern, one.name)])


def _row(job: Job) -> tuple[Any, ...]:
    return (
        job.name,
        _TYPES[job.plan.kind],
        job.connection.name,
        job.plan.location.uri,
        job.plan.table or None,
        job.state,
        job.runs,
        job.objects,
        job.rows,
        job.bytes,
        len({one.location for one in job.failures if not one.resolved}),
        job.last_run,
        job.created_at,
        job.option("COMMENT"),
    )


def errors_frame(job: Job) -> S3Frame:
    """One row a failure, the latest first."""
    rows = [
        (one.run, one.failed_at, one.location, one.etag or None, one.error, one.resolved)
        for one in reversed(job.failures)
    ]
    return frame_of(_columns("SHOW JOB"), rows)


def outcome_message(job: Job, outcome: Outcome, *, created: bool) -> Message:
    """What a run did, in a sentence or two."""
    head = f"The job {job.name} was created. " if created else ""
    lines = [head + (_loaded(job, outcome) if job.plan.kind == "COPY" else _written(outcome))]
    if outcome.failed:
        lines.append(f"{_count(outcome.failed, 'object')} failed, the first: {outcome.first_error}")
        lines.append(f"SHOW JOB {job.name} ERRORS; lists them. RUN JOB {job.name}; tries them again.")
    return Message("\n".join([*lines, *outcome.notes]))


def _loaded(job: Job, outcome: Outcome) -> str:
    if not outcome.objects and outcome.failed:
        return f"Nothing was loaded into {job.plan.table}."
    if not outcome.objects:
        return f"There was nothing new to load into {job.plan.table}."
    replaced = f", of which {outcome.replaced:,} replaced an earlier version" if outcome.replaced else ""
    what = f"{_count(outcome.objects, 'object')}{replaced} ({_count(outcome.rows, 'row')}, {size_text(outcome.bytes)})"
    return f"Loaded {what} into {job.plan.table}."


def _written(outcome: Outcome) -> str:
    if not outcome.objects:
        return "There were no new rows, and nothing was written."
    did = "Replaced" if outcome.replaced else "Wrote"
    return f"{did} {outcome.written} ({_count(outcome.rows, 'row')}, {size_text(outcome.bytes)})."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
