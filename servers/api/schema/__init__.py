"""What all doors for clients accept and answer, as an OpenAPI document that is derived from them."""
