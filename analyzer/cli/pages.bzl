"""Text files compiled into a program."""

def embedded_pages(name, pages):
    """Makes name.cc, which defines kPages: the name and the text of every page.

    Args:
      name: of the target.
      pages: label of the pages.
    """
    native.genrule(
        name = name,
        srcs = [pages],
        outs = [name + ".cc"],
        # The delimiter of the raw strings occurs in no page. Pages are sorted, whatever the order
        # in which they come; a string literal of C++ may be long, but some compilers take 64 KiB.
        cmd = """
        {
          echo '#include "analyzer/cli/pages.h"'
          echo 'namespace ipctrace {'
          echo 'const EmbeddedPage kPages[] = {'
          for page in $$(printf '%s\\n' $(SRCS) | LC_ALL=C sort); do
            echo "{\\"$$(basename $$page .md | tr _ -)\\", R\\"ipctrace_page("
            cat $$page
            echo ')ipctrace_page"},'
          done
          echo '{nullptr, nullptr}};'
          echo '}'
        } > $@
        """,
    )
