// SPDX-License-Identifier: Apache-2.0
#include "nats_server.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nats/nats.h>
#include <netinet/in.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

std::string path_of_server() {
  const char* path = std::getenv("PATH");
  std::istringstream folders{std::string{path != nullptr ? path : ""} + ":/usr/sbin:/usr/local/sbin"};
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((folder + "/nats-server").c_str(), X_OK) == 0) return folder + "/nats-server";
  }
  return {};
}

bool answers(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(fd);
  return connected;
}

// A port that stays this test's while its server is away: the socket is bound and never listens. nats-server binds it all the
// same, for both set SO_REUSEADDR; the kernel gives it to nobody else, and to no connection, which could be one to itself.
int hold_a_port(int& port) {
  const int held = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int again = 1;
  ::setsockopt(held, SOL_SOCKET, SO_REUSEADDR, &again, sizeof(again));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof(address);
  if (::bind(held, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::getsockname(held, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error{"no port is free"};
  port = ntohs(address.sin_port);
  return held;
}

void must(natsStatus status, const char* what) {
  if (status == NATS_OK) return;
  const char* text = nats_GetLastError(nullptr);
  throw std::runtime_error{std::string{what} + ": " + (text != nullptr ? text : natsStatus_GetText(status))};
}

// JetStream of a server, in this process.
class Session {
 public:
  explicit Session(const std::string& url) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    must(natsOptions_Create(&options_), "the options");
    must(natsOptions_SetURL(options_, url.c_str()), "the URL");
    must(natsOptions_SetSendAsap(options_, true), "sending");
    while (natsConnection_Connect(&connection_, options_) != NATS_OK) {
      if (std::chrono::steady_clock::now() > until) throw std::runtime_error{"no NATS server at " + url};
      std::this_thread::sleep_for(5ms);
    }
    jsOptions patient;
    must(jsOptions_Init(&patient), "the options");
    patient.Wait = 60'000;
    must(natsConnection_JetStream(&js, connection_, &patient), "JetStream");
  }
  ~Session() {
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection_);
    natsOptions_Destroy(options_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  natsConnection* connection() const noexcept { return connection_; }

  jsCtx* js = nullptr;

 private:
  natsOptions* options_ = nullptr;
  natsConnection* connection_ = nullptr;
};

jsStreamState state_of(const Session& session, const std::string& stream) {
  jsStreamInfo* info = nullptr;
  must(js_GetStreamInfo(&info, session.js, stream.c_str(), nullptr, nullptr), "the stream");
  const jsStreamState state = info->State;
  jsStreamInfo_Destroy(info);
  return state;
}

std::string read_all(int fd) {
  std::string text;
  char piece[65536];
  for (ssize_t got; (got = ::read(fd, piece, sizeof(piece))) > 0;)
    text.append(piece, static_cast<std::size_t>(got));
  return text;
}

void write_all(int fd, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t bytes = ::write(fd, text.data() + done, text.size() - done);
    if (bytes <= 0) return;
    done += static_cast<std::size_t>(bytes);
  }
}

}  // namespace

bool has_nats_server() {
  return !path_of_server().empty();
}

NatsProcess::NatsProcess(std::filesystem::path directory, std::string options, bool jetstream,
                         std::string address)
    : directory_{std::move(directory)},
      options_{std::move(options)},
      jetstream_{jetstream},
      address_{std::move(address)} {
  std::filesystem::create_directories(directory_);
  held_ = hold_a_port(port_);
  start();
}

NatsProcess::~NatsProcess() {
  kill();
  ::close(held_);
  if (testing::Test::HasFailure()) std::printf("--- nats-server\n%s\n", end_of_log().c_str());
}

std::string NatsProcess::url() const {
  if (has_ended()) throw std::runtime_error{"nats-server has ended by itself:\n" + end_of_log()};
  return "nats://127.0.0.1:" + std::to_string(port_);
}

// Whoever asks may be a copy of the process that started it, and knows nothing of it then.
bool NatsProcess::has_ended() const {
  siginfo_t info{};
  return pid_ != 0 && ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

// From where it says why it crashes, if it does.
std::string NatsProcess::end_of_log() const {
  constexpr std::size_t kMost = 8000;
  std::ifstream file{directory_ / "server.log"};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  for (const char* why : {"panic: ", "fatal error: ", "[FTL]"}) {
    if (const std::size_t at = text.find(why); at != std::string::npos) return text.substr(at, kMost);
  }
  return text.substr(text.size() - std::min(text.size(), kMost));
}

void NatsProcess::kill() {
  if (pid_ == 0) return;
  if (has_ended()) ADD_FAILURE() << "nats-server has ended by itself:\n" << end_of_log();
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void NatsProcess::start() {
  const std::string file = (directory_ / "server.conf").string();
  std::ofstream{file} << "listen: \"" << address_ << ":" << port_ << "\"\n"
                      << (jetstream_ ? "jetstream { store_dir: \"" + directory_.string() + "/store\" }\n"
                                     : std::string{})
                      << options_ << "\n";
  const std::string program = path_of_server();
  const std::string log = (directory_ / "server.log").string();
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execl(program.c_str(), "nats-server", "-c", file.c_str(), nullptr);
    ::_exit(127);
  }
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!answers(port_)) {
    if (std::chrono::steady_clock::now() > until || ::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      std::ifstream text{log};
      throw std::runtime_error{"nats-server does not start: " +
                               std::string{std::istreambuf_iterator<char>{text}, {}}};
    }
    std::this_thread::sleep_for(2ms);
  }
}

// A server has several threads, and the signal comes to each in its time: until then it may still answer.
void NatsProcess::pause() {
  const auto is_stopped = [](const std::filesystem::path& thread) {
    std::ifstream file{thread / "stat"};
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(") ");
    return name_end == std::string::npos || text.compare(name_end, 3, ") T") == 0;
  };
  ::kill(pid_, SIGSTOP);
  const std::filesystem::path tasks = "/proc/" + std::to_string(pid_) + "/task";
  while (!std::all_of(std::filesystem::directory_iterator{tasks}, std::filesystem::directory_iterator{},
                      is_stopped))
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
}
void NatsProcess::resume() {
  ::kill(pid_, SIGCONT);
}

bool has_used_libnats() {
  // Its threads stay.
  std::filesystem::directory_iterator tasks{"/proc/self/task"};
  return std::distance(tasks, {}) > 1;
}

std::string run_apart(const std::function<std::string()>& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error{"no pipe"};
  const pid_t child = ::fork();
  if (child == 0) {
    int status = 0;
    std::string result;
    try {
      result = work();
    } catch (const std::exception& error) {
      result = error.what();
      status = 1;
    }
    write_all(ends[1], result);
    ::_exit(status);
  }
  ::close(ends[1]);
  std::string result = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << result;
  return result;
}

void make_stream(const std::string& url, const StreamShape& shape) {
  run_apart([&] {
    const Session session{url};
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char* subjects[] = {shape.subject.c_str()};
    config.Name = shape.name.c_str();
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.MaxMsgSize = static_cast<std::int32_t>(shape.max_message_bytes);
    config.MaxMsgs = shape.max_messages;
    config.MaxAge = shape.max_age_ns;
    config.Duplicates = shape.duplicates_ns;
    if (shape.work_queue) config.Retention = js_WorkQueuePolicy;
    if (shape.discard_new) config.Discard = js_DiscardNew;
    must(js_AddStream(nullptr, session.js, &config, nullptr, nullptr), "making the stream");
    return std::string{};
  });
}

// Each as "sequence subject size\n" and its bytes, which may be any.
std::vector<StreamMessage> messages_of(const std::string& url, const std::string& stream) {
  std::istringstream text{run_apart([&] {
    const Session session{url};
    const jsStreamState state = state_of(session, stream);
    std::string out;
    for (std::uint64_t sequence = state.FirstSeq; sequence != 0 && sequence <= state.LastSeq; ++sequence) {
      natsMsg* message = nullptr;
      if (js_GetMsg(&message, session.js, stream.c_str(), sequence, nullptr, nullptr) != NATS_OK) continue;
      const auto size = static_cast<std::size_t>(natsMsg_GetDataLength(message));
      out.append(std::to_string(sequence)).append(" ").append(natsMsg_GetSubject(message)).append(" ");
      out.append(std::to_string(size)).append("\n").append(natsMsg_GetData(message), size);
      natsMsg_Destroy(message);
    }
    return out;
  })};
  std::vector<StreamMessage> messages;
  StreamMessage message;
  for (std::size_t size = 0; text >> message.sequence >> message.subject >> size;) {
    text.get();
    message.data.resize(size);
    text.read(message.data.data(), static_cast<std::streamsize>(size));
    messages.push_back(message);
  }
  return messages;
}

void send_messages(const std::string& url, const std::string& subject,
                   const std::vector<std::string>& messages) {
  run_apart([&] {
    const Session session{url};
    for (const std::string& message : messages) {
      must(js_PublishAsync(session.js, subject.c_str(), message.data(), static_cast<int>(message.size()),
                           nullptr),
           "sending");
    }
    must(js_PublishAsyncComplete(session.js, nullptr), "sending");
    return std::string{};
  });
}

void delete_message(const std::string& url, const std::string& stream, std::uint64_t sequence) {
  run_apart([&] {
    const Session session{url};
    must(js_DeleteMsg(session.js, stream.c_str(), sequence, nullptr, nullptr), "deleting a message");
    return std::string{};
  });
}

void purge_stream(const std::string& url, const std::string& stream) {
  run_apart([&] {
    const Session session{url};
    must(js_PurgeStream(session.js, stream.c_str(), nullptr, nullptr), "purging a stream");
    return std::string{};
  });
}

void delete_stream(const std::string& url, const std::string& stream) {
  run_apart([&] {
    const Session session{url};
    must(js_DeleteStream(session.js, stream.c_str(), nullptr, nullptr), "deleting a stream");
    return std::string{};
  });
}

std::size_t delete_consumers(const std::string& url, const std::string& stream) {
  return std::stoull(run_apart([&] {
    const Session session{url};
    jsConsumerNamesList* names = nullptr;
    must(js_ConsumerNames(&names, session.js, stream.c_str(), nullptr, nullptr), "the consumers");
    const int count = names->Count;
    for (int i = 0; i < count; ++i)
      must(js_DeleteConsumer(session.js, stream.c_str(), names->List[i], nullptr, nullptr),
           "deleting a consumer");
    jsConsumerNamesList_Destroy(names);
    return std::to_string(count);
  }));
}

std::uint64_t count_of(const std::string& url, const std::string& stream) {
  return std::stoull(run_apart([&] {
    const Session session{url};
    return std::to_string(state_of(session, stream).Msgs);
  }));
}

void wait_for_requests(const std::string& url, const std::string& request, unsigned count) {
  run_apart([&] {
    const Session session{url};
    natsSubscription* told = nullptr;
    must(natsConnection_SubscribeSync(&told, session.connection(), "$JS.EVENT.ADVISORY.API"), "listening");
    for (unsigned seen = 0; seen < count;) {
      natsMsg* message = nullptr;
      must(natsSubscription_NextMsg(&message, told, 60'000), "waiting for requests");
      const std::string text{natsMsg_GetData(message),
                             static_cast<std::size_t>(natsMsg_GetDataLength(message))};
      if (text.find("$JS.API." + request + "\"") != std::string::npos) ++seen;
      natsMsg_Destroy(message);
    }
    natsSubscription_Destroy(told);
    return std::string{};
  });
}

}  // namespace sluice::test
