"""What the engine writes to the database: changes of rows, events, progress, sealed parameters, batches."""
