# SPDX-License-Identifier: Apache-2.0
# Writes a header with the commit that is built, whenever that has changed: figures must name their source.
find_package(Git QUIET)
set(commit "unknown")
if(GIT_EXECUTABLE)
  execute_process(COMMAND ${GIT_EXECUTABLE} describe --always --dirty --abbrev=12 --exclude=*
    WORKING_DIRECTORY "${SOURCE_DIR}" OUTPUT_VARIABLE described ERROR_QUIET RESULT_VARIABLE failed
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT failed)
    set(commit "${described}")
  endif()
endif()
set(text "#pragma once\n#define SLUICE_COMMIT \"${commit}\"\n")
if(EXISTS "${HEADER}")
  file(READ "${HEADER}" old_text)
endif()
if(NOT text STREQUAL old_text)
  file(WRITE "${HEADER}" "${text}")
endif()
