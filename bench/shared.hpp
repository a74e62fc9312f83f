// SPDX-License-Identifier: Apache-2.0
// Memory that a benchmark shares with the processes that it forks: anonymous, and present before it is used.
#pragma once

#include <cstddef>
#include <new>
#include <sys/mman.h>
#include <type_traits>
#include <utility>

namespace sluice::bench {

class SharedBytes {
 public:
  explicit SharedBytes(std::size_t bytes)
      : bytes_{bytes},
        data_{::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1,
                     0)} {
    if (data_ == MAP_FAILED) throw std::bad_alloc{};
  }
  ~SharedBytes() { ::munmap(data_, bytes_); }
  SharedBytes(const SharedBytes&) = delete;
  SharedBytes& operator=(const SharedBytes&) = delete;

  std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }
  std::size_t size() const noexcept { return bytes_; }

 private:
  std::size_t bytes_;
  void* data_;
};

// One object in such memory. It is not destroyed: the other process may still look at it.
template <class T>
class Shared {
 public:
  template <class... Arguments>
  explicit Shared(Arguments&&... arguments)
      : bytes_{sizeof(T)}, object_{new (bytes_.data()) T(std::forward<Arguments>(arguments)...)} {}

  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }

 private:
  SharedBytes bytes_;
  T* object_;
};

}  // namespace sluice::bench
