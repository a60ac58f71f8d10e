"""One file and one declaration per data set."""
