// SPDX-License-Identifier: Apache-2.0
// Recoverable state: plain values and keyed tables that survive their worker.
//
// They live in the worker's region. A change is undone if the batch that made it does not commit, because its
// process died or its handler threw; a replacement finds what was committed last. Used by the worker's one
// thread, within its handler. Nothing here blocks or allocates.
//
// edit() and operator[] note the old bytes and hand out a reference: it may be written until the event is
// done, not later. All of them throw Error when the undo log is too small for one event or a table is full;
// the event is then rolled back and the pipeline stops with a report, nothing lost.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <sluice/detail/elsewhere.hpp>
#include <sluice/detail/state_area.hpp>
#include <sluice/key.hpp>

namespace sluice {

// One value. Got from Worker::state(); a copy is the same value.
template <class T>
class Recoverable {
  static_assert(std::is_trivially_copyable_v<T> && !detail::kSaysWhere<T> &&
                    alignof(T) <= detail::StateArea::kAlignment,
                "recoverable state is trivially copyable and no pointer or view: it outlives its process");

 public:
  Recoverable(detail::StateArea& area, std::string_view name, const T& initial = T{})
      : area_{&area},
        value_{reinterpret_cast<T*>(area.claim(name, sizeof(T), std::as_bytes(std::span{&initial, 1})))} {}

  // The value as it stands, with what the event in the handler has changed.
  const T& operator*() const noexcept { return *value_; }
  const T* operator->() const noexcept { return value_; }

  // The value, to be changed: notes the whole of it, sizeof(T) and 16 bytes of the undo log, each time.
  T& edit() {
    area_->note(value_, sizeof(T));
    return *value_;
  }
  // One member of the value: notes that member only.
  template <class M, class C = T>
  requires std::is_class_v<C> M& edit(M C::*member) {
    M& part = value_->*member;
    area_->note(&part, sizeof(M));
    return part;
  }
  // The same, and replaces it.
  void set(const T& value) { edit() = value; }

 private:
  detail::StateArea* area_;
  T* value_;
};

// A hash table of fixed capacity; open addressing with linear probing, rows moved back on erase. Got from
// Worker::table(); a copy is the same table. A call that looks a key up takes constant time as long as keys
// hash well, and throws Error when it finds that a stray store has hit the table.
template <Key K, class V>
class Table {
  static_assert(std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<V>,
                "the keys and values of a table are trivially copyable");
  static_assert(!detail::kSaysWhere<K> && !detail::kSaysWhere<V>,
                "the keys and values of a table are no pointers or views: they outlive their process");
  static_assert(std::equality_comparable<K>, "the key of a table has an operator==");

 public:
  struct Row {
    std::uint64_t used;
    K key;
    V value;
  };
  static_assert(alignof(Row) <= detail::StateArea::kAlignment, "a row is aligned to at most 64 bytes");

  Table(detail::StateArea& area, std::string_view name, std::uint64_t rows)
      : area_{&area}, name_{name}, rows_{rows}, mask_{slots_for(rows) - 1} {
    constexpr std::size_t kFront = std::max(sizeof(std::uint64_t) * 2, alignof(Row));
    std::byte* memory = area.claim(name, kFront + slots() * sizeof(Row), {});
    size_ = reinterpret_cast<std::uint64_t*>(memory);
    row_ = reinterpret_cast<Row*>(memory + kFront);
    area.claimed_table(rows, sizeof(Row));
    if (*size_ > rows_) area_->table_corrupt(name_);
  }

  // The value of `key`, to be read until the next insertion or erasure; nullptr when there is none.
  const V* find(const K& key) const {
    const Row& row = row_[slot_of(key)];
    return row.used != 0 ? &row.value : nullptr;
  }
  bool contains(const K& key) const { return find(key) != nullptr; }

  // The value of `key`, to be changed; inserted as V{} if it is new. Notes the value, or a row. Throws Error
  // when the table has capacity() rows and this would be one more.
  V& operator[](const K& key) {
    Row& row = row_[slot_of(key)];
    if (row.used != 0) {
      area_->note(&row.value, sizeof(V));
      return row.value;
    }
    if (*size_ >= rows_) area_->table_full(name_, rows_);
    area_->note(size_, sizeof(*size_));
    area_->note(&row, sizeof(Row));
    ++*size_;
    row.key = key;
    row.value = V{};
    row.used = 1;
    return row.value;
  }

  // Takes the row of `key` away; other rows may move. Notes each row that it moves. False when there was no
  // such key.
  bool erase(const K& key) {
    std::uint64_t hole = slot_of(key);
    if (row_[hole].used == 0) return false;
    area_->note(size_, sizeof(*size_));
    --*size_;
    // Rows behind the hole that would not be found past it move into it.
    for (std::uint64_t next = (hole + 1) & mask_, probes = 0; row_[next].used != 0 && probes < mask_;
         next = (next + 1) & mask_, ++probes) {
      const std::uint64_t home = hash_key(row_[next].key) & mask_;
      if (((next - home) & mask_) >= ((next - hole) & mask_)) {
        area_->note(&row_[hole], sizeof(Row));
        std::memcpy(static_cast<void*>(&row_[hole]), &row_[next], sizeof(Row));
        hole = next;
      }
    }
    area_->note(&row_[hole].used, sizeof(row_[hole].used));
    row_[hole].used = 0;
    return true;
  }

  // Rows that there are, and that there can be.
  std::uint64_t size() const noexcept { return *size_; }
  std::uint64_t capacity() const noexcept { return rows_; }

  // For walks that go on after a commit: slots from 0 to slots() - 1, nullptr for an empty one.
  std::uint64_t slots() const noexcept { return mask_ + 1; }
  const Row* slot(std::uint64_t index) const noexcept {
    return row_[index].used != 0 ? &row_[index] : nullptr;
  }
  // Calls visit(key, value) for every row, in no order; it may neither insert nor erase.
  template <class F>
  void for_each(F&& visit) const {
    for (std::uint64_t i = 0; i < slots(); ++i) {
      if (row_[i].used != 0) visit(row_[i].key, row_[i].value);
    }
  }

  static constexpr std::uint64_t slots_for(std::uint64_t rows) noexcept { return detail::table_slots(rows); }

 private:
  // The slot of `key`, or the empty one where it would stand. A quarter of the slots is empty, so that the
  // search ends, unless a stray store has hit the table.
  std::uint64_t slot_of(const K& key) const {
    std::uint64_t slot = hash_key(key) & mask_;
    for (std::uint64_t probes = 0; row_[slot].used != 0 && !(row_[slot].key == key); ++probes) {
      if (probes == mask_) area_->table_corrupt(name_);
      slot = (slot + 1) & mask_;
    }
    return slot;
  }

  detail::StateArea* area_;
  std::string name_;
  std::uint64_t rows_;
  std::uint64_t mask_;
  std::uint64_t* size_;
  Row* row_;
};

}  // namespace sluice
