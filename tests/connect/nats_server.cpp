// SPDX-License-Identifier: Apache-2.0
#include "nats_server.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

std::string path_of_server() {
  const char* path = std::getenv("PATH");
  std::istringstream folders{std::string{path != nullptr ? path : ""} + ":/usr/sbin:/usr/local/sbin"};
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((folder + "/nats-server").c_str(), X_OK) == 0) return folder + "/nats-server";
  }
  return {};
}

bool answers(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(fd);
  return connected;
}

std::string read_all(int fd) {
  std::string text;
  char piece[65536];
  for (ssize_t got; (got = ::read(fd, piece, sizeof(piece))) > 0;)
    text.append(piece, static_cast<std::size_t>(got));
  return text;
}

void write_all(int fd, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t bytes = ::write(fd, text.data() + done, text.size() - done);
    if (bytes <= 0) return;
    done += static_cast<std::size_t>(bytes);
  }
}

}  // namespace

bool has_nats_server() {
  return !path_of_server().empty();
}

NatsProcess::NatsProcess(std::filesystem::path directory, std::string options, bool jetstream,
                         std::string address)
    : directory_{std::move(directory)},
      options_{std::move(options)},
      jetstream_{jetstream},
      address_{std::move(address)} {
  std::filesystem::create_directories(directory_);
  start();
}

NatsProcess::~NatsProcess() {
  kill();
  if (testing::Test::HasFailure()) std::printf("--- nats-server\n%s\n", end_of_log().c_str());
}

std::string NatsProcess::url() const {
  if (has_ended()) throw std::runtime_error{"nats-server has ended by itself:\n" + end_of_log()};
  return "nats://127.0.0.1:" + std::to_string(port());
}

// Whoever asks may be a copy of the process that started it, and knows nothing of it then.
bool NatsProcess::has_ended() const {
  siginfo_t info{};
  return pid_ != 0 && ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

// From where it says why it crashes, if it does.
std::string NatsProcess::end_of_log() const {
  constexpr std::size_t kMost = 8000;
  std::ifstream file{directory_ / "server.log"};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  for (const char* why : {"panic: ", "fatal error: ", "[FTL]"}) {
    if (const std::size_t at = text.find(why); at != std::string::npos) return text.substr(at, kMost);
  }
  return text.substr(text.size() - std::min(text.size(), kMost));
}

void NatsProcess::kill() {
  if (pid_ == 0) return;
  if (has_ended()) ADD_FAILURE() << "nats-server has ended by itself:\n" << end_of_log();
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void NatsProcess::start() {
  const std::string file = (directory_ / "server.conf").string();
  std::ofstream{file} << "listen: \"" << address_ << ":" << port() << "\"\n"
                      << (jetstream_ ? "jetstream { store_dir: \"" + directory_.string() + "/store\" }\n"
                                     : std::string{})
                      << options_ << "\n";
  const std::string program = path_of_server();
  const std::string log = (directory_ / "server.log").string();
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execl(program.c_str(), "nats-server", "-c", file.c_str(), nullptr);
    ::_exit(127);
  }
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!answers(port())) {
    if (std::chrono::steady_clock::now() > until || ::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      std::ifstream text{log};
      throw std::runtime_error{"nats-server does not start: " +
                               std::string{std::istreambuf_iterator<char>{text}, {}}};
    }
    std::this_thread::sleep_for(2ms);
  }
}

// A server has several threads, and the signal comes to each in its time: until then it may still answer.
void NatsProcess::pause() {
  const auto is_stopped = [](const std::filesystem::path& thread) {
    std::ifstream file{thread / "stat"};
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(") ");
    return name_end == std::string::npos || text.compare(name_end, 3, ") T") == 0;
  };
  ::kill(pid_, SIGSTOP);
  const std::filesystem::path tasks = "/proc/" + std::to_string(pid_) + "/task";
  while (!std::all_of(std::filesystem::directory_iterator{tasks}, std::filesystem::directory_iterator{},
                      is_stopped))
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
}
void NatsProcess::resume() {
  ::kill(pid_, SIGCONT);
}

bool has_used_libnats() {
  // Its threads stay.
  std::filesystem::directory_iterator tasks{"/proc/self/task"};
  return std::distance(tasks, {}) > 1;
}

namespace {

bool stays_here = false;

std::string run_here(const std::function<std::string()>& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
    return error.what();
  }
}

}  // namespace

void stay_here_once_libnats_is_used() {
  stays_here = true;
}

std::string run_apart(const std::function<std::string()>& work) {
  if (stays_here && has_used_libnats()) return run_here(work);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error{"no pipe"};
  const pid_t child = ::fork();
  if (child == 0) {
    int status = 0;
    std::string result;
    try {
      result = work();
    } catch (const std::exception& error) {
      result = error.what();
      status = 1;
    }
    write_all(ends[1], result);
    ::_exit(status);
  }
  ::close(ends[1]);
  std::string result = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << result;
  return result;
}

}  // namespace sluice::test
