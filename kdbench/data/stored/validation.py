"""What a declaration says about a data set, compared with its images."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from kdbench.errors import DamagedData


class PassedOverFiles(NamedTuple):
    """Picture files of a class that were not read, because their format is not a declared one.

    Attributes:
        text: how many, for errors; empty where there are none.
        advice: what to do about them.
    """

    text: str = ""
    advice: str = ""


PassedOver: TypeAlias = Callable[[str, str], PassedOverFiles]  # of a split and a class
COPY = "get the source again, it is not complete or not this data set"
OTHER = "some image, label or class name is not the published one; use another source"


def check_classes(
    where: object,
    labels: Mapping[str, Sequence[str]],
    declared: Mapping[str, Any],
    passed_over: PassedOver = lambda split, name: PassedOverFiles(),
) -> list[str]:
    """Compare every split's pictures with the declaration, class by class.

    Args:
        where: the source, for errors.
        labels: by split, the class name of every picture.
        declared: the declaration: `name`, `classes`, `splits` (images in each) and, where they are
            known, `class_names` and `each` (fewest and most images of a class, by split).
        passed_over: asked where pictures are missing, which files of a split and a class ("*" for
            any) were not read.

    Returns:
        The class names in alphabetical order: a label is a position in them.

    Raises:
        DamagedData: a class that is unknown, missing, too small or too large in some split, or a
            split of another size.
    """
    counts = {split: Counter(labels.get(split, ())) for split in declared["splits"]}
    classes = sorted(declared.get("class_names") or set().union(*counts.values()))
    for split, counted in counts.items():
        for name in sorted(counted.keys() - set(classes)):
            strange = f"{counted[name]} images of an unknown class"
            known = f"the {len(classes)} classes of {declared['name']}"
            raise DamagedData(f"{where}, {split}/{name}", strange, known, COPY)
    if len(classes) != declared["classes"]:
        files = passed_over(next(iter(counts)), "*")
        many = f"{len(classes)} classes{_rare(counts)}{files.text}"
        raise DamagedData(where, many, f"{declared['classes']}", files.advice or COPY)
    for split, total in declared["splits"].items():
        fewest, most = declared.get("each", {}).get(split, (1, total))
        for name in classes:
            if not fewest <= counts[split][name] <= most:
                files = passed_over(split, name)
                number = f"{counts[split][name]} images{files.text}"
                expected = f"{fewest}" if fewest == most else f"{fewest} to {most}"
                place = f"{where}, {split}/{name}"
                raise DamagedData(place, number, expected, files.advice or COPY)
        if counts[split].total() != total:
            actual, expected = f"{counts[split].total()} images", f"{total}, as declared"
            advice = f"if all are there, write {split} = {counts[split].total()} under [splits]"
            raise DamagedData(f"{where}, {split}", actual, expected, advice)
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


def misleading_numbers(classes: Sequence[str]) -> str:
    """One line where class names look like numbers that are not their labels, else nothing.

    >>> misleading_numbers(["0", "1", "10", "2"])
    'class names look like numbers, but labels follow their alphabet: class "10" is label 2'
    """
    numbers = [re.match(r"\d+", name) for name in classes]
    if not all(numbers):
        return ""
    values = [int(number[0]) for number in numbers if number]
    plain = all(name.isdigit() for name in classes)
    expected = list(range(len(values))) if plain else sorted(values)
    for label, (name, value) in enumerate(zip(classes, values, strict=True)):
        if value != expected[label]:
            start = "class names look like numbers, but labels follow their alphabet: "
            return f'{start}class "{name}" is label {label}'
    return ""
