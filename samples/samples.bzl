"""Every sample program is a test: it has the findings that stand in its comments, and no other."""

def sample_test(source):
    """Makes the test of one sample. Its name is the path without the ending.

    Args:
      source: the sample's source file.
    """
    folder = source.rpartition("/")[0]
    native.sh_test(
        name = source.rpartition(".")[0],
        size = "medium",
        timeout = "short",
        srcs = ["//tests:run_sample.py"],
        args = [
            "--ipctrace=$(rootpath //:ipctrace)",
            "$(rootpath %s)" % source,
        ],
        data = native.glob([
            folder + "/*.h",
            "rules/*.h",  # shared by several rules
            folder + "/*.protocol",
        ], allow_empty = True) + [
            source,
            "//:ipctrace",
            "//:libipctrace.so",
            "//tests:helpers",
        ],
    )

def sample_tests(files):
    """Makes the tests of all samples, and a suite for each rule.

    Args:
      files: the samples' sources.
    """
    by_folder = {}
    for file in files:
        sample_test(file)
        folder = file.rpartition("/")[0].rpartition("/")[2]
        by_folder[folder] = by_folder.get(folder, []) + [":" + file.rpartition(".")[0]]
    for folder, tests in by_folder.items():
        native.test_suite(
            name = folder,
            tests = tests,
        )
