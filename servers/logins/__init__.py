"""Logging in, whichever way somebody comes: one check of every password and secret, and what refuses it unchecked."""
