"""The bugs that `plant_bugs.py` plants: each is one that some test of ours must notice."""

from typing import NamedTuple

# The formulas' own tests; and those of the contract, which hold for every declared method.
FORMULAS = "tests/distill --ignore-glob=*/test_contract*"
LEARNS = "test_contract.py"
NUMBERS = "test_contract_numbers.py"
ODD_PAIRS = "test_contract_pairs.py"
EVERY_METHOD = "test_every_method.py"
COMPARISONS = "test_comparisons.py"
OUTCOMES = "test_outcomes.py"
COST_SUMMARY = "test_cost_summary.py"
CELL_JOBS = "test_cell_jobs.py"


class Bug(NamedTuple):
    """What is planted where, and which tests should notice.

    Attributes:
        what: in words.
        place: `module:name`, see `planting.py`.
        right: what stands there; `$x` is any name.
        wrong: what takes its place.
        tests: pytest's arguments; a test file by its name alone, wherever it lies.
        quick: whether it is one of the few that `make test-all` plants.
    """

    what: str
    place: str
    right: str
    wrong: str
    tests: str
    quick: bool = False


BUGS = [
    Bug("SP: sum in place of mean", "sp:sp",
        ".square().mean()", ".square().sum()", FORMULAS),
    Bug("AT: plain activations in place of squares", "at:attention",
        "maps.square().mean(1)", "maps.mean(1)", FORMULAS),
    Bug("RKD: the diagonal counts in the mean distance", "rkd:distances",
        "($x > 0).sum()", "$x.numel()", FORMULAS),
    Bug("OFD: margins of the wrong sign", "ofd:margins",
        "$mean - $spread * $density", "$mean + $spread * $density", FORMULAS),
    Bug("CRD: a memory that forgets to normalise", "distill.crd:Memory.update",
        "$x / $x.norm(dim=1, keepdim=True)", "$x", FORMULAS),
    Bug("CRD: the same negatives at every step", "distill.crd:CRD.draw",
        '"crd", position.step', '"crd", 0', FORMULAS),
    Bug("L2T: weight decay left out of the virtual steps", "l2t_ww",
        "= $slope + decay * $weight", "= $slope", FORMULAS),
    Bug("FT: the paraphraser goes on learning", "ft:FT.forward",
        "torch.no_grad()", "torch.enable_grad()", FORMULAS),
    Bug("DKD: warm-up counted from 0", "dkd:DKD.forward",
        "self.warmup_of, first=1", "self.warmup_of, first=0", FORMULAS),
    Bug("SCKD: opposing terms kept", "sckd:SCKD.combine",
        "agrees($main, $x[: len($main)])", "True", FORMULAS),
    Bug("a teacher whose statistics move", "assemble:Teacher",
        "module.track_running_stats = False", "pass",
        "test_teacher.py test_teacher_modes.py", quick=True),
    Bug("a first part that shares the main optimiser's time", "runs.steps:TwoParts.__call__",
        "position.step - before", "position.step", f"{EVERY_METHOD} -k stages_count"),
    Bug("L2T's optimiser left out of checkpoints", "runs.training:run_training",
        "parts |= loss.optimisers", "pass", f"{EVERY_METHOD} -k l2t_ww"),
    Bug("a student that looks twice at each batch", "runs.steps:TrainStep.__call__",
        "$ours = self.student.read(batch.images)",
        "self.student(batch.images); $ours = self.student.read(batch.images)",
        f"{EVERY_METHOD} -k kd"),
    Bug("OFD: connectors that are not registered", "ofd:OFD.__init__",
        "self.connectors = nn.ModuleList", "self.connectors = list", f"{LEARNS} -k ofd"),
    Bug("SP: a reference to the student", "sp:SP.__init__",
        "self.weight = weight", "self.weight, self.seen = weight, [student]", f"{LEARNS} -k sp"),
    Bug("AT: the teacher becomes a part of the loss", "at:AT.__init__",
        "self.weight = weight", "self.weight, self.teacher = weight, teacher", f"{LEARNS} -k at"),
    Bug("PKT: the student's features are kept", "pkt:PKT.forward",
        "return", "self.last = student; return", f"{LEARNS} -k pkt"),
    Bug("CRD: memories left out of the state", "distill.crd:Memory.__init__",
        "uniform_(-bound, bound)", "uniform_(-bound, bound), persistent=False",
        f"{LEARNS} -k crd"),
    Bug("CRD: the seed left out of the state", "distill.crd:CRD.__init__",
        "torch.randint(2**31, ())", "torch.randint(2**31, ()), persistent=False",
        f"{LEARNS} -k crd"),
    Bug("OFD: counted margins left out of the state", "ofd:Margins.__init__",
        '"count", torch.zeros(channels, dtype=torch.float64)',
        '"count", torch.zeros(channels, dtype=torch.float64), False', f"{LEARNS} -k loaded"),
    Bug("CRD: an order from the global generator", "distill.crd:CRD.draw",
        "torch.randperm(images, generator=generator)", "torch.randperm(images)",
        f"{LEARNS} -k crd"),
    Bug("MLLD: a random temperature", "mlld:MLLD.forward",
        "self.weight * torch.stack",
        "self.weight * (1 + 1e-3 * float(torch.rand(()))) * torch.stack", f"{LEARNS} -k mlld"),
    Bug("connectors that no optimiser has", "runs.training:run_training",
        "[student, loss.trained_with_student()]", "[student]", f"{LEARNS} -k ofd"),
    Bug("L2T: its own weights in the student's optimiser", "runs.training:run_training",
        "loss.trained_with_student()", "loss", f"{LEARNS} -k l2t_ww"),
    Bug("connectors left out of the first part", "runs.training",
        "*trunk, loss", "*trunk, loss.translator", f"{LEARNS} -k ft"),
    Bug("VID: a variance that is not trained", "vid:Prediction.forward",
        "F.softplus(self.scale)", "F.softplus(self.scale.detach())", f"{LEARNS} -k vid"),
    Bug("AT: a norm without a guard", "at:attention",
        "F.normalize(maps.square().mean(1).flatten(1))",
        "(flat := maps.square().mean(1).flatten(1)) / flat.norm(dim=1, keepdim=True)",
        f"{NUMBERS} -k at"),
    Bug("NST: a norm without a guard", "nst:patterns",
        "F.normalize(maps.flatten(2), dim=2)",
        "maps.flatten(2) / maps.flatten(2).norm(dim=2, keepdim=True)", f"{NUMBERS} -k nst"),
    Bug("RKD: a root of 0", "rkd:distances",
        "clamp(min=SMALLEST)", "clamp(min=0)", f"{NUMBERS} -k rkd"),
    Bug("DIST: a correlation of nothing", "dist:correlation",
        "other.norm(dim=1) + EPS", "other.norm(dim=1)", f"{NUMBERS} -k dist"),
    Bug("LONDON: a gain over nothing", "london:gain",
        "spectral(first).clamp(min=EPS)", "(first @ first).trace().sqrt()",
        f"{NUMBERS} -k london"),
    Bug("SP: maps in one memory format only", "sp:similarity",
        "maps.flatten(1)", "maps.view(len(maps), -1)", f"{NUMBERS} -k sp", quick=True),
    Bug("FT: a value that follows the memory format", "ft:ft",
        "(ours - theirs).abs().mean()",
        "(ours - theirs).abs().mean() * student.stride(1) ** 0.01", f"{NUMBERS} -k ft"),
    Bug("pathways weighed in bfloat16", "pathways:Pathways.forward",
        "enabled=False", "enabled=True", f"{NUMBERS} -k equal"),
    Bug("formulas in bfloat16", "full_precision",
        "torch.promote_types($x.dtype, torch.float32)", "$x.dtype", f"{NUMBERS} -k sp"),
    Bug("NST: Python looks at a value", "nst:nst",
        "return own - 2", "return (own.abs() if own.item() < 0 else own) - 2",
        f"{NUMBERS} -k nst"),
    Bug("CC: three images or more", "cc:cc",
        "gaps[:-1] * gaps[1:]", "gaps[:-1] * gaps[1:] * (len(gaps) - 2) / (len(gaps) - 2)",
        f"{NUMBERS} -k cc"),
    Bug("sizes that do not divide", "matching:averaged",
        "F.adaptive_avg_pool2d(maps, size)", "F.avg_pool2d(maps, maps.shape[2] // size[0])",
        f"{ODD_PAIRS} -k at"),
    Bug("a regressor for one size too few", "regressors:resizing",
        "1 + h - th, 1 + w - tw", "h - th, w - tw", f"{ODD_PAIRS} -k ab"),
    Bug("a stage that shallow networks lack", "matching:stage_pairs",
        "min(ours, theirs) - 1", "ours - 1", "test_matching.py", quick=True),
    Bug("ReviewKD: as many levels as the student has", "reviewkd:ReviewKD.__init__",
        "min(len(ours), len(theirs))", "len(ours)", f"{ODD_PAIRS} -k reviewkd"),
    Bug("comparisons: every interval as if it were the only one",
        "judgement.comparisons:in_words",
        "$one.lead(tries)", "$one.lead(tries := 1)", COMPARISONS),
    Bug("comparisons: lower is better", "judgement.comparisons",
        "higher=table.metric.higher_is_better", "higher=False", COMPARISONS),
    Bug("comparisons: at stand-in scales too", "judgement.comparisons:row_comparisons",
        "if graph.scale.stand_in:", "if False:", "tests/report"),
    Bug("comparisons: a student over its budget may win", "judgement.comparisons",
        'unfair=LARGER if any($cell.missed for $cell in $done) else ""', 'unfair=""', COMPARISONS),
    Bug("claims: a failure among many counts like one alone", "outcomes:every_better",
        "one.state(tries=len($all)) is $State.FAILS", "one.state() is $State.FAILS", OUTCOMES,
        quick=True),
    Bug("claims: nearness too", "outcomes:every_near",
        "one.lead(tries=len($all))", "one.lead()", OUTCOMES),
    Bug("runs that do not vary decide", "readings.statistics:welch",
        "if not variance: return gap, None", "if not variance: return gap, 0.0", OUTCOMES),
    Bug("Bonferroni one-sided", "readings.statistics:student_t95",
        "1 - 0.025 / tries", "1 - 0.05 / tries", OUTCOMES),
    Bug("cost: an imported teacher costs nothing", "readings.cost:read_cost",
        "taught = None", "taught = []", COST_SUMMARY),
    Bug("cost: half of the searches pass for all", "readings.cost",
        "return $all if len($all) == len(runs) else None", "return $all", COST_SUMMARY, quick=True),
    Bug("cost: wall time of all students for one", "readings.cost",
        "training / len(trained) + search", "training + search", COST_SUMMARY),
    Bug("cost: the wall clock begins anew in a continued run", "train_state:VALUES",
        '"seconds", "wall", "macs"', '"seconds", "macs"', "tests/engine tests/resume"),
    Bug("a tuning run's teacher chosen on test images", "student_runs:TaughtRun.teacher_epoch",
        'and not self.tuning_holdout', "", "test_tune.py"),
    Bug("least_seeds forgotten", "plan.build:Builder",
        ", least=$x.least", "", "tests/plan"),
    Bug("params.yaml's seeds are no longer the last word", "resolve:Resolver.seeds",
        "return self.params.seeds", "return max(least, self.params.seeds)", "tests/plan"),
    Bug("cells of different searches in one job", "job_groups:SHARED",
        '("data", "teacher", "search")', '("data", "teacher")', CELL_JOBS),
    Bug("cells that were begun are dealt out with the others", "job_groups:JobGroups",
        "and not self._begun($cell)", "", CELL_JOBS, quick=True),
    Bug("cells made on the way have jobs of their own too", "job_groups:JobGroups",
        "and spec.digest not in self._on_the_way", "", CELL_JOBS),
    Bug("a job waits for its last cell only", "snakemake:Workflow.upstream",
        "for one in $cells for name in self._inputs(one)",
        "for one in $cells[-1:] for name in self._inputs(one)", CELL_JOBS),
    Bug("picked channels lose their memory format", "slimming:Pick.forward",
        "if not x.is_contiguous(memory_format=torch.channels_last):", "if True:",
        "test_pruned.py -k scattered", quick=True),
    Bug("pruned students without their revision", "plan.build:Builder",
        '$revisions["carving"] = PRUNING_REVISION', "pass", "tests/plan"),
    Bug("a note of divergence outlives the success", "runs.execute:execute",
        "paths.diverged(spec).unlink(missing_ok=True)", "pass", "test_failures.py"),
    Bug("the report's command forgets what was overridden", "report.index",
        'if $key != "scale"', "if False", "tests/report"),
]  # fmt: skip
