"""Prepared data: their files, their fingerprint, and how to open them."""
