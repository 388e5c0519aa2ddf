"""Public functions without a case of their own, and why: what is left to other tests, and what is a step of another.

The first two tables name the file of tests that calls the function, or, after a colon, the function that the tests call
in its place because it hands the work on: ``"test_data: data.load"``.
"""

# They read and write files; the laws of files are others: whole or not at all, and damage is told.
FILES = {
    "archives.mnist": "test_data: data.load", "archives.cifar10": "test_data: data.load",
    "archives.state": "test_data: data.state",
    "checkpoints.load_or_fit": "test_checkpoints", "checkpoints.code": "test_checkpoints",
    "folders.read": "test_folders", "folders.files": "test_folders: folders.read",
    "oscillation_runs.fit": "test_oscillation_runs",
    "pairs.plan": "test_pairs", "pairs.write": "test_pairs", "pairs.read": "test_pairs",
    "resnets.pretrained": "test_resnets",
    "weights.save": "test_weights", "weights.load": "test_weights", "weights.load_about": "test_weights",
    "weights.find": "test_weights",
    "weights.read": "test_weights", "weights.imagenet": "test_weights",
    "trials.run": "test_trials", "zoo.fit": "test_zoo", "zoo.open": "test_zoo",
    **dict.fromkeys(
        (f"store.{name}" for name in (
            "data_root", "cache_root", "atomic", "write_bytes", "write_json", "read_json", "hash_bytes", "hash_file",
            "hash_json", "lock", "require_space", "write_manifest", "read_manifest", "remove_leftovers", "begin_array",
        )), "test_store",
    ),
    **dict.fromkeys(
        (f"shards.{name}" for name in (
            "plan", "path", "begin", "begun", "read", "claim", "write", "load", "glance", "finished",
        )), "test_shards",
    ),
    **dict.fromkeys(
        (f"zoo_runs.{name}" for name in (
            "configuration", "plan", "hand_over", "make",
        )), "test_zoo_runs",
    ),
    **dict.fromkeys((f"zoo_runs.{name}" for name in ("check", "cached", "explained", "working")), "test_zoo: zoo.fit"),
}  # fmt: skip

# They speak to the reader of a chapter, to other processes or of the installation, and keep a state by design.
SESSION = {
    "ledger.entries": "test_report", "ledger.start": "test_report: report.start",
    "ledger.source": "test_report: report.source", "ledger.require_start": "test_report: report.number",
    "ledger.emit": "test_report: report.number", "ledger.show": "test_report: report.figure",
    **dict.fromkeys((f"report.{name}" for name in ("number", "figure", "table", "check", "provenance")), "test_report"),
    "report.frames": "test_frames",
    "recorded.stale": "test_report: report.table", "recorded.figure": "test_report: report.figure",
    **dict.fromkeys((f"published.{name}" for name in ("value", "verdict", "format_value")), "test_report"),
    **dict.fromkeys(
        (f"published.{name}" for name in ("book_root", "is_control", "record", "format_entry", "table")),
        "test_published_values",
    ),
    "provenance.versions": "test_report", "provenance.package_hash": "test_report",
    "provenance.device_name": "test_report: report.start", "provenance.facts": "test_report: report.provenance",
    **dict.fromkeys(
        (f"workers.{name}" for name in ("count", "refuse_a_second_main", "run", "one_thread")), "test_workers"
    ),
}  # fmt: skip

# Steps of another function on values that only that function makes: its case keeps the laws for them, and reaches them.
INSIDE = {
    "assembly.take_apart": "piecewise.trace", "assembly.run": "piecewise.trace",
    "steps.gate": "piecewise.trace", "steps.affine": "piecewise.trace",
    "gates.choose": "affine.maps", "gates.pass_through": "affine.maps", "gates.pull_back": "affine.maps",
    "families.push": "segments.between", "families.repeated": "segments.between",
    "growth.functions": "segments.between",
    "intervals.units": "segments.between", "intervals.windows": "segments.between", "intervals.cut": "segments.between",
    "subdivision.subdivide": "slices.partition", "clipping.split": "slices.partition",
    "clipping.keep": "slices.partition", "cutters.tolerance": "slices.partition",
    "folds.prepare": "categories.tally", "folds.half": "categories.tally", "folds.power": "categories.tally",
}  # fmt: skip
