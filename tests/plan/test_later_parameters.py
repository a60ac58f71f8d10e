"""Parameters of a method or search that came after records were made."""


def test_a_later_parameter_at_its_default_is_in_no_run(planned):
    """So digests stay; another value is a run of its own, and of the searches that read it."""
    settings = {"exhibits": ["dfa/ablation"], "datasets": ["cifar100"]}
    plain = planned(**settings)
    stated = planned(**settings, searches={"dfa": {"held_out_at_rest": True}})
    changed = planned(**settings, searches={"dfa": {"held_out_at_rest": False}})

    assert plain.runs.keys() == stated.runs.keys()
    searches = [run for run in plain.runs.values() if run.phase == "search"]
    assert searches and all("held_out_at_rest" not in run.search.parameters for run in searches)
    new = [run for key, run in changed.runs.items() if key not in plain.runs]
    assert {run.phase for run in new} >= {"search", "student"}
    first = next(run for run in new if run.phase == "search")
    assert first.search.parameters["held_out_at_rest"] is False
