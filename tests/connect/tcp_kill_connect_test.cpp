// SPDX-License-Identifier: Apache-2.0
// Acknowledgements are exact: many senders, and whatever is killed among them, each frame takes effect once and in order.
//
// A sender knows what docs/guide/tcp.md says and no more. What must come out is known before anything runs: the lines of
// each sender, in their order. SLUICE_CONNECT_KILLS is how many kills there are.
#include <map>
#include <mutex>
#include <random>

#include <sluice/append_file.hpp>

#include "tcp_peer.hpp"

namespace sluice::test {
namespace {

using ::testing::SizeIs;

std::string frame_of(const std::string& id, std::uint64_t number) {
  std::string frame{"frame "};
  return frame.append(std::to_string(number)).append(" of ").append(id);
}

// Sends the frames 1, 2, 3 ... of `id` until `over`, whatever becomes of its connections, and then until all that it has
// sent is acknowledged. Gives how many that are.
class SteadySender {
 public:
  SteadySender(std::string id, std::function<std::string()> address, const std::atomic<bool>& over,
               unsigned seed = std::random_device{}())
      : id_{std::move(id)}, address_{std::move(address)}, over_{over}, numbers_{seed} {}

  std::uint64_t run() {
    while (!over_.load() || acknowledged_ < sent_) {
      TcpPeer peer{address_()};
      if (peer.connected()) {
        talk(peer);
      } else {
        if (errno == ECONNREFUSED) ++refused;
        std::this_thread::sleep_for(1ms);
      }
    }
    return acknowledged_;
  }

  unsigned refused = 0;
  unsigned connections = 0;
  std::atomic<std::uint64_t> progress{0};

 private:
  void talk(TcpPeer& peer) {
    ++connections;
    if (!peer.send("hello " + id_ + "\n")) return;
    const auto at = number_in(peer.line(), "at");
    if (!at) return;
    EXPECT_GE(*at, acknowledged_) << "what was acknowledged was not committed";
    EXPECT_LE(*at, sent_) << "what was never sent is committed";
    note(*at);
    std::uint64_t next = *at + 1;
    for (auto frames = 1 + numbers_() % 400; frames != 0; --frames) {
      if (over_.load() && next > sent_) break;
      if (!peer.send(frame_of(id_, next) + "\n")) return;
      sent_ = std::max(sent_, next++);
      if (next - acknowledged_ > kWindow && !hear(peer)) return;
    }
    // Half of them vanish, some with a frame half said; the others wait until all is acknowledged.
    if (numbers_() % 4 == 0) {
      std::ignore = peer.send("frame that is never whole");
      if (numbers_() % 2 == 0) peer.reset();
      return;
    }
    while (acknowledged_ + 1 < next) {
      if (!hear(peer)) return;
    }
  }
  bool hear(TcpPeer& peer) {
    const auto told = number_in(peer.line(), "ack");
    if (!told) return false;
    EXPECT_LE(*told, sent_);
    note(*told);
    return true;
  }
  void note(std::uint64_t count) {
    EXPECT_GE(count, acknowledged_);
    acknowledged_ = count;
    progress = count;
  }

  static constexpr std::uint64_t kWindow = 200;
  std::string id_;
  std::function<std::string()> address_;
  const std::atomic<bool>& over_;
  std::mt19937 numbers_;
  std::uint64_t sent_ = 0;
  std::uint64_t acknowledged_ = 0;
};

// What is missing, twice, out of order or changed in lines "ID SEQUENCE FRAME"; empty if nothing is.
std::string fault_in(const std::vector<std::string>& lines,
                     const std::map<std::string, std::uint64_t>& sent) {
  std::map<std::string, std::uint64_t> seen;
  for (const std::string& line : lines) {
    const std::string id = line.substr(0, line.find(' '));
    const std::uint64_t number = ++seen[id];
    if (line != id + " " + std::to_string(number) + " " + frame_of(id, number))
      return line + " where frame " + std::to_string(number) + " was to be";
  }
  for (const auto& [id, count] : sent) {
    if (seen[id] != count)
      return id + " sent " + std::to_string(count) + " and " + std::to_string(seen[id]) + " came";
  }
  return seen.size() == sent.size() ? "" : "there are frames of senders that do not exist";
}

class Exact : public Served {};

TEST_F(Exact, ThroughKillsOfTheServingWorkerUnderLoadAndNoConnectionIsRefused) {
  const unsigned kills = kills_or(60);
  constexpr int kSenders = 24;
  serve({.acknowledge = true}, {"restart.budget=1000000", "batch.events=64"});
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 numbers{seed};
  std::atomic<bool> over{false};
  std::vector<std::unique_ptr<SteadySender>> senders;
  std::vector<std::thread> threads;
  std::map<std::string, std::uint64_t> sent;
  std::mutex mutex;
  for (int i = 0; i < kSenders; ++i) {
    const std::string id = "sender-" + std::to_string(i);
    senders.push_back(std::make_unique<SteadySender>(
        id, [this] { return address(); }, over, seed + 1U + static_cast<unsigned>(i)));
    threads.emplace_back([&, id, sender = senders.back().get()] {
      const std::uint64_t count = sender->run();
      const std::lock_guard lock{mutex};
      sent[id] = count;
    });
  }
  const auto progress = [&] {
    std::uint64_t sum = 0;
    for (const auto& sender : senders)
      sum += sender->progress;
    return sum;
  };
  for (unsigned done = 0; done < kills; ++done) {
    // By progress, not by time.
    const std::uint64_t until = progress() + numbers() % 800;
    ASSERT_TRUE(eventually([&] { return progress() >= until; }));
    kill_server();
  }
  over = true;
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(fault_in(drained(), sent), "");
  EXPECT_GE(worker_of(*engine_, "in/0").restarts, kills);
  unsigned refused = 0;
  unsigned connections = 0;
  for (const auto& sender : senders) {
    refused += sender->refused;
    connections += sender->connections;
  }
  EXPECT_EQ(refused, 0U) << "of " << connections;
  RecordProperty("frames", static_cast<int>(progress()));
}

// Dies after the commit and before its acknowledgements are sent, and after they are: at each commit of its first lives.
TEST_F(Exact, WhenTheWorkerDiesBetweenACommitAndItsAcknowledgements) {
  class DiesAfterCommits {
   public:
    DiesAfterCommits(Worker& worker, const Listener& listener, const TcpServerOptions& options) {
      // Actions run in the order in which they were asked for.
      const bool before = worker.incarnation() % 2 == 0;
      const auto die = [this, &worker] {
        if (handed_on_ && worker.incarnation() <= 40) ::raise(SIGKILL);
      };
      if (before) worker.after_commit(die);
      server_.emplace(worker, listener, options);
      if (!before) worker.after_commit(die);
    }
    SourceState operator()(Output<Frame>& out) {
      const SourceState state = (*server_)(out);
      if (state == SourceState::more) handed_on_ = true;
      return state;
    }
    bool finish(Output<Frame>& out) { return server_->finish(out); }

   private:
    std::optional<TcpServer> server_;
    bool handed_on_ = false;
  };
  listener_.emplace("127.0.0.1:0");
  pipeline_.emplace("dies");
  const TcpServerOptions options{.acknowledge = true};
  pipeline_
      ->source<DiesAfterCommits>("in", TcpServer::stage_options(*listener_, options), *listener_, options)
      .to<ShowFrame>("show")
      .outlet("out");
  start();
  std::atomic<bool> over{false};
  std::map<std::string, std::uint64_t> sent;
  SteadySender first{"first", [this] { return address(); }, over};
  SteadySender second{"second", [this] { return address(); }, over};
  std::thread one{[&] { sent["first"] = first.run(); }};
  std::uint64_t count = 0;
  std::thread two{[&] { count = second.run(); }};
  EXPECT_TRUE(eventually([&] { return worker_of(*engine_, "in/0").incarnation > 40; }));
  over = true;
  one.join();
  two.join();
  sent["second"] = count;
  EXPECT_EQ(fault_in(drained(), sent), "");
}

// Writes each frame to a file, exactly.
class Keep {
 public:
  Keep(Worker& worker, const std::string& path) : file_{worker, "kept", path} {}
  void operator()(const Frame& frame) {
    std::string line{frame.head.sender_text()};
    line.append(" ")
        .append(std::to_string(frame.head.sequence))
        .append(" ")
        .append(frame.text())
        .append("\n");
    file_.append(line);
  }

 private:
  AppendFile file_;
};

class ExactHost : public Served {
 protected:
  // A host in a process of its own, which serves until the file `name` is there; it drains then.
  pid_t start_host(const std::string& name) {
    const pid_t host = ::fork();
    if (host != 0) return host;
    try {
      Pipeline pipeline{"kept"};
      const Listener listener{"unix:" + file("socket")};
      tcp_source(pipeline, "in", listener, {.acknowledge = true, .senders = 100})
          .to<Keep>("keep", {}, file("kept"));
      Settings with =
          settings({"state.bytes=256KiB", "undo.bytes=256KiB", "segment.path=" + file("segment")});
      Engine engine{pipeline, with};
      engine.start();
      while (!engine.wait_for(5ms)) {
        if (std::filesystem::exists(file(name))) engine.begin_drain();
      }
    } catch (const std::exception& error) {
      log_line(file("errors"), error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
};

TEST_F(ExactHost, ThroughKillsOfTheWholePipelineThatIsResumed) {
  const unsigned kills = std::min(kills_or(8), 200U);
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 numbers{seed};
  // Forked before this process has threads.
  pid_t host = start_host("enough");
  std::atomic<bool> over{false};
  std::vector<std::unique_ptr<SteadySender>> senders;
  const std::string address = "unix:" + file("socket");
  std::map<std::string, std::uint64_t> sent;
  for (const char* id : {"a", "b", "c", "d"})
    senders.push_back(std::make_unique<SteadySender>(
        id, [&address]() -> std::string { return std::string{address}; }, over));
  std::vector<std::uint64_t> counts(senders.size());
  std::vector<std::thread> threads;
  threads.reserve(senders.size());
  for (std::size_t i = 0; i < senders.size(); ++i)
    threads.emplace_back([&, i] { counts[i] = senders[i]->run(); });
  for (unsigned done = 0; done < kills; ++done) {
    const std::uint64_t until = senders[done % senders.size()]->progress + 1 + numbers() % 500;
    EXPECT_TRUE(eventually([&] { return senders[done % senders.size()]->progress >= until; }));
    ::kill(host, SIGKILL);
    EXPECT_EQ(::waitpid(host, nullptr, 0), host);
    host = start_host("enough");
  }
  over = true;
  for (std::size_t i = 0; i < threads.size(); ++i)
    threads[i].join();
  std::size_t i = 0;
  for (const char* id : {"a", "b", "c", "d"})
    sent[id] = counts[i++];
  std::ofstream{file("enough")} << "yes";
  int status = -1;
  ASSERT_EQ(::waitpid(host, &status, 0), host);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(fault_in(lines_of(file("kept")), sent), "");
  EXPECT_THAT(lines_of(file("errors")), SizeIs(0));
}

}  // namespace
}  // namespace sluice::test
