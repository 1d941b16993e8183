"""Modules that the fork server imports once, so that each worker finds them loaded."""
