// SPDX-License-Identifier: Apache-2.0
// The market's tables in ordinary memory: what its handlers would use in a program of one thread, without a
// word for recovery.
//
// Rows stand in the slots that their hash wants: one look into memory, where sluice::Table has an index in front of rows
// that never move. It grows as it fills, so that its memory and its walks are as small as what it holds.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/key.hpp>

namespace sluice::bench {

template <class K, class V>
class PlainTable {
 public:
  struct Row {
    std::uint64_t used;
    K key;
    V value;
  };

  V& operator[](const K& key) {
    Row* row = &rows_[slot_of(key)];
    if (row->used != 0) return row->value;
    if ((size_ + 1) * 4 > rows_.size() * 3) {
      grow();
      row = &rows_[slot_of(key)];
    }
    ++size_;
    *row = Row{1, key, V{}};
    return row->value;
  }
  const V* find(const K& key) const {
    const Row& row = rows_[slot_of(key)];
    return row.used != 0 ? &row.value : nullptr;
  }
  bool erase(const K& key) {
    std::uint64_t hole = slot_of(key);
    if (rows_[hole].used == 0) return false;
    --size_;
    for (std::uint64_t next = (hole + 1) & mask(); rows_[next].used != 0; next = (next + 1) & mask()) {
      const std::uint64_t home = hash_key(rows_[next].key) & mask();
      if (((next - home) & mask()) >= ((next - hole) & mask())) {
        rows_[hole] = rows_[next];
        hole = next;
      }
    }
    rows_[hole].used = 0;
    return true;
  }

  std::uint64_t size() const { return size_; }
  std::uint64_t slots() const { return rows_.size(); }
  const Row* slot(std::uint64_t index) const { return rows_[index].used != 0 ? &rows_[index] : nullptr; }
  template <class F>
  void for_each(F&& visit) const {
    for (const Row& row : rows_) {
      if (row.used != 0) visit(row.key, row.value);
    }
  }

 private:
  std::uint64_t mask() const { return rows_.size() - 1; }
  std::uint64_t slot_of(const K& key) const {
    std::uint64_t slot = hash_key(key) & mask();
    while (rows_[slot].used != 0 && !(rows_[slot].key == key))
      slot = (slot + 1) & mask();
    return slot;
  }
  void grow() {
    std::vector<Row> old(rows_.size() * 2);
    old.swap(rows_);
    for (const Row& row : old) {
      if (row.used != 0) rows_[slot_of(row.key)] = row;
    }
  }

  std::uint64_t size_ = 0;
  std::vector<Row> rows_ = std::vector<Row>(64);
};

struct PlainMemory {
  template <class K, class V>
  PlainTable<K, V> table(std::string_view, std::uint64_t) {
    return {};
  }
};

}  // namespace sluice::bench
