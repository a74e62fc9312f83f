// SPDX-License-Identifier: Apache-2.0
#include "postgres_server.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <grp.h>
#include <iterator>
#include <libpq-fe.h>
#include <memory>
#include <netinet/in.h>
#include <pwd.h>
#include <sstream>
#include <stdexcept>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::chrono::seconds kServerDeadline{60};

template <class Done>
bool in_time(Done&& done) {
  const auto until = std::chrono::steady_clock::now() + kServerDeadline;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

// Empty when it cannot be read. Not by a stream, which throws when a process goes away while /proc is read.
std::string content_of(const fs::path& path) {
  std::string content;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::array<char, 4096> piece{};
  for (ssize_t got = 0; fd >= 0 && (got = ::read(fd, piece.data(), piece.size())) > 0;)
    content.append(piece.data(), static_cast<std::size_t>(got));
  if (fd >= 0) ::close(fd);
  return content;
}

// Bound as long as this process lives, and nobody else's while the server is away: it binds it too, as both set SO_REUSEADDR.
int own_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int again = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &again, sizeof(again));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  int port = 0;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    port = ntohs(address.sin_port);
  return port;
}

// The processes that the postmaster has started, and itself.
std::vector<pid_t> family_of(pid_t postmaster) {
  const std::string pid = std::to_string(postmaster);
  std::istringstream file{content_of("/proc/" + pid + "/task/" + pid + "/children")};
  std::vector<pid_t> family{postmaster};
  std::copy(std::istream_iterator<pid_t>{file}, {}, std::back_inserter(family));
  return family;
}

// As /proc has it; X when there is no such process.
char state_of(pid_t pid) {
  const std::string stat = content_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(") ");
  return name_end == std::string::npos ? 'X' : stat[name_end + 2];
}

// Or dead and not reaped yet.
bool is_gone(pid_t pid) {
  const char state = state_of(pid);
  return state == 'X' || state == 'Z';
}

// 0 when there is none. The file may be of one that was killed, whose number another process has now.
pid_t postmaster_of(const fs::path& data) {
  std::istringstream file{content_of(data / "postmaster.pid")};
  pid_t pid = 0;
  file >> pid;
  if (!file || pid <= 1) return 0;
  const std::string command = content_of("/proc/" + std::to_string(pid) + "/cmdline");
  return command.find(data.string()) == std::string::npos ? 0 : pid;
}

// Of the System V segments that servers leave a machine has 4,096. The 7th line of postmaster.pid has key and number.
void remove_shared_segment(const fs::path& data) {
  std::ifstream file{data / "postmaster.pid"};
  std::string line;
  for (int number = 1; number <= 7; ++number)
    std::getline(file, line);
  unsigned long key = 0;
  int segment = 0;
  shmid_ds found{};
  std::istringstream{line} >> key >> segment;
  if (::shmctl(segment, IPC_STAT, &found) == 0 && static_cast<key_t>(key) == found.shm_perm.__key && key != 0)
    ::shmctl(segment, IPC_RMID, nullptr);
}

// Gives up what this process has open, but for `kept`.
void say_nothing(int kept = -1) {
  const int nothing = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; ++fd)
    ::dup2(nothing, fd);
  const int last = static_cast<int>(::sysconf(_SC_OPEN_MAX));
  for (int fd = 3; fd < std::min(last, 4096); ++fd) {
    if (fd != kept) ::close(fd);
  }
}

}  // namespace

std::optional<fs::path> PostgresServer::programs() {
  if (const char* named = std::getenv("SLUICE_POSTGRES_BIN")) return fs::path{named};
  fs::path found = "/usr/lib/postgresql/15/bin";
  if (fs::exists(found / "postgres") && fs::exists(found / "initdb")) return found;
  return {};
}

std::optional<PostgresServer::User> PostgresServer::other_user() {
  if (::geteuid() != 0) return {};
  for (const char* name : {"postgres", "nobody"}) {
    if (const passwd* user = ::getpwnam(name)) return User{user->pw_uid, user->pw_gid};
  }
  throw std::runtime_error{
      "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody"};
}

PostgresServer::PostgresServer(const fs::path& cache, const std::vector<std::string>& configuration) {
  if (!programs()) throw std::runtime_error{"PostgreSQL is missing (Debian: postgresql-15)"};
  make_directory();
  make_cluster(cache, configuration);
  start();
}

PostgresServer::PostgresServer(StandbyOf standby) {
  make_directory();
  run("pg_basebackup", {"-h", "127.0.0.1", "-p", std::to_string(standby.primary.port()), "-U", "sluice", "-D",
                        data_.string(), "-c", "fast", "-X", "stream", "-R"});
  std::ofstream file{data_ / "postgresql.conf", std::ios::app};
  file << "unix_socket_directories = '" << directory_.string() << "'\n";
  file.close();
  start();
}

void PostgresServer::make_directory() {
  // Short: a Unix socket's path has 107 bytes.
  std::string name = (fs::temp_directory_path() / "sluice-pg-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"no directory can be made: " + name};
  directory_ = name;
  data_ = directory_ / "data";
  fs::permissions(directory_, fs::perms{0755});
  const auto user = other_user();
  if (user && ::chown(directory_.c_str(), user->uid, user->gid) != 0)
    throw std::runtime_error{"the directory cannot be given to another user"};
  start_guard();
}

PostgresServer::~PostgresServer() {
  kill();
  remove_shared_segment(data_);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
  if (guard_ >= 0) ::close(guard_);
}

// Twice removed: no child of this process, which may count its children.
void PostgresServer::start_guard() {
  std::array<int, 2> line{};
  if (::pipe2(line.data(), O_CLOEXEC) != 0) throw std::runtime_error{"no pipe can be made"};
  const pid_t between = ::fork();
  if (between == 0) {
    if (::fork() == 0) guard(line[0]);
    ::_exit(0);
  }
  ::waitpid(between, nullptr, 0);
  ::close(line[0]);
  guard_ = line[1];
}

// Starts a postmaster for each number of a port that `line` says, and reaps all its processes, those too whose postmaster
// was killed.
void PostgresServer::guard(int line) const {
  ::setsid();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::signal(SIGCHLD, SIG_IGN);
  say_nothing(line);
  while (true) {
    int port = 0;
    const ssize_t got = ::read(line, &port, sizeof(port));
    if (got < 0 && errno == EINTR) continue;
    if (got != sizeof(port)) break;
    if (::fork() == 0) {
      ::signal(SIGCHLD, SIG_DFL);
      execute({(*programs() / "postgres").string(), "-D", data_.string(), "-p", std::to_string(port)},
              directory_ / "server.log");
    }
  }
  if (const pid_t postmaster = postmaster_of(data_)) {
    for (const pid_t pid : family_of(postmaster))
      ::kill(pid, SIGKILL);
  }
  remove_shared_segment(data_);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
  ::_exit(0);
}

// Becomes this program, as the other user.
void PostgresServer::execute(const std::vector<std::string>& command, const fs::path& output) {
  const auto user = other_user();
  say_nothing();
  const int log = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  ::dup2(log, 1);
  ::dup2(log, 2);
  if (user && (::setgroups(0, nullptr) != 0 || ::setgid(user->gid) != 0 || ::setuid(user->uid) != 0))
    ::_exit(126);
  if (::chdir("/") != 0) ::_exit(125);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

// As the other user, to its end.
void PostgresServer::run(const std::string& program, const std::vector<std::string>& words) const {
  const fs::path output = directory_ / (program + ".log");
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<std::string> command{(*programs() / program).string()};
    command.insert(command.end(), words.begin(), words.end());
    execute(command, output);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) throw std::runtime_error{program + " failed:\n" + content_of(output)};
}

void PostgresServer::initdb(const fs::path& data) const {
  run("initdb", {"-D", data.string(), "-U", "sluice", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
                 "--no-instructions", "--wal-segsize=1"});
}

void PostgresServer::make_cluster(const fs::path& cache, const std::vector<std::string>& configuration) {
  const auto user = other_user();
  if (cache.empty()) {
    initdb(data_);
  } else {
    const fs::path kept = cache / ("postgres-" + std::to_string(::geteuid()));
    // One process makes it; the others wait and copy it.
    fs::create_directories(cache);
    const int lock = ::open((kept.string() + ".lock").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ::flock(lock, LOCK_EX);
    if (!fs::exists(kept)) {
      initdb(data_);
      const fs::path made = kept.string() + ".part";
      fs::remove_all(made);
      fs::copy(data_, made, fs::copy_options::recursive);
      fs::rename(made, kept);
    } else {
      fs::copy(kept, data_, fs::copy_options::recursive);
    }
    ::close(lock);
  }
  std::ofstream file{data_ / "postgresql.conf", std::ios::app};
  file
      << "listen_addresses = '127.0.0.1'\nunix_socket_directories = '" << directory_.string() << "'\n"
      << "fsync = off\nfull_page_writes = off\nshared_buffers = 32MB\nmax_connections = 40\n"
      << "wal_level = minimal\nmax_wal_senders = 0\nmax_prepared_transactions = 10\nautovacuum_naptime = 1s\n"
      << "dynamic_shared_memory_type = mmap\nlog_min_messages = warning\nlog_line_prefix = '%t %p %a: '\n";
  for (const std::string& line : configuration)
    file << line << "\n";
  file.close();
  fs::permissions(data_, fs::perms{0700});
  if (!user) return;
  for (const auto& entry : fs::recursive_directory_iterator{data_}) {
    if (::lchown(entry.path().c_str(), user->uid, user->gid) != 0)
      throw std::runtime_error{"a file cannot be given to another user"};
  }
  if (::chown(data_.c_str(), user->uid, user->gid) != 0)
    throw std::runtime_error{"the data cannot be given to another user"};
}

void PostgresServer::start() {
  if (running()) return;
  if (port_ == 0) port_ = own_port();
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (try_to_start()) return;
  }
  throw std::runtime_error{"PostgreSQL does not start:\n" + log()};
}

bool PostgresServer::try_to_start() {
  const std::size_t said = log().size();
  if (::write(guard_, &port_, sizeof(port_)) != sizeof(port_)) throw std::runtime_error{"the guard is gone"};
  pid_t postmaster = 0;
  const auto until = std::chrono::steady_clock::now() + kServerDeadline;
  while (std::chrono::steady_clock::now() < until) {
    const pid_t seen = postmaster_of(data_);
    if (seen != 0 && !is_gone(seen)) postmaster = seen;
    if (postmaster != 0 && is_gone(postmaster)) return false;
    if (postmaster != 0 && PQping(url().c_str()) == PQPING_OK) {
      postmaster_ = postmaster;
      return true;
    }
    if (log().find("could not create any TCP/IP sockets", said) != std::string::npos) return false;
    std::this_thread::sleep_for(2ms);
  }
  return false;
}

void PostgresServer::wait_until_gone(const std::vector<pid_t>& processes) const {
  if (!in_time([&] { return std::all_of(processes.begin(), processes.end(), is_gone); }))
    throw std::runtime_error{"a process of PostgreSQL does not end"};
}

void PostgresServer::kill() {
  if (!running()) return;
  // Stopped first, so that it starts no other meanwhile, which would hold on to its shared memory.
  ::kill(postmaster_, SIGSTOP);
  in_time([this] { return state_of(postmaster_) == 'T' || is_gone(postmaster_); });
  const std::vector<pid_t> family = family_of(postmaster_);
  for (const pid_t pid : family)
    ::kill(pid, SIGKILL);
  postmaster_ = 0;
  wait_until_gone(family);
}

void PostgresServer::freeze() {
  // The postmaster first, so that it starts no other.
  ::kill(postmaster_, SIGSTOP);
  in_time([this] { return state_of(postmaster_) == 'T'; });
  frozen_ = family_of(postmaster_);
  for (const pid_t pid : frozen_)
    ::kill(pid, SIGSTOP);
}

void PostgresServer::thaw() {
  for (const pid_t pid : frozen_)
    ::kill(pid, SIGCONT);
  frozen_.clear();
}

void PostgresServer::stop() {
  if (!running()) return;
  const std::vector<pid_t> family = family_of(postmaster_);
  ::kill(postmaster_, SIGINT);
  postmaster_ = 0;
  wait_until_gone(family);
}

std::string PostgresServer::url(const std::string& database) const {
  return "host=" + directory_.string() + " port=" + std::to_string(port_) + " user=sluice dbname=" + database;
}

std::string PostgresServer::tcp_url(const std::string& database) const {
  return "postgresql://sluice@127.0.0.1:" + std::to_string(port_) + "/" + database;
}

void PostgresServer::let_in(const std::string& lines) {
  std::ofstream{data_ / "pg_hba.conf"} << lines;
  query("SELECT pg_reload_conf()");
}

std::string PostgresServer::log() const {
  return content_of(directory_ / "server.log");
}

}  // namespace sluice::test
