"""How fast Model Gate is, and how much it needs, against floors that are measured in the same run: `make bench`."""
