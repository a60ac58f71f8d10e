"""What the doctor says: one finding per line, with what to do about it."""

from dataclasses import dataclass

WRONG, CARE, FINE = "wrong", "care", "fine"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: "wrong" (runs will fail or lie), "care" (they may), "fine".
        subject: what was looked at.
        text: what was seen.
        advice: what to do; empty where nothing has to be done.
    """

    level: str
    subject: str
    text: str
    advice: str = ""

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.level:5}  {self.subject}: {self.text}" + (
            f"; {self.advice}" if self.advice else ""
        )


def wrong(subject: str, text: str, advice: str) -> Finding:
    """Runs will fail, or their numbers will not be what they seem."""
    return Finding(WRONG, subject, text, advice)


def care(subject: str, text: str, advice: str = "") -> Finding:
    """Something may go wrong, or be slower than need be."""
    return Finding(CARE, subject, text, advice)


def fine(subject: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(FINE, subject, text)
