"""Tables as people have them: from a file to columns, and from columns to numbers."""
