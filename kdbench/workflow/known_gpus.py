"""GPUs that an estimate may be asked for where none is at hand: what their makers print."""

from collections.abc import Mapping
from dataclasses import dataclass

from kdbench.errors import BadValue


@dataclass(frozen=True)
class KnownGpu:
    """A GPU's published figures.

    Attributes:
        label: its name.
        watts: its power limit.
        tflops: peak by number format, 1e12 operations a second, without sparsity; formats that it
            lacks are absent.
    """

    label: str
    watts: float
    tflops: Mapping[str, float]

    def peak(self, precision: str) -> float:
        """Of one number format.

        Raises:
            BadValue: it has none.
        """
        if precision not in self.tflops:
            expected = f"{' or '.join(self.tflops)} on {self.label}"
            raise BadValue("precision", precision, expected, "or give --tflops")
        return self.tflops[precision]


def _peaks(float32: float, tf32: float, half: float) -> dict[str, float]:
    return {"float32": float32, "tf32": tf32, "bf16": half, "fp16": half}


# Source: NVIDIA's data sheets; half precision with sums in float32.
GPUS: Mapping[str, KnownGpu] = {
    "t4": KnownGpu("T4", 70, {"float32": 8.1, "fp16": 65}),
    "v100": KnownGpu("V100 SXM2", 300, {"float32": 15.7, "fp16": 125}),
    "a100": KnownGpu("A100 SXM", 400, _peaks(19.5, 156, 312)),
    "rtx4090": KnownGpu("GeForce RTX 4090", 450, _peaks(82.6, 82.6, 165.2)),
    "h100": KnownGpu("H100 SXM", 700, _peaks(66.9, 494.7, 989.4)),
    "h200": KnownGpu("H200 SXM", 700, _peaks(66.9, 494.7, 989.4)),
}
