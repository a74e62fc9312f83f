// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/transaction_sink.hpp"

#include <set>
#include <string>

#include <fmt/format.h>

#include <sluice/detail/promises.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice {

void store_went_back(const SinkOwner& owner) {
  throw Error{
      {"go on writing for", fmt::format("{}/{} of {}", owner.stage, owner.replica, printable(owner.name)),
       "the store knows less of it than this pipeline has committed: it is another one, was put back to an "
       "earlier state, or a standby that had not everything has taken over",
       "give it the store with all that was applied; or begin anew, without the segment and the checkpoints "
       "of this pipeline"}};
}

namespace detail {
namespace {

// Of this thread, which may have several: run_inline.
std::set<const Worker*>& workers_with_a_sink() {
  static thread_local std::set<const Worker*> workers;
  return workers;
}

}  // namespace

void refuse_effect_without_event(const Worker& worker, const SinkOwner& owner) {
  if (is_in_event(worker)) return;
  refuse_without_event(fmt::format("the store of stage {} of {}", owner.stage, printable(owner.name)));
}

OnlySink::OnlySink(const Worker& worker, const SinkOwner& owner) : worker_{&worker} {
  const std::string object = fmt::format("stage {} of {}", owner.stage, printable(owner.name));
  refuse_spans(worker, Error{{"have effects in the store of", object,
                              "its handler takes spans, and a store knows single events",
                              "let the handler take one event, const In&: a batch is one transaction all the "
                              "same"}});
  if (workers_with_a_sink().insert(worker_).second) return;
  throw Error{{"have effects in two stores in", object,
               "what the second one refuses would have taken effect in the first, and would do so again when "
               "its dead letter is retried",
               "give each store a stage of its own, to which this handler pushes"}};
}

OnlySink::~OnlySink() {
  workers_with_a_sink().erase(worker_);
}

}  // namespace detail
}  // namespace sluice
