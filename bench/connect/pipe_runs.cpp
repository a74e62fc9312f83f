// SPDX-License-Identifier: Apache-2.0
// Pipes: pipe_source beside a program that reads the same lines from a FIFO by std::getline.
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <sluice/connect/pipe_source.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "child_run.hpp"
#include "guarded_directory.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

// A FIFO, and a process that writes all lines into it once somebody reads.
class PipeRun {
 public:
  void make() const {
    if (::mkfifo(path().c_str(), 0600) != 0 && errno != EEXIST)
      throw Error{{"make", path(), errno_text(), ""}};
  }
  void read_by_source(std::uint64_t rows) const {
    PipeInput input{path()};
    Pipeline pipeline{"bench"};
    pipe_source(pipeline, "in", input).to<CountRead<Frame>>("count", rows);
    Settings settings;
    settings.set("observe.socket", "off");
    Engine engine{pipeline, settings};
    engine.start();
    const pid_t writer = start_writer(rows);
    while (told().events.load() != rows)
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    engine.drain();
    ::waitpid(writer, nullptr, 0);
  }
  void read_by_getline(std::uint64_t rows) const {
    const pid_t writer = start_writer(rows);
    std::ifstream file{path()};
    for (std::string line; std::getline(file, line);)
      note_read(line, rows);
    ::waitpid(writer, nullptr, 0);
  }

 private:
  std::string path() const { return directory_.path() / "lines"; }
  pid_t start_writer(std::uint64_t rows) const {
    const pid_t writer = ::fork();
    if (writer != 0) return writer;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    {
      std::ofstream file{path()};
      for (std::uint64_t number = 0; number < rows; ++number)
        file << stored_line(number) << '\n';
    }
    ::_exit(0);
  }

  GuardedDirectory directory_{"pipe"};
};

}  // namespace

std::vector<SourceRuns> pipe_runs(bool quick) {
  const auto run = std::make_shared<PipeRun>();
  const std::uint64_t rows = quick ? 200'000 : 1'000'000;
  return {{"pipe_source", "lines", rows, [run] { run->make(); }, [run, rows] { run->read_by_source(rows); },
           [run, rows] { run->read_by_getline(rows); }}};
}

}  // namespace sluice::bench
