// SPDX-License-Identifier: Apache-2.0
// The bank's stream, by libnats alone: makes it, or prints every message of it, a line each, in its order.
//
//     bank-events make --nats nats://127.0.0.1:4222
//     bank-events print --nats nats://127.0.0.1:4222
//
// The demonstration compares what it prints with the ledger: this knows nothing of Sluice.
#include <iostream>
#include <nats/nats.h>
#include <stdexcept>
#include <string>

#include <CLI/CLI.hpp>

#include <sluice/cli.hpp>
#include <sluice/printable.hpp>

namespace {

constexpr const char* kSubjects = "bank.>";

void check(natsStatus status, const std::string& what) {
  if (status != NATS_OK) throw std::runtime_error{what + ": " + natsStatus_GetText(status)};
}

class JetStream {
 public:
  explicit JetStream(const std::string& url) {
    check(natsConnection_ConnectTo(&connection_, url.c_str()), "connect to " + url);
    check(natsConnection_JetStream(&js_, connection_, nullptr), "use JetStream of " + url);
  }
  ~JetStream() {
    jsCtx_Destroy(js_);
    natsConnection_Destroy(connection_);
  }
  JetStream(const JetStream&) = delete;
  JetStream& operator=(const JetStream&) = delete;

  void make(const std::string& stream) const {
    const char* subjects[] = {kSubjects};
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = stream.c_str();
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    // A sink has an id in each message, which the server keeps for so long: docs/guide/connect.md.
    config.Duplicates = 1'000'000'000;
    check(js_AddStream(nullptr, js_, &config, nullptr, nullptr), "make the stream " + stream);
  }

  // The last that is done with it.
  void print(const std::string& stream) const {
    jsStreamInfo* info = nullptr;
    check(js_GetStreamInfo(&info, js_, stream.c_str(), nullptr, nullptr), "look at the stream " + stream);
    const std::uint64_t last = info->State.LastSeq;
    jsStreamInfo_Destroy(info);
    natsSubscription* subscription = nullptr;
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = stream.c_str();
    // In order, each once, made anew by the library when one is missing.
    options.Ordered = true;
    check(js_SubscribeSync(&subscription, js_, kSubjects, nullptr, &options, nullptr), "read " + stream);
    constexpr std::int64_t kPatienceMs = 10'000;
    for (std::uint64_t at = 0; at < last;) {
      natsMsg* message = nullptr;
      check(natsSubscription_NextMsg(&message, subscription, kPatienceMs), "read " + stream);
      jsMsgMetaData* about = nullptr;
      check(natsMsg_GetMetaData(&about, message), "read " + stream);
      at = about->Sequence.Stream;
      jsMsgMetaData_Destroy(about);
      std::cout.write(natsMsg_GetData(message), natsMsg_GetDataLength(message)) << '\n';
      natsMsg_Destroy(message);
    }
    // Before the subscription ends: libnats before 3.6 may still handle a message of it.
    natsConnection_Close(connection_);
    natsSubscription_Destroy(subscription);
  }

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* js_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) try {
  std::string url = "nats://127.0.0.1:4222";
  std::string stream = "BANK";
  CLI::App app{"The stream that `bank --nats` tells its bookings to", "bank-events"};
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--nats", url, "The server");
  app.add_option("--stream", stream, "The stream");
  CLI::App* make = app.add_subcommand("make", "Make the stream");
  CLI::App* print = app.add_subcommand("print", "Print each of its messages, in order");
  app.footer(
      "Examples:\n"
      "  bank-events make\n"
      "  bank-events print --nats nats://127.0.0.1:4222\n"
      "  bank-events print --stream BANK");
  make->footer(
      "Examples:\n"
      "  bank-events make\n"
      "  bank-events make --nats nats://127.0.0.1:4222\n"
      "  bank-events make --stream BANK");
  print->footer(
      "Examples:\n"
      "  bank-events print\n"
      "  bank-events print --nats nats://127.0.0.1:4222\n"
      "  bank-events print --stream BANK | wc -l");
  app.set_version_flag("--version", "bank-events of Sluice " SLUICE_VERSION, "Print the version and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& end) {
    return sluice::end_of_parse(app, end);
  }
  const JetStream jetstream{url};
  make->parsed() ? jetstream.make(stream) : jetstream.print(stream);
  std::cout.flush();
  return sluice::flushed(sluice::kExitOk);
} catch (const std::exception& error) {
  std::cerr << "bank-events: " << sluice::printable_message(error.what()) << "\n";
  return sluice::kExitFailed;
}
