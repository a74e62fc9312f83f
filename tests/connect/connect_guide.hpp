// SPDX-License-Identifier: Apache-2.0
// The program of docs/guide/connect.md, between the two marks: connect_guide_test.cpp compares the page with it.
#pragma once

// clang-format off
// [guide]
#include <chrono>
#include <fcntl.h>
#include <sstream>
#include <string>
#include <sys/file.h>
#include <unistd.h>
#include <vector>

#include <sluice/connect/transaction_sink.hpp>
#include <sluice/sluice.hpp>

// A store in a file of lines, for one writer. A transaction is its rows and watermarks, and counts once its last line,
// "commit", is whole. What stands behind the last such line never happened.
class LineStore {
 public:
  using Effect = std::string;  // What one event is to do there: a row.

  explicit LineStore(const std::string& path) : path_{path}, fd_{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)} {
    if (fd_ < 0) throw sluice::Unavailable{path_ + " cannot be opened"};
  }
  ~LineStore() { ::close(fd_); }
  LineStore(const LineStore&) = delete;
  LineStore& operator=(const LineStore&) = delete;

  std::string name_or(const std::string& pipeline) const { return pipeline; }
  std::chrono::seconds call_limit() const { return std::chrono::seconds{10}; }

  // A writer begins: it raises the epoch, and hears how far its predecessors have come.
  sluice::SinkClaim claim(const sluice::SinkOwner& owner) {
    const Lock lock{*this};  // A predecessor's transaction may still be under way.
    std::string text(static_cast<std::size_t>(::lseek(fd_, 0, SEEK_END)), '\0');
    if (::pread(fd_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
      throw sluice::Unavailable{path_ + " cannot be read"};
    const std::size_t last = text.rfind("\ncommit\n");
    text.resize(last == std::string::npos ? 0 : last + 8);
    if (::ftruncate(fd_, static_cast<off_t>(text.size())) != 0) throw sluice::Unavailable{path_ + " cannot be cut"};
    sluice::SinkClaim claim;
    std::uint64_t last_run = 0;
    std::uint64_t last_life = 0;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words{line};
      std::string what;
      sluice::Watermark mark;
      words >> what;
      if (what == "epoch") words >> claim.epoch >> last_run >> last_life;
      if (what != "done" || !(words >> mark.origin >> mark.end)) continue;
      // Of this run and worker: the lanes of an origin are its last bits.
      if ((mark.origin ^ owner.origin) >> sluice::EventId::kLaneBits == 0) claim.watermarks.push_back(mark);
    }
    // A host that was stopped while another took its place does not take it back: another run, or a later life of its own.
    const std::uint64_t run = sluice::EventId{owner.origin, 0}.run();
    const bool other_run = !claim.watermarks.empty() && last_run != run;
    if (other_run || (last_run == run && last_life > owner.life))
      throw sluice::Error{{"write into", path_, "another host has taken over", "end one of the two"}};
    write("epoch " + std::to_string(++claim.epoch) + " " + std::to_string(run) + " " +
          std::to_string(owner.life) + "\ncommit\n");
    return claim;
  }

  // A batch: all of it, or nothing.
  void apply(const sluice::SinkBatch<std::string>& batch) {
    const Lock lock{*this};
    // Whoever claimed after this writer has written its epoch: the file is longer than this writer has left it.
    if (::lseek(fd_, 0, SEEK_END) != end_) {
      throw sluice::Error{{"write into", path_, "another process has taken over", "end one of the two pipelines"}};
    }
    std::string text;
    std::vector<sluice::RefusedEvent> refused;
    for (const auto& [event, row] : batch.effects) {
      if (row.find('\n') != std::string::npos) refused.push_back({event, "a row with a line feed"});
      text += "row " + row + "\n";
    }
    if (!refused.empty()) throw sluice::Refused{refused};
    for (const sluice::WatermarkMove& mark : batch.watermarks)
      text += "done " + std::to_string(mark.origin) + " " + std::to_string(mark.end) + "\n";
    write(text + "commit\n");
  }

 private:
  struct Lock {
    explicit Lock(LineStore& store) : fd{store.fd_} {
      if (::flock(fd, LOCK_EX) != 0) throw sluice::Unavailable{store.path_ + " cannot be locked"};
    }
    ~Lock() { ::flock(fd, LOCK_UN); }
    const int fd;
  };

  // At the end of the file. What is left behind by a write that failed is cut off by the next claim.
  void write(const std::string& text) {
    ::lseek(fd_, 0, SEEK_END);
    if (::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      throw sluice::Unavailable{path_ + " cannot be written"};
    end_ = ::lseek(fd_, 0, SEEK_END);
  }

  std::string path_;
  int fd_;
  off_t end_ = 0;
};
static_assert(sluice::TransactionStore<LineStore>);

struct Reading {
  std::uint64_t sensor = 0;
  std::uint64_t value = 0;
};

class Journal {
 public:
  Journal(sluice::Worker& worker, const std::string& path) : sink_{worker, path + "." + std::to_string(worker.replica())} {}
  void operator()(const Reading& reading) {
    sink_.add(std::to_string(reading.sensor) + " " + std::to_string(reading.value));
  }

 private:
  sluice::TransactionSink<LineStore> sink_;
};
// [guide]
// clang-format on
