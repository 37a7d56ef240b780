"""What the provider says of people: their names, addresses and groups."""

from __future__ import annotations

from typing import Any

from oauth2_provider.oauth2_validators import OAuth2Validator


class Validator(OAuth2Validator):  # type: ignore[misc]
    oidc_claim_scope = None

    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        user = request.user
        groups = list(user.groups.values_list("name", flat=True))
        return {"preferred_username": user.username, "email": user.email, "groups": groups}
