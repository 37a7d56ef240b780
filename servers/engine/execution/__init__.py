"""How an accepted action is carried out: the queue, the lease of its worker, its steps, its end."""
