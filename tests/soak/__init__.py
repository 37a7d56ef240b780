"""`make soak`: many actions by every way in, while workers, machines and the database are broken without end."""
