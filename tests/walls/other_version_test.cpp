// SPDX-License-Identifier: Apache-2.0
// A pipeline that another version of Sluice runs, before every command that looks at pipelines or ends them: each names the
// version, none touches the flow.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <utility>

#include "observer/attach_message.hpp"
#include "observer/observer_socket.hpp"
#include "watched.hpp"

namespace sluice::test {
namespace {

using detail::AttachMessage;
using detail::Descriptor;
using testing::AllOf;
using testing::HasSubstr;

// A socket before that of a real pipeline: what it hands out is the real memory, described by another version.
class OtherVersion {
 public:
  OtherVersion(std::string real, const std::string& path, std::size_t version_bytes)
      : real_{std::move(real)},
        version_bytes_{version_bytes},
        listening_{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listening_.get(), 16), 0);
    thread_ = std::thread{[this] { run(); }};
  }
  ~OtherVersion() {
    over_ = true;
    thread_.join();
  }
  OtherVersion(const OtherVersion&) = delete;
  OtherVersion& operator=(const OtherVersion&) = delete;

 private:
  void run() {
    while (!over_) {
      pollfd incoming{listening_.get(), POLLIN, 0};
      if (::poll(&incoming, 1, 10) != 1) continue;
      const Descriptor client{::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      const AttachMessage real =
          detail::receive_attach_message(detail::connect_to_observer_socket(real_, 5s).get());
      const Descriptor other = described_anew(real.description);
      detail::send_attach_message(client.get(), {real.segment.get(), real.huge[0].get(), real.huge[1].get()},
                                  other.get(), real.heard);
    }
  }
  // Behind the text of the version stands the version of the layout: one more.
  Descriptor described_anew(const Descriptor& description) const {
    struct stat found {};
    EXPECT_EQ(::fstat(description.get(), &found), 0);
    std::string bytes(static_cast<std::size_t>(found.st_size), '\0');
    EXPECT_EQ(::pread(description.get(), bytes.data(), bytes.size(), 0), found.st_size);
    bytes[24 + version_bytes_] = static_cast<char>(bytes[24 + version_bytes_] + 1);
    Descriptor file{::memfd_create("other", MFD_CLOEXEC)};
    EXPECT_EQ(::pwrite(file.get(), bytes.data(), bytes.size(), 0), found.st_size);
    return file;
  }

  std::string real_;
  std::size_t version_bytes_;
  Descriptor listening_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

struct CommandSaid {
  int status = -1;
  std::string text;  // Of both outputs.
};

CommandSaid run_command(const std::string& arguments) {
  FILE* pipe = ::popen((SLUICE_PROGRAM " " + arguments + " 2>&1 < /dev/null").c_str(), "r");
  CommandSaid said;
  char bytes[4096];
  for (std::size_t got = 0; (got = std::fread(bytes, 1, sizeof(bytes), pipe)) > 0;)
    said.text.append(bytes, got);
  said.status = WEXITSTATUS(::pclose(pipe));
  return said;
}

class OtherVersions : public WithSocket {};

TEST_F(OtherVersions, AreNamedByEveryCommandAndNothingIsDoneToThem) {
  const Watched run{settings()};
  const std::string version = run.engine.stats().version;
  const fs::path found = directory_ / "sluice" / "other.7.sock";
  fs::create_directories(found.parent_path());
  fs::permissions(found.parent_path(), fs::perms{0700});
  {
    const OtherVersion other{socket_, found.string(), version.size()};
    const std::string word =
        "another version of Sluice runs it, " + version + ": use the `sluice` of that version";
    for (const char* arguments :
         {"stats other", "stats other --json", "stats other --workers", "stats other --watch 1",
          "stats other --measured", "top other", "top other --once", "park other", "drain other"}) {
      const CommandSaid said = run_command(arguments);
      EXPECT_EQ(said.status, 2) << arguments;
      EXPECT_THAT(said.text, AllOf(HasSubstr(word), HasSubstr("sluice: cannot "))) << arguments;
      EXPECT_EQ(std::count(said.text.begin(), said.text.end(), '\n'), 1) << arguments << "\n" << said.text;
    }
    // A list has it, with the reason, beside what can be read.
    for (const char* arguments : {"ps", "ps --json"})
      EXPECT_THAT(run_command(arguments).text, AllOf(HasSubstr("other.7"), HasSubstr(word))) << arguments;
    EXPECT_THAT(run_command("stats").text, HasSubstr("other.7"));
    EXPECT_TRUE(fs::exists(found)) << "it was taken for one that is dead";
  }
  const Stats after = run.engine.stats();
  EXPECT_EQ(after.state, "running");
  EXPECT_EQ(after.masters, 1U);
  EXPECT_EQ(after.stages[0].events_out(), Watched::kItems);
  EXPECT_TRUE(std::ranges::all_of(after.stages[0].workers,
                                  [](const WorkerStats& each) { return each.restarts == 0; }));
}

}  // namespace
}  // namespace sluice::test
