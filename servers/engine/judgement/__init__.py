"""Actions that came to no end by themselves: the evidence, and what a person decides of them."""
