"""Data sets: from any source to prepared files, and from those to batches.

    stored <- ingest <- sets
    stored <- loaders

`stored` reads and writes prepared data in its two forms, pixels and encoded images. `ingest` brings
sources there: downloads, archives, folders, pickles, and the one entry `ingest.prepare`. `sets` has
one file and one declaration per data set; `ingest` calls it by the name that a declaration gives,
as it calls a plug-in, and imports none of it. `loaders` makes batches of what is stored and knows
nothing of sources.
"""
