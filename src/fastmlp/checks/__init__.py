"""Every check of what users pass."""
