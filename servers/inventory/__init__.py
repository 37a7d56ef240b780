"""Records against reality: what is discovered, what differs, and how it is put right."""
