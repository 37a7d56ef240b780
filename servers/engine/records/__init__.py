"""What the engine writes: changes of rows, events, progress, secrets; in short transactions."""
