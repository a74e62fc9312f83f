// SPDX-License-Identifier: Apache-2.0
// `sluice new`: makes a project that builds and passes its test.

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <vector>

#include <sluice/error.hpp>

#include "commands.hpp"
#include "new/project.hpp"

namespace sluice::command {
namespace {

void write_files(const std::filesystem::path& directory, const std::vector<ProjectFile>& files) {
  for (const ProjectFile& file : files) {
    const std::filesystem::path path = directory / file.path;
    std::filesystem::create_directories(path.parent_path());
    errno = 0;
    std::ofstream stream{path, std::ios::binary};
    stream << file.text;
    stream.close();
    if (!stream) throw Error{{"write", path.string(), errno_text(), "see that there is room"}};
  }
}

void make_project(const std::string& name) {
  const std::string fault = fault_of_name(name);
  if (!fault.empty()) throw Error{{"make the project", "'" + name + "'", fault, "give it another name"}};
  // Either it is made here or it is not ours.
  if (::mkdir(name.c_str(), 0777) != 0) {
    const std::string advice =
        errno == EEXIST ? "give it another name, or go to another directory" : "go to a directory of yours";
    throw Error{{"make the directory", "'" + name + "'", errno_text(), advice}};
  }
  try {
    write_files(name, project_files(name, SLUICE_VERSION));
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove_all(name, ignored);  // Half a project is none.
    throw;
  }
  std::string text = "made " + name + "; now:\n";
  text.append("  cd ").append(name).append(
      " && cmake -B build && cmake --build build && ctest --test-dir build\n");
  text.append("  build/").append(name).append(" --chaos \"kill=20/s\"\n");
  print(text);
}

}  // namespace

void add_new(CLI::App& program) {
  CLI::App* command = program.add_subcommand("new", "Make a project that builds and passes its test");
  const auto name = std::make_shared<std::string>();
  command->add_option("name", *name, "Of the project, its directory and its pipeline")
      ->type_name("NAME")
      ->required();
  end_help(*command, "It makes the directory NAME with a CMakeLists.txt, a pipeline, a test and a README.",
           {"sluice new words", "cd words && cmake -B build && cmake --build build",
            "ctest --test-dir build && build/words --chaos \"kill=20/s\""});
  command->callback([name] { make_project(*name); });
}

}  // namespace sluice::command
