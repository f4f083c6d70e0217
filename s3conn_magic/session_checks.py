"""What a session refuses before a cell runs, and says of one that failed part way."""

from __future__ import annotations

from s3conn_magic.errors import BindError
from s3conn_magic.language import plans


def check_glob(plan: plans.Plan) -> None:
    """Refuse a bad MATCHING with the rest of what binding refuses; the listing layer knows globs."""
    plan = plan.plan if isinstance(plan, plans.Explain) else plan
    if not isinstance(plan, plans.ListObjects | plans.ListInventory) or plan.matching is None:
        return
    from s3conn_magic.listing import Glob

    try:
        Glob.compile(plan.matching)
    except ValueError as error:
        reason = str(error)
    else:
        return
    raise BindError(f"MATCHING takes a glob: {reason}", place=plan.matching_place and plan.matching_place())


def rest_of(index: int, count: int) -> str:
    """What became of the statements around one that failed."""
    before = "" if index == 1 else "the one before it is done" if index == 2 else "those before it are done"  # noqa: PLR2004
    after = (
        "" if index == count else "the one after it did not run" if index + 1 == count else "those after it did not run"
    )
    return ", ".join(part for part in (before, after) if part)
