# SPDX-License-Identifier: Apache-2.0
# Toolchain of the preset aarch64: Debian's cross compiler, the libraries that `tools/setup aarch64` unpacks, and
# qemu-user to run what was built. Nothing of it is installed into the machine's own directories of libraries.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;/usr/aarch64-linux-gnu")

get_filename_component(sluice_aarch64 "${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-packages" ABSOLUTE)
set(sluice_aarch64_libraries "${sluice_aarch64}/usr/lib/aarch64-linux-gnu")
# Where a library's headers differ from one architecture to the other.
set(CMAKE_CXX_STANDARD_INCLUDE_DIRECTORIES "${sluice_aarch64}/usr/include/aarch64-linux-gnu")
set(CMAKE_FIND_ROOT_PATH "${sluice_aarch64}" /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
foreach(kind LIBRARY INCLUDE PACKAGE)
  set(CMAKE_FIND_ROOT_PATH_MODE_${kind} ONLY)
endforeach()
set(ENV{PKG_CONFIG_LIBDIR} "${sluice_aarch64_libraries}/pkgconfig:${sluice_aarch64}/usr/share/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${sluice_aarch64}")
# For the linker, which looks for what libraries need, and for the programs in qemu-user, also for what their libraries
# need: a path of the old kind.
set(CMAKE_EXE_LINKER_FLAGS_INIT
  "-Wl,--disable-new-dtags,-rpath,${sluice_aarch64_libraries}:${sluice_aarch64}/lib/aarch64-linux-gnu")
