"""Reads run folders and draws them: see scripts/plots."""
