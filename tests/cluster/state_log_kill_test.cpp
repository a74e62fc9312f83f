// SPDX-License-Identifier: Apache-2.0
// Writers of a partition's log that are killed at random instants, and a server that is killed with them: at each of these
// instants what is fetched is a checkpoint that the engine's store accepts, and no older than the last that counted.

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string_view>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>

#include <gtest/gtest.h>

#include "model.hpp"
#include "nats_server.hpp"
#include "state_log.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSegmentBytes = std::size_t{1} << 20;

// In memory that writer and judge share.
struct Written {
  std::atomic<std::uint64_t> stored{0};                         // The number of the last one that counted.
  std::atomic<std::uint64_t> appended{0};                       // Of all tries.
  std::atomic<std::uint64_t> renewed{0};                        // Chains.
  std::array<std::atomic<std::uint64_t>, 100'000> checksums{};  // By number: of the segment.
};

std::uint64_t checksum_of(const std::vector<std::byte>& segment) {
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(segment.data()), segment.size()});
}

class StateLogKills : public testing::Test {
 protected:
  StateLogKills() {
    void* memory =
        ::mmap(nullptr, sizeof(Written), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    written_ = new (memory) Written;
  }
  ~StateLogKills() override { ::munmap(written_, sizeof(Written)); }

  StateLogOptions options() const {
    StateLogOptions options;
    options.server.url = server_->url();
    options.cluster = "test";
    options.host = "a";
    return options;
  }

  // A host: claims, fetches, and stores checkpoints that go on with what was there, until it is killed.
  [[noreturn]] void write(std::uint64_t epoch) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    StateLog log{options()};
    log.claim(epoch);
    log.fetch(directory_.path());
    std::mt19937 random{static_cast<std::uint32_t>(epoch)};
    std::vector<std::byte> segment(kSegmentBytes);
    const auto change = [&](std::size_t begin, std::size_t bytes) {
      for (std::size_t at = begin; at < begin + bytes; ++at)
        segment[at] = static_cast<std::byte>(random());  // Not to be compressed: several parts.
    };
    change(0, segment.size());
    std::optional<CheckpointWriter> writer;
    // Of a large state no second base is written: its chain is renewed, here again and again.
    const bool large = epoch % 4 == 1;
    std::size_t renewed_to = 0;
    while (true) {
      try {
        if (!writer)
          writer.emplace(directory_.path().string(), identity_of(kSegmentBytes), CheckpointOptions{1, false});
        const bool base = writer->needs_base() || (writer->wants_base() && !large);
        const std::size_t bytes = 1 + random() % 500'000;
        const std::size_t begin = random() % (segment.size() - bytes);
        change(begin, bytes);
        const std::vector<Extent> all{{0, segment}};
        std::vector<Extent> changed{{begin, std::span{segment}.subspan(begin, bytes)}};
        if (!base && large && !writer->is_renewing()) {
          writer->begin_renewal();
          renewed_to = 0;
        }
        if (writer->is_renewing()) {
          const std::size_t from = std::min(begin, renewed_to);
          renewed_to = std::min(renewed_to + kSegmentBytes / 3 + 1, kSegmentBytes);
          const std::size_t to = std::max(begin + bytes, renewed_to);
          changed = {{from, std::span{segment}.subspan(from, to - from)}};
        }
        const WrittenCheckpoint made =
            writer->write(base ? CheckpointKind::base : CheckpointKind::delta, 1, base ? all : changed,
                          renewed_to == kSegmentBytes ? CheckpointWriter::Renewal::ends
                                                      : CheckpointWriter::Renewal::goes_on);
        if (!base && made.whole_from != 0) ++written_->renewed;
        written_->checksums.at(made.number) = checksum_of(segment);
        ++written_->appended;
        log.append(directory_.file(made.number, base ? "base" : "delta"), base ? 0 : made.whole_from);
        written_->stored = made.number;
        ++written_->appended;
      } catch (const std::exception&) {
        writer.reset();  // As the engine does: a server that is away.
        std::this_thread::sleep_for(1ms);
      }
    }
  }

  // For a failure: each message, and which one its writer expected before it.
  std::string messages() const {
    const NatsClient client{{.url = server_->url()}, "test", true};
    const std::uint64_t last = client.stream("SLUICE_test")->State.LastSeq;
    std::string text;
    for (std::uint64_t sequence = 1; sequence <= last; ++sequence) {
      const NatsMessagePtr message = client.message("SLUICE_test", sequence);
      const std::optional<StateMessage> state = message ? read_state_message(message.get()) : std::nullopt;
      if (!state) continue;
      const char* expected = "nothing";
      natsMsgHeader_Get(message.get(), "Nats-Expected-Last-Subject-Sequence", &expected);
      text += "\n" + std::to_string(sequence) + " behind " + expected + ": epoch " +
              std::to_string(state->epoch) + " " + state->file + " " + std::to_string(state->part) + "/" +
              std::to_string(state->parts);
    }
    return text;
  }

  // What another host would go on with.
  void judge(std::uint64_t epoch) const {
    run_apart([&] {
      try {
        return judged(epoch);
      } catch (const std::exception& error) {
        throw std::runtime_error{error.what() + messages()};
      }
    });
  }
  std::string judged(std::uint64_t epoch) const {
    StateLog log{options()};
    log.claim(epoch);
    const std::uint64_t stored = written_->stored;
    const FetchedState fetched = log.fetch(directory_.path());
    const CheckpointSearch search = newest_checkpoint(directory_.path().string());
    if (!search.passed_over.empty()) throw std::runtime_error{search.passed_over.front()};
    if (!search.found && stored == 0) return {};
    if (!search.found || search.found->number < stored)
      throw std::runtime_error{"nothing, or something older than " + std::to_string(stored)};
    if (search.found->files.size() != fetched.files || search.found->bytes != fetched.bytes)
      throw std::runtime_error{"files that go with nothing"};
    if (checksum_of(restored(*search.found)) != written_->checksums.at(search.found->number))
      throw std::runtime_error{"another state than was stored"};
    return {};
  }

  CheckpointDirectory directory_;
  std::unique_ptr<NatsProcess> server_;
  Written* written_ = nullptr;
};

TEST_F(StateLogKills, LeaveAWholeChainThatIsNoOlderThanWhatCounted) {
  if (has_used_libnats()) GTEST_SKIP() << "tests before it have used libnats in this process: run it alone";
  if (!has_nats_server()) GTEST_SKIP() << "nats-server is not here: apt install nats-server, or tools/setup";
  server_ = std::make_unique<NatsProcess>(directory_.above() / "nats");
  const char* wanted = std::getenv("SLUICE_CONNECT_KILLS");
  const int rounds = wanted != nullptr ? std::atoi(wanted) : 25;
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  std::uint64_t epoch = 0;
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    const std::uint64_t before = written_->appended;
    const pid_t writer = ::fork();
    ++epoch;
    if (writer == 0) {
      try {
        write(epoch);
      } catch (...) {
        ::_exit(1);
      }
    }
    // At once, or after some; and in the midst of one.
    // One life, of a large state, is long enough for a chain to be renewed.
    const std::uint64_t after = round == 2 ? 10 : random() % 12;
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (written_->appended < before + after && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(100us);
    EXPECT_GE(written_->appended, before + after);
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 8000});
    if (round % 5 == 4) {
      server_->kill();
      server_->start();
    }
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
    judge(++epoch);
  }
  EXPECT_GT(written_->stored, 0U);
  EXPECT_GT(written_->renewed, 0U);
}

}  // namespace
}  // namespace sluice::test
