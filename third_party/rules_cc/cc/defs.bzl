"""What Bazel 4 asks of rules_cc, by its own native rules (Debian's package is too new for it)."""

cc_library = native.cc_library
cc_binary = native.cc_binary
cc_test = native.cc_test
cc_import = native.cc_import
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite

def cc_flags_supplier(**kwargs):
    """Asked for by Bazel's own toolchain files; nothing here uses it."""

def compiler_flag(**kwargs):
    """Asked for by Bazel's own toolchain files; nothing here uses it."""
