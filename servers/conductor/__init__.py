"""The way in (submit) and the way through (lease, run): how accepted work is carried out."""
