# SPDX-License-Identifier: Apache-2.0
"""A library, and its twin in which bugs can be planted (base/canary.h)."""

def _twin_of(library):
    # A label without a colon is named after its folder.
    name = library if ":" in library else library + ":" + library.split("/")[-1]
    return name + "_with_canaries"

def cc_library_with_twin(name, deps = [], twins = [], **kwargs):
    """Makes `name`, and for the simulator `name`_with_canaries.

    Args:
      name: of the library that the product is built of.
      deps: of both.
      twins: dependencies that have twins themselves; each library gets its own kind.
      **kwargs: of both.
    """
    native.cc_library(name = name, deps = deps + twins, **kwargs)
    native.cc_library(
        name = name + "_with_canaries",
        testonly = True,
        defines = ["DATUM_CANARIES"],
        deps = deps + [_twin_of(library) for library in twins],
        **kwargs
    )
