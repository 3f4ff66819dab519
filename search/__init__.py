"""Hopping graphs from energy landscapes: every site, every pass, and what certifies that none is missing."""
