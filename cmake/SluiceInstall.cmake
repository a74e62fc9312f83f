# SPDX-License-Identifier: Apache-2.0
# Installation: find_package(sluice) gives sluice::sluice, which is everything; sluice::engine for who embeds one;
# sluice::program and sluice::chaos for programs; what the engine stands on; sluice::wide; sluice::connect and the connectors.
# pkg-config finds the same. The benchmarks are a component of their own, which is installed when it is asked for:
# cmake --install BUILD --component benchmarks.

include(CMakePackageConfigHelpers)
set(sluice_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/sluice-config.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/sluice-config.cmake INSTALL_DESTINATION ${sluice_config_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/sluice-config-version.cmake
  COMPATIBILITY SameMinorVersion)
# A file of targets includes all that begin with its name and a '-': none may be the beginning of another's.
install(EXPORT sluice FILE sluice-targets.cmake NAMESPACE sluice:: DESTINATION ${sluice_config_dir})
foreach(component ${sluice_components})
  string(REGEX REPLACE "=.*" "" component "${component}")
  install(EXPORT sluice-${component} FILE sluice-${component}-targets.cmake NAMESPACE sluice::
    DESTINATION ${sluice_config_dir})
endforeach()
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sluice-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/sluice-config-version.cmake DESTINATION ${sluice_config_dir})
include(SluicePkgConfig)
