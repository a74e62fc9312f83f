// SPDX-License-Identifier: Apache-2.0
// The program of docs/guide/host.md: a host that can be killed at any time, and has each answer once. The guide has the
// same text, and host_guide_test.cpp compares the two and kills the host.
#pragma once

// [guide]
#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include <sluice/sluice.hpp>

struct Question {
  std::uint64_t number;
};
struct Answer {
  std::uint64_t number;
  std::uint64_t square;
};

// Asks the questions 0 to `count`, in this life or a former one, and has all answers in the file `path`.
inline void ask(sluice::Engine& engine, std::uint64_t count, const std::string& path) {
  auto in = engine.inlet<Question>("questions");
  auto out = engine.outlet<Answer>("answers");
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  // What a former life has written after its last ack() is handed out again: it does not count, and is cut off.
  if (file < 0 || ::ftruncate(file, static_cast<off_t>(out.position() * sizeof(Answer))) != 0)
    throw std::runtime_error{path + " cannot be written"};
  std::vector<Question> questions;
  std::vector<Answer> answers;
  while (!out.ended()) {
    // position() says which were pushed: it goes on with the next.
    questions.clear();
    for (std::uint64_t next = in.position(); next < count && questions.size() < 64; ++next)
      questions.push_back({next});
    // When there is no room, it pulls first. A push that waits would wait for this thread.
    if (!questions.empty() && in.try_push_batch(questions) == sluice::PushResult::ended)
      throw std::runtime_error{"the pipeline is over"};
    if (in.position() == count) in.close();

    answers.clear();
    out.poll_for(std::chrono::milliseconds{1}, [&](const Answer& answer) { answers.push_back(answer); });
    const auto bytes = static_cast<ssize_t>(answers.size() * sizeof(Answer));
    if (bytes != 0 && ::write(file, answers.data(), answers.size() * sizeof(Answer)) != bytes)
      throw std::runtime_error{path + " cannot be written"};
    out.ack();  // Now they are in the file, and count.
  }
  ::close(file);
}
// [guide]
