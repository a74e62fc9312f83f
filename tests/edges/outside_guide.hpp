// SPDX-License-Identifier: Apache-2.0
// The program of docs/guide/outside.md: a store outside, and the sink that is exact in it. The guide has the same text,
// and outside_guide_test.cpp compares the two and kills the sink.
#pragma once

// [guide]
#include <fcntl.h>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <sys/file.h>
#include <unistd.h>

#include <sluice/sluice.hpp>

// The outside: a file of rows. A transaction is its rows and then "done ORIGIN END" for each lane, and counts once the
// line "commit" is whole. What stands behind the last such line never happened.
class Store {
 public:
  explicit Store(const std::string& path) : path_{path} {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) unavailable("cannot be opened");
    // A predecessor's last write may still be under way: its lock goes with it. What another holds we wait for.
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      ::close(fd_);
      unavailable("is in use");
    }
    find_the_last_commit();
  }
  ~Store() { ::close(fd_); }
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // An earlier attempt at this event has come as far as this store.
  bool has(const sluice::EventId& id) const {
    const auto done = done_.find(id.origin);
    return done != done_.end() && id.position < done->second;
  }
  void add(const std::string& row) { rows_ += "row " + row + "\n"; }

  void commit(std::span<const sluice::Covered> covered) {
    for (const sluice::Covered& lane : covered) {
      // Never back: what is done again may come in smaller batches than before.
      std::uint64_t& done = done_[lane.first.origin];
      if (lane.end > done) done = lane.end;
      rows_ += "done " + std::to_string(lane.first.origin) + " " + std::to_string(done) + "\n";
    }
    rows_ += "commit\n";
    const char* at = rows_.data();
    for (std::size_t left = rows_.size(); left != 0;) {
      const ssize_t written = ::write(fd_, at, left);
      if (written < 0) unavailable("cannot be written");
      at += written;
      left -= static_cast<std::size_t>(written);
    }
    rows_.clear();
  }

 private:
  [[noreturn]] void unavailable(const std::string& why) const {
    throw sluice::Unavailable{path_ + " " + why};
  }

  void find_the_last_commit() {
    std::string text;
    char piece[4096];
    for (ssize_t got; (got = ::read(fd_, piece, sizeof(piece))) > 0;)
      text.append(piece, static_cast<std::size_t>(got));
    const std::size_t last = text.rfind("\ncommit\n");
    text.resize(last == std::string::npos ? 0 : last + 8);
    if (::ftruncate(fd_, static_cast<off_t>(text.size())) != 0) unavailable("cannot be truncated");
    ::lseek(fd_, 0, SEEK_END);
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("done ")) continue;
      std::istringstream words{line.substr(5)};
      std::uint64_t origin = 0;
      std::uint64_t end = 0;
      words >> origin >> end;
      done_[origin] = end;
    }
  }

  std::string path_;
  int fd_ = -1;
  std::map<std::uint64_t, std::uint64_t> done_;  // The watermark of each lane.
  std::string rows_;                             // Of the transaction to come.
};

struct Payment {
  std::uint64_t account = 0;
  std::uint64_t cents = 0;
};

class Book {
 public:
  Book(sluice::Worker& worker, const std::string& path)
      : worker_{worker}, store_{path + "." + std::to_string(worker.replica())} {
    worker.before_commit([this](std::span<const sluice::Covered> covered) { store_.commit(covered); });
  }
  void operator()(const Payment& payment) {
    if (store_.has(worker_.event_id())) return;
    store_.add(std::to_string(payment.account) + " " + std::to_string(payment.cents));
  }

 private:
  sluice::Worker& worker_;
  Store store_;
};
// [guide]
