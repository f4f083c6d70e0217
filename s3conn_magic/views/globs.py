"""The glob of a LIST, looked at before a cell runs."""

from __future__ import annotations

from s3conn_magic.errors import BindError
from s3conn_magic.language import plans


def check_glob(plan: plans.Plan) -> None:
    """Refuse a bad MATCHING with the rest of what binding refuses; the listing layer knows globs."""
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
