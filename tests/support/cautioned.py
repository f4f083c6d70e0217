"""What is said of bound statements that are accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.connections.probe import regions
from s3conn_magic.language import plans
from s3conn_magic.language.cautions import Goal, of_connection, of_plan

if TYPE_CHECKING:
    from collections.abc import Iterable


def cautions(bound: Iterable[plans.Plan]) -> list[str]:
    """The cautions on plans."""
    return [caution for plan in bound for caution in (*of_plan(plan), *_of_options(plan)) if caution]


def _of_options(plan: plans.Plan) -> Iterable[str]:
    if not isinstance(plan, plans.Create | plans.Alter):
        return ()
    values = {name: str(bound.value) for name, bound in plan.options.items()}
    goal = Goal(values.get("ENDPOINT"), values.get("REGION", "us-east-1"), regions)
    return of_connection(plan.options, goal, plan.options if isinstance(plan, plans.Create) else plan.changed)
