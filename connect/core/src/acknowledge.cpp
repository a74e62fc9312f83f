// SPDX-License-Identifier: Apache-2.0
// Acknowledgements: who a sender is, how many of its frames are pushed, and what it hears of them once they are committed.
//
// A count moves in the same event as the push of its frame, so that both are committed or neither. What a sender is told is
// always a count that is safe (Worker::when_safe): at once when nothing is under way, else after the next commit, or the next
// checkpoint. Nothing that runs then
// closes a connection: it may come in the midst of a push out of that very connection's buffer.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "stream_server.hpp"

namespace sluice {

using namespace detail;

namespace detail {
namespace {

// "RUN.LIFE", both more than 0; zeros for another text.
SenderLife life_in(std::string_view text) noexcept {
  SenderLife life;
  const char* const end = text.data() + text.size();
  const auto [point, no_run] = std::from_chars(text.data(), end, life.run);
  if (no_run != std::errc{} || point == end || *point != '.') return {};
  const auto [behind, no_life] = std::from_chars(point + 1, end, life.life);
  if (no_life != std::errc{} || behind != end || life.run == 0 || life.life == 0) return {};
  return life;
}

}  // namespace

Greeting greeting_in(std::string_view line) noexcept {
  constexpr std::string_view kHello = "hello ";
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!line.starts_with(kHello)) return {};
  line.remove_prefix(kHello.size());
  Greeting greeting{line.substr(0, line.find(' ')), {}};
  if (greeting.id.size() >= sizeof(SenderId::text) ||
      greeting.id.find_first_not_of(kAllowed) != std::string_view::npos)
    return {};
  if (greeting.id.size() == line.size()) return greeting;
  greeting.life = life_in(line.substr(greeting.id.size() + 1));
  return greeting.life.run != 0 ? greeting : Greeting{};
}

}  // namespace detail

namespace {

constexpr std::string_view kNoGreeting =
    "error say who you are first: hello ID, an ID of 1 to 39 letters, digits, '.', '_', ':' or '-'\n";
constexpr std::string_view kNoRow = "error no room for another sender\n";
constexpr std::string_view kFollowed = "error a later start of this sender has taken over\n";

SenderId key_of(std::string_view id) noexcept {
  SenderId key;
  id.copy(key.text, sizeof(key.text) - 1);
  return key;
}

}  // namespace

// Where a checkpoint was restored elsewhere while the first host still lives, both say hello as the same sender. The later
// start keeps its place from its hello on: it is told where to go on once that is committed.
bool TcpServer::Parts::is_followed(const Greeting& greeting) {
  if (greeting.life.run == 0) return false;
  const SenderId id = key_of(greeting.id);
  const SenderLife* known = lives_->find(id);
  const bool same_run = known != nullptr && known->run == greeting.life.run;
  if (same_run && known->life >= greeting.life.life) return known->life > greeting.life.life;
  // Of an ID that is one too many nothing is kept but what it hears of its frames.
  if (known == nullptr && lives_->size() == lives_->capacity()) return false;
  (*lives_)[id] = greeting.life;
  uncommitted_ = true;
  noted_ = true;
  return false;
}

void TcpServer::Parts::greet(Connection& connection, std::string_view line) {
  const Greeting greeting = greeting_in(line);
  const std::string_view id = greeting.id;
  if (id.empty()) return connections_.dismiss(connection, kNoGreeting);
  const std::uint64_t* row = senders_->find(key_of(id));
  if (row == nullptr && senders_->size() == senders_->capacity()) {
    report(fmt::format("sender {} at {} is turned away: all {} rows for senders are taken", id,
                       connection.head.peer_text(), senders_->capacity()));
    return connections_.dismiss(connection, kNoRow);
  }
  if (is_followed(greeting)) return connections_.dismiss(connection, kFollowed);
  // Of connections that are gone, however many IDs come and go, as many stay as of those that are there.
  if (speakers_.size() > 2 * connections_.count() + 64)
    std::erase_if(speakers_,
                  [this](const auto& speaker) { return connections_.find(speaker.second) == nullptr; });
  const auto speaker = speakers_.find(id);
  if (speaker == speakers_.end()) {
    speakers_.emplace(id, connection.id);
  } else {
    // What the older one has sent and was not pushed yet does not count; the newer one is told from where to go on.
    if (Connection* older = connections_.find(speaker->second); older != nullptr)
      connections_.dismiss(*older, "bye another connection says hello with this ID\n");
    speaker->second = connection.id;
  }
  id.copy(connection.head.sender, sizeof(connection.head.sender) - 1);
  connection.phase = Connection::Phase::open;
  connection.at = connection.pushed = connection.safe = connection.told = row == nullptr ? 0 : *row;
  connection.owes_at = true;
  // Without anything to commit, what a former life has committed may not be safe yet.
  await_commit(connection);
  if (!uncommitted_) committed();
}

void TcpServer::Parts::push(Connection& connection, std::string_view frame, Output<Frame>& out) {
  const std::uint64_t sequence = connection.pushed + 1;
  connection.head.sequence = sequence;
  if (options_.acknowledge) {
    const SenderId id = key_of(connection.head.sender_text());
    if (senders_->find(id) == nullptr && senders_->size() == senders_->capacity())
      return connections_.dismiss(connection, kNoRow);
    out.push(connection.head, frame);
    (*senders_)[id] = sequence;
    uncommitted_ = true;
    await_commit(connection);
  } else {
    out.push(connection.head, frame);
  }
  // Behind the push: a commit in its midst does not have this frame.
  connection.pushed = sequence;
}

void TcpServer::Parts::await_commit(Connection& connection) {
  if (connection.dirty) return;
  connection.dirty = true;
  awaiting_.push_back(connection.id);
}

// What has been pushed by now is committed.
void TcpServer::Parts::committed() {
  uncommitted_ = false;
  const std::size_t before = safe_.size();
  for (const ConnectionId id : awaiting_) {
    Connection* connection = connections_.find(id);
    if (connection == nullptr) continue;
    connection->dirty = false;
    safe_.push_back({id, connection->pushed, finished_});
  }
  awaiting_.clear();
  const std::size_t count = safe_.size() - before;
  if (count != 0) worker_.when_safe([this, count] { tell_safe(count); });
}

// The next so many may be told.
void TcpServer::Parts::tell_safe(std::size_t count) {
  for (; count != 0; --count) {
    const Safe next = safe_.front();
    safe_.pop_front();
    Connection* connection = connections_.find(next.id);
    if (connection == nullptr) continue;
    connection->safe = next.frames;
    connection->at_is_safe = true;
    tell(*connection);
    if (next.last) connections_.dismiss(*connection, "bye the pipeline has come to its end\n");
    // It has heard all, perhaps: its turn says whether it is to be closed.
    if (connection->ended) connections_.queue(*connection);
  }
}

// As much as the sender takes; the newest count, when it was slow to take those before.
void TcpServer::Parts::tell(Connection& connection) {
  if (!options_.acknowledge || connection.phase != Connection::Phase::open) return;
  if (!connection.unsent.empty()) connections_.send(connection, {});
  if (!connection.unsent.empty()) return;
  if (connection.owes_at) {
    if (!connection.at_is_safe) return;
    connection.owes_at = false;
    connections_.send(connection, fmt::format("at {}\n", connection.at));
  }
  if (connection.safe <= connection.told) return;
  connection.told = connection.safe;
  connections_.send(connection, fmt::format("ack {}\n", connection.safe));
}

}  // namespace sluice
