# SPDX-License-Identifier: Apache-2.0
# pkg-config files beside the CMake package: sluice, which is everything as sluice::sluice is; sluice-engine, sluice-wide,
# sluice-connect, and one for each connector that is built. The archives are static, so that what they need is not private:
# a program links with --static and without it. The libraries of others stand there as words for the linker, and not in
# Requires, by which --static would ask for what they were linked with in turn: libhwloc-dev names libudev and does not bring it.

set(sluice_pkg_config_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# sluice_pkg_config(sluice-sqlite DESCRIPTION "..." ARCHIVES sqlite REQUIRES sluice-connect MODULES sqlite3): ARCHIVES without
# their prefix sluice_, each before those that it uses; REQUIRES are files of ours, MODULES what pkg_check_modules() has found.
# CFLAGS and LIBS are words besides.
function(sluice_pkg_config name)
  cmake_parse_arguments(arg "" "DESCRIPTION" "ARCHIVES;REQUIRES;MODULES;CFLAGS;LIBS" ${ARGN})
  list(TRANSFORM arg_ARCHIVES PREPEND "-lsluice_")
  list(JOIN arg_ARCHIVES " " archives)
  list(JOIN arg_REQUIRES ", " requires)
  foreach(module ${arg_MODULES})
    list(APPEND arg_LIBS ${${module}_LDFLAGS})
  endforeach()
  # Where every linker looks.
  list(FILTER arg_LIBS EXCLUDE REGEX "^-L/(usr/)?lib(/[^/]+-linux-gnu)?$")
  list(JOIN arg_CFLAGS " " cflags)
  list(JOIN arg_LIBS " " libs)
  foreach(kind LIB INCLUDE)
    cmake_path(IS_ABSOLUTE CMAKE_INSTALL_${kind}DIR absolute)
    set(${kind}_dir "\${prefix}/${CMAKE_INSTALL_${kind}DIR}")
    if(absolute)
      set(${kind}_dir "${CMAKE_INSTALL_${kind}DIR}")
    endif()
  endforeach()
  string(CONFIGURE [[
libdir=@LIB_dir@
includedir=@INCLUDE_dir@

Name: @name@
Description: @arg_DESCRIPTION@
Version: @PROJECT_VERSION@
Requires: @requires@
Cflags: -I${includedir} @cflags@
Libs: -L${libdir} @archives@ @libs@
]] text @ONLY)
  string(REGEX REPLACE " +\n" "\n" text "${text}")
  string(REPLACE "Requires:\n" "" text "${text}")
  set(made "${CMAKE_CURRENT_BINARY_DIR}/pkgconfig/${name}.pc.in")
  file(CONFIGURE OUTPUT "${made}" CONTENT "${text}" @ONLY)
  # The prefix is known when it is installed: cmake --install --prefix.
  install(CODE "
    file(READ \"${made}\" text)
    get_filename_component(prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
    file(WRITE \"${CMAKE_CURRENT_BINARY_DIR}/pkgconfig/${name}.pc\" \"prefix=\${prefix}\\n\${text}\")")
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/pkgconfig/${name}.pc" DESTINATION ${sluice_pkg_config_dir})
endfunction()

pkg_check_modules(sluice_fmt QUIET fmt)
if(NOT sluice_fmt_FOUND)
  set(sluice_fmt_LDFLAGS -lfmt)
endif()
# What the headers and the linker of a program must be told as our libraries were.
set(engine_cflags "")
set(engine_libs -pthread)
if(SLUICE_ASSERTIONS)
  list(APPEND engine_cflags -DSLUICE_ASSERTIONS=1)
endif()
if(SLUICE_SANITIZE)
  list(APPEND engine_libs -fsanitize=${SLUICE_SANITIZE})
endif()
sluice_pkg_config(sluice-engine DESCRIPTION "Shared-memory pipelines of worker processes, for who embeds an engine"
  ARCHIVES engine ipc pinning base MODULES hwloc libdw libzstd sluice_fmt CFLAGS ${engine_cflags} LIBS ${engine_libs})
set(program_archives "")
if(SLUICE_BUILD_PROGRAM)
  set(program_archives program chaos)
endif()
sluice_pkg_config(sluice DESCRIPTION "Shared-memory pipelines of worker processes that survive kill -9"
  ARCHIVES ${program_archives} REQUIRES sluice-engine)
if(TARGET sluice::connect)
  sluice_pkg_config(sluice-connect DESCRIPTION "Sources and sinks of Sluice that need no other library"
    ARCHIVES connect REQUIRES sluice-engine)
endif()
foreach(component ${sluice_components})
  string(REPLACE "=" ";" component "${component}")
  list(GET component 0 name)
  list(GET component 1 modules)
  string(REPLACE "," ";" modules "${modules}")
  set(below sluice-connect)
  if(name STREQUAL "wide")
    set(below sluice-engine)
  elseif(name STREQUAL "cluster")
    set(below sluice-nats sluice)
  endif()
  sluice_pkg_config(sluice-${name} DESCRIPTION "The part ${name} of Sluice" ARCHIVES ${name}
    REQUIRES ${below} MODULES ${modules})
endforeach()
