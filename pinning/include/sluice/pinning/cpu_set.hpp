// SPDX-License-Identifier: Apache-2.0
// A set of processing units by their OS number, as large as the machine asks for.
//
// A plain value for the control plane: every operation that adds a number may allocate. Its words are laid
// out as the kernel's affinity mask, so that binding a process needs no conversion and no allocation.
// Invariant: the last word is never zero, so that equal sets have equal words.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::pinning {

class CpuSet {
 public:
  using Word = unsigned long;  // The word of the kernel's affinity masks.

  CpuSet() = default;
  CpuSet(std::initializer_list<unsigned> units);

  // Reads a Linux cpulist such as "0-3,8"; blanks around it are ignored and an empty text is the empty set,
  // as in the files of /sys. Throws sluice::Error that names the text and the part that is wrong.
  static CpuSet parse(std::string_view cpulist);

  // Takes over an affinity mask as sched_getaffinity fills it. Of any length, also with zeros at its end.
  static CpuSet from_mask(std::span<const Word> mask);

  // Adds one; the set takes memory up to the highest number in it. Throws std::bad_alloc at most.
  void insert(unsigned unit);
  void insert_range(unsigned first, unsigned last);  // Both ends belong to it; first <= last.
  void erase(unsigned unit);                         // Nothing if it is not there.

  bool contains(unsigned unit) const noexcept;
  bool includes(const CpuSet& other) const noexcept;  // Is every unit of `other` in this set?
  bool intersects(const CpuSet& other) const noexcept;
  bool empty() const noexcept { return words_.empty(); }
  std::size_t count() const noexcept;

  // The units in rising order.
  std::vector<unsigned> to_vector() const;

  // The Linux cpulist, "" for the empty set; parse() gives the same set back.
  std::string to_string() const;

  // What sched_setaffinity takes, as short as the set allows; the kernel reads missing words as zero.
  std::span<const Word> mask() const noexcept { return words_; }

  CpuSet& operator|=(const CpuSet& other);
  CpuSet& operator&=(const CpuSet& other);
  CpuSet& operator-=(const CpuSet& other);
  friend CpuSet operator|(CpuSet left, const CpuSet& right) { return left |= right; }
  friend CpuSet operator&(CpuSet left, const CpuSet& right) { return left &= right; }
  friend CpuSet operator-(CpuSet left, const CpuSet& right) { return left -= right; }
  friend bool operator==(const CpuSet&, const CpuSet&) = default;

 private:
  void trim();

  std::vector<Word> words_;
};

}  // namespace sluice::pinning
