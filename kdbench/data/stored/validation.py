"""What a declaration says about a data set, compared with its images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.errors import DamagedData

COPY = "get the source again, it is not complete or not this data set"
OTHER = "some image, label or class name is not the published one; use another source"


def check_classes(
    where: object, labels: Mapping[str, Sequence[str]], declared: Mapping[str, Any]
) -> list[str]:
    """Compare every split's pictures with the declaration, class by class.

    Args:
        where: the source, for errors.
        labels: by split, the class name of every picture.
        declared: the declaration: `name`, `classes`, `splits` (images in each, the same number of
            every class) and, where they are known, `class_names`.

    Returns:
        The class names in alphabetical order: a label is a position in them.

    Raises:
        DamagedData: a class that is unknown, missing, too small or too large in some split.
    """
    counts = {split: Counter(labels.get(split, ())) for split in declared["splits"]}
    classes = sorted(declared.get("class_names") or set().union(*counts.values()))
    for split, counted in counts.items():
        for name in sorted(counted.keys() - set(classes)):
            strange = f"{counted[name]} images of an unknown class"
            known = f"the {len(classes)} classes of {declared['name']}"
            raise DamagedData(f"{where}, {split}/{name}", strange, known, COPY)
    if len(classes) != declared["classes"]:
        many = f"{len(classes)} classes{_rare(counts)}"
        raise DamagedData(where, many, f"{declared['classes']}", COPY)
    for split, total in declared["splits"].items():
        each = total // declared["classes"]
        for name in classes:
            if counts[split][name] != each:
                number = f"{counts[split][name]} images"
                raise DamagedData(f"{where}, {split}/{name}", number, f"{each}", COPY)
    return classes


def _rare(counts: Mapping[str, Counter[str]]) -> str:
    """Names the classes that only some splits have, if any: one of them is likely the mistake."""
    everywhere = set.intersection(*map(set, counts.values()))
    rare = sorted(set().union(*counts.values()) - everywhere)
    return f" ({', '.join(rare[:3])} not in every split)" if rare else ""


def check_result(result: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    """Compare a prepared data set with the numbers of its declaration.

    Args:
        result: `name`, `fingerprint`, and `mean` and `std` of the training images' channels.
        declared: the same where they are known; `tolerance` of mean and deviation, by default
            half a unit of the last digit that they are given with.

    Raises:
        DamagedData: it is another fingerprint, or a mean or deviation is farther off.
    """
    name, known = result["name"], declared.get("fingerprint")
    for key, called in (("mean", "means"), ("std", "standard deviations")):
        if not declared.get(key):
            continue
        allowed = declared.get("tolerance") or 0.5 * 10.0 ** -_digits(declared[key])
        gaps = [abs(a - b) for a, b in zip(result[key], declared[key], strict=True)]
        if max(gaps) > allowed * (1 + 1e-9):
            measured = " ".join(f"{value:.6f}" for value in result[key])
            expected = f"{' '.join(map(str, declared[key]))} (to {allowed:g})"
            raise DamagedData(f"{name}, channel {called} of train", measured, expected, OTHER)
    if known and result["fingerprint"] != known:
        raise DamagedData(name, f"fingerprint {result['fingerprint']}", known, OTHER)


def _digits(values: Sequence[float]) -> int:
    """Decimals of the value that has most; a zero at the end is lost in a number."""
    return max(len(repr(value).partition(".")[2]) for value in values)
