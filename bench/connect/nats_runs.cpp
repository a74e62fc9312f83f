// SPDX-License-Identifier: Apache-2.0
// NATS JetStream: NatsSink beside a plain program that publishes the same messages with the library, as many before it waits for
// their answers; NatsSource beside one that fetches as many at a time and acknowledges each. The server is a real one, on loopback, that
// stores in files.
#include <cstring>
#include <filesystem>
#include <memory>
#include <nats/nats.h>
#include <unistd.h>

#include <sluice/connect/nats_sink.hpp>
#include <sluice/connect/nats_source.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "apart.hpp"
#include "guarded_directory.hpp"
#include "loopback.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

constexpr const char* kStream = "BENCH";
constexpr const char* kSubject = "bench.0";

void check(natsStatus status) {
  if (status != NATS_OK) throw Error{{"use", "NATS", natsStatus_GetText(status), "install nats-server"}};
}

// JetStream, in this process.
class PlainNats {
 public:
  explicit PlainNats(const std::string& url) {
    constexpr int kTries = 1000;
    constexpr int kPauseMs = 5;
    natsStatus status = NATS_NO_SERVER;
    for (int i = 0; i < kTries && status != NATS_OK; ++i) {
      status = natsConnection_ConnectTo(&connection_, url.c_str());
      if (status != NATS_OK) nats_Sleep(kPauseMs);
    }
    check(status);
    check(natsConnection_JetStream(&js_, connection_, nullptr));
  }
  ~PlainNats() {
    jsCtx_Destroy(js_);
    natsConnection_Destroy(connection_);
  }
  PlainNats(const PlainNats&) = delete;
  PlainNats& operator=(const PlainNats&) = delete;

  jsCtx* js() const noexcept { return js_; }

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* js_ = nullptr;
};

// Empty when it is not installed: then there is nothing to measure.
std::string server_program() {
  for (const char* path : {"/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return {};
}

// A handler that sends each row.
class NatsRows {
 public:
  NatsRows(Worker& worker, const NatsSinkOptions& options) : sink_{worker, options} {}
  void operator()(const StoredRow& row) { sink_.publish({reinterpret_cast<const char*>(&row), sizeof(row)}); }

 private:
  NatsSink sink_;
};

class NatsRun {
 public:
  NatsRun()
      : port_{std::to_string(listen_on_loopback().port)},
        url_{"nats://127.0.0.1:" + port_},
        server_{"nats", [port = port_](const std::filesystem::path& directory) {
                  const std::string program = server_program();
                  ::execl(program.c_str(), "nats-server", "-a", "127.0.0.1", "-p", port.c_str(), "-js", "-sd",
                          directory.c_str(), nullptr);
                }} {}

  void empty() const {
    apart([this]() -> StoredSum {
      const PlainNats nats{url_};
      js_DeleteStream(nats.js(), kStream, nullptr, nullptr);
      jsStreamConfig config;
      jsStreamConfig_Init(&config);
      const char* subjects[] = {kSubject};
      config.Name = kStream;
      config.Subjects = subjects;
      config.SubjectsLen = 1;
      config.Duplicates = 1'000'000'000;
      check(js_AddStream(nullptr, nats.js(), &config, nullptr, nullptr));
      return {};
    });
  }

  // `ids`: as a program that wants the server to know what it sends again.
  void plain(std::uint64_t rows, bool ids) const {
    const PlainNats nats{url_};
    for (std::uint64_t number = 0; number < rows;) {
      for (std::uint64_t i = 0; i < kRowsABatch && number < rows; ++i) {
        const std::string id = "bench.0-" + std::to_string(number);
        const StoredRow row = stored_row(number++);
        jsPubOptions options;
        jsPubOptions_Init(&options);
        options.MsgId = id.c_str();
        check(js_PublishAsync(nats.js(), kSubject, &row, sizeof(row), ids ? &options : nullptr));
      }
      check(js_PublishAsyncComplete(nats.js(), nullptr));
    }
  }

  void sink(const Stream<StoredRow>& rows) const {
    NatsSinkOptions options;
    options.server.url = url_;
    options.stream = kStream;
    options.subject = kSubject;
    rows.to<NatsRows>("store", options);
  }

  StoredSum sum() const {
    return apart([this] {
      constexpr int kBatch = 1000;
      const PlainNats nats{url_};
      natsSubscription* subscription = nullptr;
      check(js_PullSubscribe(&subscription, nats.js(), kSubject, nullptr, nullptr, nullptr, nullptr));
      StoredSum sum;
      natsMsgList list{};
      while (natsSubscription_Fetch(&list, subscription, kBatch, 300, nullptr) == NATS_OK) {
        for (int i = 0; i < list.Count; ++i) {
          StoredRow row;
          std::memcpy(&row, natsMsg_GetData(list.Msgs[i]), sizeof(row));
          ++sum.rows;
          sum.numbers += row.number;
          natsMsg_Ack(list.Msgs[i], nullptr);
        }
        natsMsgList_Destroy(&list);
      }
      natsSubscription_Destroy(subscription);
      return sum;
    });
  }

  // The stream has these lines, each a message.
  void fill(std::uint64_t rows) const {
    empty();
    apart([this, rows]() -> StoredSum {
      const PlainNats nats{url_};
      for (std::uint64_t number = 0; number < rows;) {
        for (std::uint64_t i = 0; i < kRowsABatch && number < rows; ++i) {
          const std::string line = stored_line(number++);
          check(js_PublishAsync(nats.js(), kSubject, line.data(), static_cast<int>(line.size()), nullptr));
        }
        check(js_PublishAsyncComplete(nats.js(), nullptr));
      }
      return {};
    });
  }

  void read_by_source(std::uint64_t rows) const {
    NatsSourceOptions options;
    options.server.url = url_;
    options.stream = kStream;
    options.follow = false;
    Pipeline pipeline{"bench"};
    pipeline.source<NatsSource>("read", options).to<CountRead<Bytes>>("count", rows);
    run_to_its_end(pipeline);
  }

  void read_by_program(std::uint64_t rows) const {
    const PlainNats nats{url_};
    natsSubscription* subscription = nullptr;
    check(js_PullSubscribe(&subscription, nats.js(), kSubject, nullptr, nullptr, nullptr, nullptr));
    const auto most = static_cast<int>(NatsSourceOptions{}.batch);
    natsMsgList list{};
    for (std::uint64_t read = 0; read < rows; read += static_cast<std::uint64_t>(list.Count)) {
      constexpr std::int64_t kWaitMs = 10'000;
      natsMsgList_Destroy(&list);
      check(natsSubscription_Fetch(&list, subscription, most, kWaitMs, nullptr));
      for (int i = 0; i < list.Count; ++i) {
        note_read(
            {natsMsg_GetData(list.Msgs[i]), static_cast<std::size_t>(natsMsg_GetDataLength(list.Msgs[i]))},
            rows);
        check(natsMsg_Ack(list.Msgs[i], nullptr));
      }
    }
    natsMsgList_Destroy(&list);
    natsSubscription_Destroy(subscription);
  }

 private:
  std::string port_;
  std::string url_;
  GuardedDirectory server_;
};

}  // namespace

std::vector<StoreRuns> nats_runs(bool quick) {
  if (server_program().empty()) return {};
  const auto run = std::make_shared<NatsRun>();
  return {{"nats",
           "storage:file",
           quick ? 10'000U : 40'000U,
           [run] { run->empty(); },
           [run](const Stream<StoredRow>& stream) { run->sink(stream); },
           [run](std::uint64_t count) { run->plain(count, false); },
           [run] { return run->sum(); },
           {{"plain_with_ids", [run](std::uint64_t count) { run->plain(count, true); }}}}};
}

std::vector<SourceRuns> nats_source_runs(bool quick) {
  if (server_program().empty()) return {};
  const auto run = std::make_shared<NatsRun>();
  const std::uint64_t rows = quick ? 10'000 : 200'000;
  return {{"nats_source", "storage:file", rows, [run, rows] { run->fill(rows); },
           [run, rows] { run->read_by_source(rows); }, [run, rows] { run->read_by_program(rows); }}};
}

}  // namespace sluice::bench
