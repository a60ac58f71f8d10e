"""Lists of Tiny-ImageNet that are not what they should be; see `attacks.py`."""

LISTED = "val/val_annotations.txt"


def _annotated(family, folder, change):
    source = family.write_extracted(folder, family.content())
    path = source / LISTED
    path.write_text(change(path.read_text().splitlines(keepends=True)))
    return source, (path,)


def annotation_of_a_missing_file(family, folder):
    """A line for a picture that is not there."""
    source, words = _annotated(family, folder, lambda ls: "".join([*ls, "val_9.JPEG\tn01\t0\n"]))
    return source, (*words, "'val_9.JPEG', which is absent")


def annotation_of_an_unknown_class(family, folder):
    """A line with a class that the data set does not have."""
    source, words = _annotated(family, folder, lambda ls: "".join(ls).replace("\tn03\t", "\tn33\t"))
    return source, (*words, "line ", "class 'n33'", "wnids.txt")


def annotation_missing(family, folder):
    """A picture without a line."""
    source, _ = _annotated(family, folder, lambda ls: "".join(ls[1:]))
    return source, ("val/images/", "no class for it", LISTED)


def annotation_twice(family, folder):
    """Two lines for one picture."""
    source, words = _annotated(family, folder, lambda ls: "".join([*ls, ls[0]]))
    return source, (*words, "line 9", "again")


def annotation_without_class(family, folder):
    """A line that is cut."""
    source, words = _annotated(family, folder, lambda ls: "".join(ls[:-1]) + ls[-1].split("\t")[0])
    return source, (*words, "line 8", "2 or more fields between tabs")


def annotations_that_are_no_text(family, folder):
    """Bytes of something else."""
    return family.tampered(folder, **{LISTED: b"\xff\xfe"}), (LISTED, "no text")


def no_annotations(family, folder):
    """The list is missing."""
    return family.tampered(folder, **{LISTED: None}), (str(folder), f"no file {LISTED!r}")
