"""From any source to prepared data: download, read without trust, check, write."""
