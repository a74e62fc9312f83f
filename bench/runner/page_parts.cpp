// SPDX-License-Identifier: Apache-2.0
// The files that every page carries, as bytes of this program.

#include "page.hpp"

// The compiler would take minutes for an array of so many bytes; the assembler takes none.
#define SLUICE_INCLUDE_BYTES(name, path)                                                           \
  __asm__(".section .rodata\n.global " #name "_begin\n.global " #name "_end\n" #name               \
          "_begin:\n.incbin \"" path "\"\n" #name "_end:\n.byte 0\n.previous\n");                  \
  extern "C" const char name##_begin[]; /* NOLINT(bugprone-macro-parentheses): a declared name. */ \
  extern "C" const char name##_end[]    /* NOLINT(bugprone-macro-parentheses): a declared name. */

SLUICE_INCLUDE_BYTES(sluice_page_style, SLUICE_PAGE_CSS);
SLUICE_INCLUDE_BYTES(sluice_page_script, SLUICE_PAGE_JS);
SLUICE_INCLUDE_BYTES(sluice_page_charts, SLUICE_CHART_JS);

namespace sluice::bench {

PageParts page_parts() noexcept {
  return {{sluice_page_style_begin, sluice_page_style_end},
          {sluice_page_script_begin, sluice_page_script_end},
          {sluice_page_charts_begin, sluice_page_charts_end}};
}

}  // namespace sluice::bench
