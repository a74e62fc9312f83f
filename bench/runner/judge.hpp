// SPDX-License-Identifier: Apache-2.0
// Finds the figures that a target asks for, and says beside its line what was measured, or why nothing was.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "targets.hpp"

namespace sluice::bench {

enum class Bound { at_least, at_most };

// One figure of one benchmark, or why there is none.
struct Found {
  std::optional<double> value;
  std::string subject;  // Whose it is: "peer:zeromq".
  std::string why;
  bool disturbed = false;
};

class Judge {
 public:
  explicit Judge(const Report& report) : report_{report} {}

  std::vector<TargetRow> take() { return std::move(rows_); }

  Found find(const std::string& suite, const std::string& name, const std::string& figure) const;
  // The best of several benchmarks, or of all peers of a group and parameters.
  Found best(const std::string& suite, std::span<const std::string> names, const std::string& figure) const;
  Found worst(const std::string& suite, std::span<const std::string> names, const std::string& figure) const;
  Found best_peer(const std::string& suite, const std::string& group, std::span<const std::string> parameters,
                  const std::string& figure) const;

  void ratio(int number, const std::string& what, const std::string& figure, const Found& ours,
             const Found& theirs, Bound bound, double line, const std::string& of);
  void difference_ns(int number, const std::string& what, const Found& ours, const Found& theirs,
                     double most_ns, const std::string& over);
  void value(int number, const std::string& what, const std::string& figure, const Found& ours, double most);

 private:
  Found extreme(const std::string& suite, std::span<const std::string> names, const std::string& figure,
                bool most) const;
  std::string why_not(const std::string& suite) const;
  TargetRow& row(int number, const std::string& what, std::initializer_list<const Found*> needed);

  const Report& report_;
  std::vector<TargetRow> rows_;
};

// The time that one event takes, from events a second.
Found time_each(Found found);

}  // namespace sluice::bench
