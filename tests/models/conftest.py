"""Puts this folder on the path of imports, for the modules that tests in its folders share."""
