"""`kdbench encoder`: weights of ImageNet that encoders start from."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.console import say

app = typer.Typer(help="Start encoders from torchvision's weights.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Start encoders from torchvision's weights."""


@app.command("import")
def encoder_import(
    file: Annotated[Path, typer.Argument(help="torchvision's weights (.pth or safetensors).")],
    network: Annotated[
        str, typer.Option(help="The network for segmentation, such as pspnet-resnet18.")
    ],
) -> None:
    """Import weights that torchvision trained on ImageNet, for a network's encoder to start from.

    Nothing in the file is run, and nothing is downloaded. Prints the line that params.yaml needs.

    Example: kdbench encoder import resnet18-f37072fd.pth --network pspnet-resnet18
    """
    from kdbench.plan.components import find_components
    from kdbench.plan.params import FILE, load_params
    from kdbench.runs.importing_encoders import import_encoder
    from kdbench.store.paths import Paths

    plugins = load_params(Path(FILE)).plugins if Path(FILE).is_file() else []
    components = find_components(plugins)
    component = components.get("network", network, where="--network")
    encoder = import_encoder(file, component, components, Paths())
    say(f"{file}: the weights of {encoder.network}; {component.label} can start from them")
    say("To use them at the scales lite and paper, put into params.yaml:")
    say(f"encoders: {{{component.name}: {encoder.sha256}}}")
