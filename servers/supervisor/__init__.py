"""What runs by itself: worker processes, periodic tasks, retention."""
