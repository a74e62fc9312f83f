// SPDX-License-Identifier: Apache-2.0
#include "stream_subjects.hpp"

namespace sluice::detail {

std::map<std::string, std::uint64_t> subjects_of(const NatsClient& client, const std::string& stream,
                                                 const std::string& filter) {
  jsOptions options;
  jsOptions_Init(&options);
  options.Stream.Info.SubjectsFilter = filter.c_str();
  jsStreamInfo* made = nullptr;
  auto code = kNoCode;
  const natsStatus status = js_GetStreamInfo(&made, client.jetstream(), stream.c_str(), &options, &code);
  const JsStreamInfoPtr info{made};
  if (status != NATS_OK) client.fail("count what waits in", "the stream " + stream, status, code);
  std::map<std::string, std::uint64_t> counts;
  const jsStreamStateSubjects* const subjects = info->State.Subjects;
  for (int i = 0; subjects != nullptr && i < subjects->Count; ++i)
    counts.emplace(subjects->List[i].Subject, subjects->List[i].Msgs);
  return counts;
}

}  // namespace sluice::detail
