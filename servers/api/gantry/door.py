"""What all addresses of Gantry's own have in common: tokens and refusals are Nova's, and there is one version."""

from __future__ import annotations

from servers.api.compute.form import NovaFormView


class GantryView(NovaFormView):
    """An address behind `/gantry/v1`."""

    service = "gantry"


class NothingHere(GantryView):
    """Any other address; it asks for a token all the same."""
