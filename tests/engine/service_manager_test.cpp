// SPDX-License-Identifier: Apache-2.0
// What a program tells the service manager that started it (systemd, Type=notify), whatever that does.

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::StartsWith;

class TellsForEver {
 public:
  explicit TellsForEver(Worker& worker) { worker.declare_endless(); }
  SourceState operator()(Output<std::uint64_t>& out) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    out.push(0);
    return SourceState::more;
  }
};
struct Hears {
  void operator()(const std::uint64_t&) {}
};

// The socket of a service manager, and what came at it.
class NotifySocket {
 public:
  explicit NotifySocket(std::string name)
      : name_{std::move(name)}, socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)} {
    address_.sun_family = AF_UNIX;
    name_.copy(address_.sun_path, sizeof(address_.sun_path));
    if (name_.front() == '@') address_.sun_path[0] = '\0';
    bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    if (name_.front() != '@') ::unlink(name_.c_str());
    EXPECT_EQ(::bind(socket_.get(), address(), bytes_), 0) << std::strerror(errno);
  }
  ~NotifySocket() {
    if (name_.front() != '@') ::unlink(name_.c_str());
  }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // The next thing that it is told, but for those that say that the program lives; these are counted.
  std::string next() {
    while (true) {
      pollfd entry{socket_.get(), POLLIN, 0};
      if (::poll(&entry, 1, std::chrono::milliseconds{kDeadline}.count()) != 1) return "nothing";
      std::string told = read();
      if (told.empty()) return "nothing";
      if (told != kAlive && told != kFiller) return told;
    }
  }
  void await_alive(int count) {
    EXPECT_TRUE(eventually([&] {
      read();
      return alive_ >= count;
    }));
  }
  // What waits to be read.
  std::size_t waiting() {
    std::size_t all = 0;
    while (!read().empty())
      ++all;
    return all;
  }
  // Nobody can tell it anything until it reads.
  void fill() const {
    const detail::Descriptor sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto send = [&] {
      return ::sendto(sender.get(), kFiller.data(), kFiller.size(), MSG_DONTWAIT, address(), bytes_);
    };
    while (send() > 0) {
    }
    EXPECT_EQ(errno, EAGAIN);
  }

 private:
  static constexpr std::string_view kAlive = "WATCHDOG=1";
  static constexpr std::string_view kFiller = "filler";

  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
  std::string read() {
    char text[512];
    const ssize_t bytes = ::recv(socket_.get(), text, sizeof(text), MSG_DONTWAIT);
    std::string told{text, bytes < 0 ? 0 : static_cast<std::size_t>(bytes)};
    if (told == kAlive) ++alive_;
    return told;
  }

  std::string name_;
  sockaddr_un address_{};
  socklen_t bytes_ = 0;
  detail::Descriptor socket_;
  int alive_ = 0;
};

class TheServiceManager : public WithProcesses {
 protected:
  static std::string file(const std::string& name) {
    return testing::TempDir() + "sluice_" + name + "_" + std::to_string(::getpid());
  }
  // An abstract name, of this process alone.
  static std::string abstract_name(std::size_t bytes) {
    return fmt::format("@{:x>{}}{:020}", "", bytes - 21, ::getpid());
  }
  // A program without an end that is told of this manager.
  pid_t start(const std::string& manager) const {
    const pid_t program = ::fork();
    if (program < 0) throw std::runtime_error{"no process"};  // A signal to -1 is one to everybody.
    if (program != 0) return program;
    ::dup2(::open(said_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDERR_FILENO);
    std::signal(SIGTERM, SIG_DFL);
    ::setenv("NOTIFY_SOCKET", manager.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "20000", 1);
    ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
    Pipeline pipeline{"endless"};
    pipeline.source<TellsForEver>("endless").to<Hears>("hears");
    Engine engine{pipeline, test_settings()};
    ::_exit(sluice::run(engine, {.assignments = {}, .profile = {}, .placement = false, .quiet = true},
                        test_settings()));
  }
  // What it has said by its end, which was a good one.
  std::string said_by(pid_t program) const {
    int status = 0;
    const bool ended = eventually([&] { return ::waitpid(program, &status, WNOHANG) == program; });
    if (!ended) ::kill(program, SIGKILL);
    EXPECT_TRUE(ended && WIFEXITED(status) && WEXITSTATUS(status) == kExitOk);
    std::string said = said_so_far();
    ::unlink(said_.c_str());
    return said;
  }
  std::string said_so_far() const {
    std::ostringstream said;
    said << std::ifstream{said_}.rdbuf();
    return said.str();
  }

  const std::string said_ = file("said");
  static constexpr const char* kDrained =
      "draining; another signal stops at once\ndrained: everything is handled\n";
};

TEST_F(TheServiceManager, IsToldThatAProgramIsAtWorkThatItLivesAndThatItEnds) {
  NotifySocket manager{file("notify")};
  const pid_t program = start(file("notify"));
  EXPECT_THAT(manager.next(), StartsWith("READY=1\nSTATUS=endless: "));
  manager.await_alive(2);
  ::kill(program, SIGTERM);
  EXPECT_THAT(manager.next(), StartsWith("STOPPING=1\n"));
  EXPECT_EQ(said_by(program), kDrained);
}

TEST_F(TheServiceManager, IsToldOfTheEndWhenItReadsAgain) {
  NotifySocket manager{file("notify")};
  const pid_t program = start(file("notify"));
  EXPECT_THAT(manager.next(), StartsWith("READY=1\n"));
  manager.fill();
  ::kill(program, SIGTERM);
  EXPECT_THAT(manager.next(), StartsWith("STOPPING=1\n"));
  EXPECT_EQ(said_by(program), kDrained);
}

TEST_F(TheServiceManager, MayHaveAnAbstractNameOfAnyLengthThatThereIs) {
  for (const std::size_t bytes : {32U, 107U, 108U}) {
    NotifySocket manager{abstract_name(bytes)};
    const pid_t program = start(abstract_name(bytes));
    EXPECT_THAT(manager.next(), StartsWith("READY=1\n"));
    ::kill(program, SIGTERM);
    EXPECT_EQ(said_by(program), kDrained);
  }
}

TEST_F(TheServiceManager, IsNobodyWhoseNameIsTheBeginningOfALongerOne) {
  NotifySocket other{abstract_name(107)};
  const std::string longer = abstract_name(107) + "yy";
  const pid_t program = start(longer);
  EXPECT_TRUE(eventually([this] { return !said_so_far().empty(); }));
  ::kill(program, SIGTERM);
  EXPECT_EQ(said_by(program),
            "remark: the service manager at " + longer + " cannot be told: File name too long\n" + kDrained);
  EXPECT_EQ(other.waiting(), 0U);
}

TEST_F(TheServiceManager, ThatIsNotThereIsARemark) {
  const pid_t program = start("/nowhere/notify.sock");
  EXPECT_TRUE(eventually([this] { return !said_so_far().empty(); }));
  ::kill(program, SIGTERM);
  EXPECT_EQ(said_by(program),
            std::string{"remark: the service manager at /nowhere/notify.sock cannot be told: No such file or "
                        "directory\n"} +
                kDrained);
}

}  // namespace
}  // namespace sluice::test
