// SPDX-License-Identifier: Apache-2.0
// Numbers of workers, processes, lanes, nodes and edges: a type each, so that none is taken for another.
// A worker's number and that of its process differ by two.
//
// They cost what a std::size_t costs. Indexed<> is a vector that takes one kind only, and Indices<> counts:
// `for (const WorkerIndex worker : wiring.workers())`.
#pragma once

#include <compare>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include <sluice/detail/assert.hpp>

namespace sluice::detail {

template <class Tag>
class Index {
 public:
  constexpr Index() noexcept = default;
  constexpr explicit Index(std::size_t value) noexcept : value_{value} {}

  constexpr std::size_t value() const noexcept { return value_; }
  constexpr Index& operator++() noexcept {
    ++value_;
    return *this;
  }
  friend constexpr bool operator==(const Index&, const Index&) noexcept = default;
  // Written out: clang-tidy 14 takes the 0 in a defaulted one for a null pointer.
  friend constexpr std::strong_ordering operator<=>(const Index& a, const Index& b) noexcept {
    return a.value_ <=> b.value_;
  }

 private:
  std::size_t value_ = 0;
};

using ProcessIndex = Index<struct ProcessTag>;  // Of a region as well: each process has one.
using WorkerIndex = Index<struct WorkerTag>;    // In the order of stages, then of replicas.
using LaneIndex = Index<struct LaneTag>;
using NodeIndex = Index<struct NodeTag>;  // Of the graph, as are edges.
using EdgeIndex = Index<struct EdgeTag>;

inline constexpr ProcessIndex kHostProcess{0};
inline constexpr ProcessIndex kMasterProcess{1};
inline constexpr std::size_t kProcessesBeforeWorkers = 2;

constexpr ProcessIndex process_of(WorkerIndex worker) noexcept {
  return ProcessIndex{worker.value() + kProcessesBeforeWorkers};
}
constexpr bool is_worker(ProcessIndex process) noexcept {
  return process.value() >= kProcessesBeforeWorkers;
}
// Of a process that is a worker.
constexpr WorkerIndex worker_of(ProcessIndex process) noexcept {
  SLUICE_ASSERT(is_worker(process));
  return WorkerIndex{process.value() - kProcessesBeforeWorkers};
}

// All indices from 0 to `count` - 1.
template <class I>
class Indices {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = I;
    using difference_type = std::ptrdiff_t;
    using pointer = const I*;
    using reference = I;

    constexpr Iterator() noexcept = default;
    constexpr explicit Iterator(I at) noexcept : at_{at} {}
    constexpr I operator*() const noexcept { return at_; }
    constexpr Iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    constexpr Iterator operator++(int) noexcept { return Iterator{std::exchange(at_, I{at_.value() + 1})}; }
    friend constexpr bool operator==(const Iterator&, const Iterator&) noexcept = default;

   private:
    I at_;
  };

  constexpr explicit Indices(std::size_t count) noexcept : count_{count} {}
  constexpr Iterator begin() const noexcept { return Iterator{I{0}}; }
  constexpr Iterator end() const noexcept { return Iterator{I{count_}}; }
  constexpr std::size_t size() const noexcept { return count_; }

 private:
  std::size_t count_;
};

template <class I, class T>
class Indexed {
 public:
  Indexed() = default;
  explicit Indexed(std::size_t size) : values_(size) {}

  T& operator[](I index) noexcept {
    SLUICE_ASSERT(index.value() < values_.size());
    return values_[index.value()];
  }
  const T& operator[](I index) const noexcept {
    SLUICE_ASSERT(index.value() < values_.size());
    return values_[index.value()];
  }
  Indices<I> indices() const noexcept { return Indices<I>{values_.size()}; }

  std::size_t size() const noexcept { return values_.size(); }
  bool empty() const noexcept { return values_.empty(); }
  auto begin() noexcept { return values_.begin(); }
  auto end() noexcept { return values_.end(); }
  auto begin() const noexcept { return values_.begin(); }
  auto end() const noexcept { return values_.end(); }
  T& back() noexcept { return values_.back(); }

  void resize(std::size_t size) { values_.resize(size); }
  // The index of what is added.
  I push_back(T value) {
    values_.push_back(std::move(value));
    return I{values_.size() - 1};
  }

 private:
  std::vector<T> values_;
};

}  // namespace sluice::detail
