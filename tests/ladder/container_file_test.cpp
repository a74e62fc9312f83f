// SPDX-License-Identifier: Apache-2.0
// deploy/docker/Dockerfile: its second image has no compiler and no library that it does not install.
#include "commands.hpp"

namespace sluice::test {
namespace {

class ContainerFile : public WithCommands {};

TEST_F(ContainerFile, InstallsTheLibrariesOfItsPrograms) {
  if (run("objdump --version").status != 0) GTEST_SKIP() << "objdump is not installed";
  write("libraries", "for program in '" PROGRAMS "'/market '" PROGRAMS
                     "'/sluice; do\n"
                     "  [ -x \"$program\" ] || continue\n"
                     "  objdump -p \"$program\" | awk '$1 == \"NEEDED\" {print $2}'\n"
                     "done | sort -u\n");
  // In debian:12-slim, or what one of the others depends on. Debian names packages of libraries by their sonames.
  const Ran missing = run(
      "sh ./libraries | grep -vE '^(ld-linux|lib(c|m|gcc_s|stdc\\+\\+|z|tinfo)\\.so)' | sed 's/\\.so\\.//' | "
      "while read -r package; do grep -qw -- \"$package\" '" EXAMPLES
      "/../deploy/docker/Dockerfile' || echo \"$package\"; done");
  EXPECT_EQ(missing.out, "");
  EXPECT_GE(std::stoi(run("sh ./libraries | wc -l").out), 8);
}

}  // namespace
}  // namespace sluice::test
