"""How an accepted action is carried out: queue, lease, steps, undo, and the action's end."""
