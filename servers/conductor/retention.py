"""What is forgotten: finished actions and expired tokens past their retention."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from servers import clock
from servers.models import ActionRecord, Token
from servers.states import OPEN_ACTION_STATUSES


def prune() -> tuple[int, int]:
    """Delete what is past its retention; return how many actions and tokens that were."""
    now = clock.now()
    old_actions = ActionRecord.objects.exclude(status__in=OPEN_ACTION_STATUSES).filter(
        finished_at__lt=now - timedelta(days=settings.KEEP_ACTIONS_DAYS)
    )
    old_tokens = Token.objects.filter(expires_at__lt=now - timedelta(days=settings.KEEP_TOKENS_DAYS))
    actions = old_actions.count()
    old_actions.delete()
    return actions, old_tokens.delete()[0]
