"""How a session executes the plans about jobs."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import QueryError
from s3conn_magic.language import plans
from s3conn_magic.results.cards import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.jobs.registry import Jobs
    from s3conn_magic.listing import Progress

    _Report = Callable[[Progress], None] | None


def about_jobs(jobs: Jobs, plan: plans.JobPlan, *, report: _Report, note: Callable[[str], None]) -> Any:
    """The result of a plan: a frame, or a message."""
    if isinstance(plan, plans.CreateJob) and plan.note:
        note(plan.note)
    return _result(plan, jobs, report)


@singledispatch
def _result(plan: plans.JobPlan, jobs: Jobs, report: _Report) -> Any:
    raise NotImplementedError(type(plan).__name__, jobs, report)


@_result.register(plans.CreateJob)
def _(plan: plans.CreateJob, jobs: Jobs, report: _Report) -> Message:
    from s3conn_magic.results.queries_and_jobs import outcome_message

    try:
        outcome = jobs.create(plan, report)
    except QueryError as error:
        if error.offset is not None and plan.locate is not None:
            error.at(plan.locate(error.offset))
        raise
    return outcome_message(jobs.get(plan.name), outcome, created=True)


@_result.register(plans.RunJob)
def _(plan: plans.RunJob, jobs: Jobs, report: _Report) -> Message:
    from s3conn_magic.results.queries_and_jobs import outcome_message

    outcome = jobs.run(plan.name, report)
    return outcome_message(jobs.get(plan.name), outcome, created=False)


@_result.register(plans.DropJob)
def _(plan: plans.DropJob, jobs: Jobs, report: _Report) -> Message:
    del report
    job = jobs.drop(plan.name)
    kept = f"the table {job.plan.table}" if job.plan.kind == "COPY" else "what it wrote"
    return Message(f"The job {job.name} was dropped; {kept} stays.")


@_result.register(plans.ShowJobs)
def _(plan: plans.ShowJobs, jobs: Jobs, report: _Report) -> Any:
    from s3conn_magic.results.queries_and_jobs import jobs_frame

    del report
    return jobs_frame(jobs, plan.like)


@_result.register(plans.ShowJobErrors)
def _(plan: plans.ShowJobErrors, jobs: Jobs, report: _Report) -> Any:
    from s3conn_magic.results.queries_and_jobs import errors_frame

    del report
    return errors_frame(jobs.get(plan.name))
