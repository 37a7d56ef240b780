"""How much and how long a client may take of the web server."""

HEADER_BYTES = 64 * 1024
BODY_BYTES = 1024 * 1024
"""What is read of a header, and of a body: nobody needs more. REST takes 114,688 bytes, the console's forms are small."""
HEADER_S = 10.0
REQUEST_S = 30.0
"""How long a header may take, and a whole request, from its first byte to its last."""
LINGER_S = 2.0
LINGER_BYTES = 4 * BODY_BYTES
"""How long, and how much, a client may go on sending what was refused, before its connection is closed."""
KEEP_ALIVE_S = 75
"""How long a quiet connection is kept: longer than clients wait between two questions. They ask each 2 s, and a
question that meets the end of its connection is an error at the client."""
CONNECTIONS = 1000
"""How many connections a process has; who comes then takes the place of the one that has asked nothing for longest."""
BUFFER_BYTES = 256 * 1024 * 1024
"""How much of an answer is kept for a client that reads slowly, on disk above 1 MiB; above that its thread waits."""
RECEIVED_BYTES = 64 * 1024
"""How much is read of a connection at a time."""
BACKLOG = 1024
"""How many connections wait to be taken."""
REFUSED = "gantry.refused"
"""Where a request that the server refuses says with which code, in its WSGI environment."""
