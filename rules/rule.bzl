"""A rule of ipctrace: one .cc that registers itself, one page, and its sample programs."""

def ipctrace_rule(name):
    """Makes the targets of the rule in `name`.cc.

    name              the rule's code, as a library that is linked whole
    name_pieces_test  fails when its page is missing, or the samples: two programs that have the
                      mistake (bad_*) and one near miss (near_*) in samples/rules/name/

    The sample programs are tests of their own: bazel test //samples:name

    Args:
      name: the rule's id in snake_case.
    """
    native.cc_library(
        name = name,
        srcs = [name + ".cc"],
        visibility = ["//visibility:public"],
        deps = [
            "//analyzer/model:rule",
            "//analyzer/model:story",
            "@system//:absl",
        ] + (["//analyzer/protocol:tracker"] if name.startswith("protocol_") else []),
        alwayslink = 1,
    )
    native.sh_test(
        name = name + "_pieces_test",
        size = "small",
        srcs = ["//tests:rule_pieces_test.py"],
        args = [name],
        data = native.glob([name + ".md"], allow_empty = True) + ["//samples:rule_samples"],
    )

def ipctrace_rules(files):
    """Makes the targets of every rule, and `all` and `pages` over them.

    Args:
      files: the rules' sources.
    """
    names = [file[:-len(".cc")] for file in files]
    for name in names:
        ipctrace_rule(name)

    # What the command links: every rule there is.
    native.cc_library(
        name = "all",
        visibility = ["//visibility:public"],
        deps = [":" + name for name in names],
    )

    # What `ipctrace explain` shows.
    native.filegroup(
        name = "pages",
        srcs = native.glob(["*.md"], allow_empty = True),
        visibility = ["//visibility:public"],
    )
