// SPDX-License-Identifier: Apache-2.0
#include "asked_program.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <sstream>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/request_text.hpp>
#include <sluice/units.hpp>

#include "child_program.hpp"
#include "host/plan_answer.hpp"

namespace sluice::command {
namespace {

using AnswerClock = std::chrono::steady_clock;

// From the end of all that could answer to that of the program, for the sentence that tells of it.
constexpr int kEndTimeMs = 1000;
constexpr std::size_t kMostOfAnswer = std::size_t{16} << 20U;

struct AnswerPipe {
  detail::Descriptor reading;
  detail::Descriptor writing;
};

AnswerPipe open_answer_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error{{"create", "a pipe for the answer", errno_text(), ""}};
  AnswerPipe made{detail::Descriptor{ends[0]}, detail::Descriptor{ends[1]}};
  ::fcntl(made.writing.get(), F_SETFD, 0);  // The program has it.
  return made;
}

bool wait_for_input(int fd, int milliseconds) {
  pollfd looked_at{fd, POLLIN, 0};
  return ::poll(&looked_at, 1, milliseconds) > 0;
}

// All until the end of the pipe, or until the time is over.
std::string read_answer(int fd, std::chrono::nanoseconds limit) {
  const auto until = AnswerClock::now() + limit;
  std::string answer;
  while (answer.size() < kMostOfAnswer) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - AnswerClock::now()).count();
    if (left <= 0) return {};
    if (!wait_for_input(fd, static_cast<int>(left))) continue;
    std::array<char, 4096> bytes;
    const ssize_t got = ::read(fd, bytes.data(), bytes.size());
    if (got == 0) break;
    if (got < 0 && errno != EINTR) break;
    if (got > 0) answer.append(bytes.data(), static_cast<std::size_t>(got));
  }
  return answer;
}

// The last line that is not empty.
std::string last_line(int fd) {
  std::array<char, 4096> bytes;
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const off_t from = size > static_cast<off_t>(bytes.size()) ? size - static_cast<off_t>(bytes.size()) : 0;
  const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), from);
  std::string text{bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
  text.resize(text.find_last_not_of(" \n") + 1);
  return text.substr(text.rfind('\n') + 1);
}

AskedProgram in_parts(const std::string& answer) {
  AskedProgram asked;
  std::string request;
  std::istringstream lines{answer};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(detail::kPlanRemark)) {
      asked.remarks.push_back(line.substr(detail::kPlanRemark.size()));
    } else {
      request.append(line).append("\n");
    }
  }
  asked.request = pinning::parse_request(request);
  return asked;
}

}  // namespace

AskedProgram ask_program(const std::vector<std::string>& command, std::chrono::nanoseconds limit) {
  AnswerPipe answers = open_answer_pipe();
  const detail::Descriptor printed{::memfd_create("sluice-plan", MFD_CLOEXEC)};
  ::setenv(detail::kPlanVariable, fmt::format("{}", answers.writing.get()).c_str(), 1);
  ChildProgram program{command, printed.get()};
  ::unsetenv(detail::kPlanVariable);
  answers.writing = detail::Descriptor{};
  const std::string answer = read_answer(answers.reading.get(), limit);
  if (!answer.empty()) return in_parts(answer);
  std::string why = "it has made no Engine within " + format_duration(limit);
  if (wait_for_input(program.pidfd(), kEndTimeMs)) {
    program.status();
    why = "it " + program.end_in_words() + " and has made no Engine";
  }
  if (const std::string line = last_line(printed.get()); !line.empty())
    why.append("; it says: ").append(line);
  throw Error{{"ask for its pipeline", fmt::format("'{}'", command.front()), std::move(why),
               "give a program of Sluice, and its arguments behind --; or write the pipeline: "
               "\"read:1 parse:4 read>parse\""}};
}

}  // namespace sluice::command
