// SPDX-License-Identifier: Apache-2.0
#include "sqlstate.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace sluice::detail {
namespace {

struct Rule {
  std::string_view begins;  // The first one that fits counts.
  Verdict verdict;
};

constexpr std::array kRules{
    Rule{kTakenOver, Verdict::taken_over},
    Rule{kWentBack, Verdict::mistake},
    Rule{"08", Verdict::away},        // The connection.
    Rule{"0A", Verdict::mistake},     // Not supported.
    Rule{"2200H", Verdict::mistake},  // A sequence has no more numbers.
    Rule{"22", Verdict::refused},     // The data.
    Rule{"23", Verdict::refused},     // A constraint.
    Rule{"25006", Verdict::away},     // Read only: a standby, or a primary that has become one.
    Rule{"25P03", Verdict::away},     // Idle in a transaction for too long: this process was stopped.
    Rule{"25P04", Verdict::away},     // In a transaction for too long.
    Rule{"26", Verdict::mistake},     // No such prepared statement: a pooler.
    Rule{"28", Verdict::mistake},     // Who we are.
    Rule{"2D", Verdict::mistake},     // A procedure that commits.
    Rule{"3D", Verdict::mistake},     // No such database.
    Rule{"3F", Verdict::mistake},     // No such schema.
    Rule{"40", Verdict::away},        // Deadlock, serialization.
    Rule{"42", Verdict::mistake},     // Names, types, syntax, rights.
    Rule{"53", Verdict::away},        // Disk full, memory, connections.
    Rule{"54", Verdict::refused},     // Larger than the server's limits: an index row, a field.
    Rule{"55006", Verdict::away},     // An object in use.
    Rule{"55P03", Verdict::away},     // A lock that is not to be had.
    Rule{"55", Verdict::mistake},     // What an object is not ready for: a view takes no rows.
    Rule{"57P04", Verdict::mistake},  // The database was dropped.
    Rule{"57", Verdict::away},        // Shutdown, start, cancelled.
    Rule{"58", Verdict::away},        // The server's disk.
    Rule{"72", Verdict::away},        // A snapshot that is too old.
    Rule{"F0", Verdict::mistake},     // The server's configuration.
    Rule{"HV00N", Verdict::away},     // The server behind a foreign table.
    Rule{"XX", Verdict::mistake},     // Corrupt, or a bug of the server's.
};

struct Remedy {
  std::string_view begins;
  std::string_view text;
};

constexpr std::array kRemedies{
    Remedy{"2200H", "give it room: ALTER SEQUENCE ... MAXVALUE, and a larger type to its column if need be"},
    Remedy{"22023", "correct the option that the text names"},
    Remedy{"26", "connect to the server itself, or to a pooler in session mode"},
    Remedy{"28P01", "correct user and password in the URL, PGPASSWORD or ~/.pgpass"},
    Remedy{"28", "let this user in by the server's pg_hba.conf, or give another one in the URL"},
    Remedy{"2D", "no transaction may end within a statement of the sink"},
    Remedy{"3D", "make the database by createdb, or name another one in the URL"},
    Remedy{"3F", "make the schema, or set search_path of the user"},
    Remedy{"42501", "GRANT the right to this user; PostgresStore::tables() has the store's own statements"},
    Remedy{"42601", "correct the statement"},
    Remedy{"42P01", "make the table, or correct its name and search_path"},
    Remedy{"42703", "correct the statement, or restore the column"},
    Remedy{"42804", "correct the statement, or cast the parameter: $1::type"},
    Remedy{"42883", "correct the statement, or restore the function"},
    Remedy{"42P18", "cast the parameter: $1::type"},
    Remedy{"42", "correct the statement, or restore what it names"},
    Remedy{"57P04", "restore the database"},
    Remedy{kWentBack,
           "give it the store with all that was applied; or begin anew, without the segment and the "
           "checkpoints of this "
           "pipeline"},
};

bool is_code(std::string_view text) {
  return text.size() == 5 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
         });
}

// Where the next "  CODE: " begins, its five characters; npos when there is none.
std::size_t find_code(std::string_view text, std::size_t from) {
  for (std::size_t at = text.find(":  ", from); at != std::string_view::npos; at = text.find(":  ", at + 1)) {
    if (is_code(text.substr(at + 3, 5)) && text.substr(at + 8, 2) == ": ") return at + 3;
  }
  return std::string_view::npos;
}

// What the state alone does not say.
std::optional<Verdict> judge_source(const ServerError& error) {
  const auto is = [&error](std::string_view state, std::string_view function) {
    return error.state == state && error.function == function;
  };
  // A row type changed under a prepared statement: a new session prepares it anew.
  if (is("0A000", "RevalidateCachedQuery")) return Verdict::away;
  // The server has no more numbers for transactions until somebody has run VACUUM.
  if (is("54000", "GetNewTransactionId") || is("54000", "GetNewMultiXactId")) return Verdict::away;
  // A row that a policy of the table or a view forbids.
  if (is("42501", "ExecWithCheckOptions")) return Verdict::refused;
  // A value, or what a function makes of it, is larger than the gigabyte that the server gives to one. Not translated.
  if (error.state == "XX000" && error.text.starts_with("invalid memory alloc request size"))
    return Verdict::refused;
  // Of a value that is read: a tsquery, a jsonpath; the name of a time zone or a configuration.
  if (!error.placed && (error.state == "42601" || error.state == "42704")) return Verdict::refused;
  return {};
}

}  // namespace

Verdict judge(const ServerError& error) {
  if (error.state.empty()) return Verdict::away;
  if (const auto verdict = judge_source(error)) return *verdict;
  const auto* const rule = std::find_if(kRules.begin(), kRules.end(), [&error](const Rule& candidate) {
    return error.state.starts_with(candidate.begins);
  });
  // All others are what functions and triggers raise: of PL/pgSQL, of external routines, of the user's own codes.
  return rule == kRules.end() ? Verdict::refused : rule->verdict;
}

Verdict judge_connection(const ServerError& error) {
  // A database that takes no connections for a while.
  if (error.state == "55000") return Verdict::away;
  const Verdict verdict = judge(error);
  return verdict == Verdict::refused ? Verdict::mistake : verdict;
}

std::string_view remedy_for(std::string_view state) {
  const auto* const remedy =
      std::find_if(kRemedies.begin(), kRemedies.end(),
                   [state](const Remedy& candidate) { return state.starts_with(candidate.begins); });
  return remedy == kRemedies.end() ? std::string_view{} : remedy->text;
}

bool is_of_our_options(std::string_view text, bool one_host) {
  using namespace std::string_view_literals;
  constexpr std::array kOfAllHosts{"could not match "sv, "definition of service "sv, "service file "sv};
  constexpr std::array kOfAHost{"could not parse network address"sv,
                                "channel binding"sv,
                                "GSSAPI encryption required"sv,
                                "requirepeer"sv,
                                "certificate file"sv,
                                "private key"sv,
                                "server certificate for "sv,
                                "weak sslmode"sv,
                                "socket path"sv};
  const auto is_said = [text](std::string_view part) { return text.find(part) != std::string_view::npos; };
  return text.starts_with("invalid ") || text.ends_with("SSL was required") ||
         std::any_of(kOfAllHosts.begin(), kOfAllHosts.end(), is_said) ||
         (one_host && std::any_of(kOfAHost.begin(), kOfAHost.end(), is_said));
}

std::string state_in(std::string_view verbose) {
  std::string state;
  for (std::size_t at = find_code(verbose, 0); at != std::string_view::npos; at = find_code(verbose, at))
    state = verbose.substr(at, 5);
  return state;
}

std::string plain_text_of(std::string_view verbose) {
  std::string text;
  while (!verbose.empty()) {
    const std::size_t end = std::min(verbose.find('\n'), verbose.size());
    std::string_view line = verbose.substr(0, end);
    verbose.remove_prefix(std::min(end + 1, verbose.size()));
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t'))
      line.remove_prefix(1);
    if (line.empty() || line.starts_with("LOCATION:")) continue;
    if (!text.empty()) text.append("; ");
    const std::size_t code = find_code(line, 0);
    if (code == std::string_view::npos) {
      text.append(line);
    } else {
      text.append(line.substr(0, code - 1)).append(line.substr(code + 7));
    }
  }
  return text;
}

}  // namespace sluice::detail
