"""Whether small files on this machine have the same bytes; of many of them, found out in several processes at once."""
