"""Where what plug-ins imported before the package was laid out anew lies now."""

import re

# Modules; in brackets, what else changed its name.
MODULES = {
    "kdbench.assemble": "kdbench.runs.assemble",
    "kdbench.check": "kdbench.runs.check",
    "kdbench.data.archive": "kdbench.data.ingest.archive",
    "kdbench.data.augment": "kdbench.data.loaders.augment",
    "kdbench.data.batch": "kdbench.data.loaders.batch",
    "kdbench.data.cifar": "kdbench.data.sets.cifar",
    "kdbench.data.cinic10": "kdbench.data.sets.cinic10",
    "kdbench.data.content": "kdbench.data.stored.fingerprint",
    "kdbench.data.dataset": "kdbench.data.stored.arrays",
    "kdbench.data.decoding": "kdbench.data.loaders.decoding",
    "kdbench.data.devkit": "kdbench.data.sets.imagenet_devkit",
    "kdbench.data.digits": "kdbench.data.sets.digits",
    "kdbench.data.disk": "kdbench.store.disk (whole_folder is in kdbench.store.atomic)",
    "kdbench.data.download": "kdbench.data.ingest.download",
    "kdbench.data.encoded": "kdbench.data.stored.arrow",
    "kdbench.data.facts": "kdbench.data.stored.validation",
    "kdbench.data.imagenet": "kdbench.data.sets.imagenet",
    "kdbench.data.images": "kdbench.data.ingest.decode",
    "kdbench.data.layouts": "kdbench.data.ingest.layouts",
    "kdbench.data.listing": "kdbench.data.ingest.catalogue",
    "kdbench.data.pickles": "kdbench.data.ingest.pickles",
    "kdbench.data.pieces": "kdbench.data.ingest.image_files",
    "kdbench.data.preparation": "kdbench.data.ingest.small_images",
    "kdbench.data.resident": "kdbench.data.loaders.in_memory (Resident is InMemoryLoader)",
    "kdbench.data.resized": "kdbench.data.loaders.random_resized_crop",
    "kdbench.data.shards": "kdbench.data.stored.shards",
    "kdbench.data.sources": "kdbench.data.ingest.prepare",
    "kdbench.data.splits": "kdbench.data.loaders.splits",
    "kdbench.data.stored": "kdbench.data.stored.open",
    "kdbench.data.streaming": "kdbench.data.loaders.streaming (Streaming is StreamingLoader)",
    "kdbench.data.tinyimagenet": "kdbench.data.sets.tinyimagenet",
    "kdbench.data.tree": "kdbench.data.ingest.tree",
    "kdbench.distill.together": "kdbench.distill.joined (Together is JoinedLosses)",
    "kdbench.distill.warmup": "kdbench.distill.schedules",
    "kdbench.distill.wide": "kdbench.distill.full_precision (in_float32 is full_precision)",
    "kdbench.engine.artifacts": "kdbench.store.artifacts",
    "kdbench.engine.disk": "kdbench.store.disk (one_line is plain_errors)",
    "kdbench.engine.moment": "kdbench.engine.position (Moment is TrainingPosition)",
    "kdbench.engine.progress": "kdbench.engine.train_state (Progress is TrainState)",
    "kdbench.export": "kdbench.runs.export (load is kdbench.load, too)",
    "kdbench.heavy": "kdbench.store.tracked (bring_back is restore_artifacts)",
    "kdbench.models.carving": "kdbench.models.pruning.slimming",
    "kdbench.models.densenet": "kdbench.models.families.densenet",
    "kdbench.models.found": "kdbench.models.pruning.build (build_found is build_pruned)",
    "kdbench.models.found_densenet": "kdbench.models.pruning.densenet",
    "kdbench.models.found_resnet": "kdbench.models.pruning.resnet",
    "kdbench.models.found_vgg": "kdbench.models.pruning.vgg",
    "kdbench.models.found_wide_resnet": "kdbench.models.pruning.wide_resnet",
    "kdbench.models.gates": "kdbench.models.pruning.gates",
    "kdbench.models.googlenet": "kdbench.models.families.googlenet",
    "kdbench.models.layout": "kdbench.models.pruning.channel_layout",
    "kdbench.models.mobilenet_v1": "kdbench.models.families.mobilenet_v1",
    "kdbench.models.mobilenet_v2": "kdbench.models.families.mobilenet_v2",
    "kdbench.models.pyramidnet": "kdbench.models.families.pyramidnet",
    "kdbench.models.resnet": "kdbench.models.families.resnet",
    "kdbench.models.resnet_cifar": "kdbench.models.families.resnet_cifar",
    "kdbench.models.shufflenet_v1": "kdbench.models.families.shufflenet_v1",
    "kdbench.models.shufflenet_v2": "kdbench.models.families.shufflenet_v2",
    "kdbench.models.structure": "kdbench.models.pruning.structure",
    "kdbench.models.torchvision_mobilenet_v2": "kdbench.models.families.torchvision_mobilenet_v2",
    "kdbench.models.torchvision_resnet": "kdbench.models.families.torchvision_resnet",
    "kdbench.models.vgg": "kdbench.models.families.vgg",
    "kdbench.models.vit": "kdbench.models.families.vit",
    "kdbench.models.wide_resnet": "kdbench.models.families.wide_resnet",
    "kdbench.phases": "kdbench.runs",
    "kdbench.plan.asks": "kdbench.exhibits.requests",
    "kdbench.plan.claims": "kdbench.exhibits.claims",
    "kdbench.plan.exhibits": "kdbench.exhibits.tables",
    "kdbench.plan.fingerprint": "kdbench.store.fingerprint",
    "kdbench.plan.paths": "kdbench.store.paths",
    "kdbench.plan.protocols": "kdbench.exhibits.protocols",
    "kdbench.plan.published": "kdbench.exhibits.published",
    "kdbench.plan.recipe": "kdbench.exhibits.recipe",
    "kdbench.plan.record": "kdbench.store.record",
    "kdbench.plan.spec": "kdbench.store.spec",
    "kdbench.run": "kdbench.runs.execute",
    "kdbench.search.agreement": "kdbench.search.divergence",
    "kdbench.search.closing": "kdbench.search.gate_optimiser (ClosingGates is GateOptimiser)",
    "kdbench.search.process": "kdbench.search.process_log (Process is ProcessLog)",
    "kdbench.search.remainder": "kdbench.search.pruning_summary",
    "kdbench.search.task": "kdbench.search.divergence",
}
# Names in modules that are where they were.
NAMES = {
    "kdbench.distill.loss.FirstStage": "kdbench.distill.schedules.FirstPart",
    "kdbench.distill.scheme.whole": "kdbench.store.atomic.whole_file",
    "kdbench.models.segments.Activated": "kdbench.models.segments.ActivatedStage",
    "kdbench.models.segments.Bare": "kdbench.models.segments.LinearStage",
    "kdbench.models.segments.PreActivated": "kdbench.models.segments.PreActivatedStage",
    "kdbench.search.searcher.Search": "kdbench.search.searcher.Searcher",
    "kdbench.search.searcher.Terms": "kdbench.search.problem.Terms",
}


def advice(error: BaseException) -> str:
    """Where the thing lies now whose import failed; "" for other errors and other modules.

    Args:
        error: what an import raised. `import kdbench.run`, `from kdbench import run` and
            `from kdbench.distill.loss import FirstStage` fail in different ways.
    """
    if not isinstance(error, ImportError):
        return ""
    name = error.name or ""
    if attribute := re.match(r"cannot import name '(\w+)'", str(error)):
        place = (MODULES | NAMES).get(f"{name}.{attribute[1]}") or MODULES.get(name)
    else:
        place = MODULES.get(name)
    return f"it is now {place}" if place else ""
