"""What scripts/tables is made of: reading run folders, intervals, pages, pictures."""
