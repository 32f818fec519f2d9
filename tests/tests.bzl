"""Tests of the whole tool, written in Python."""

def tool_test(name, timeout = "moderate", data = []):
    """A test in name.py, which is given the path of the ipctrace binary.

    Args:
      name: the test; its file is name.py.
      timeout: as of Bazel's tests.
      data: what it needs besides the tool, the samples and tests/programs.
    """
    native.sh_test(
        name = name,
        timeout = timeout,
        srcs = [name + ".py"],
        args = ["$(rootpath //:ipctrace)"],
        data = native.glob(["programs/*"]) + data + [
            "//tests:helpers",
            "//:ipctrace",
            "//:libipctrace.so",
            "//samples:lecture_samples",
            "//samples:rule_samples",
        ],
    )
