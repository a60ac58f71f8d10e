"""Batches of prepared data, each a pure function of (seed, epoch, step)."""
