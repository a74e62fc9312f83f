// SPDX-License-Identifier: Apache-2.0
// What an error of the server means for a sink: a pure function of its SQLSTATE.
// Source: PostgreSQL 15, appendix A, "PostgreSQL Error Codes".
#pragma once

#include <string>
#include <string_view>

namespace sluice::detail {

// Raised by our function `advance` when the owner's epoch is another's: a class that no standard uses.
inline constexpr std::string_view kTakenOver = "SL001";
// And when a watermark is not where the writer has left it.
inline constexpr std::string_view kWentBack = "SL002";

struct ServerError {
  std::string
      state;  // Five characters; empty for an error of the client's own, such as a connection that is refused.
  std::string text;      // The message, with its detail.
  std::string function;  // Of the server's source, which no translation changes.
  bool placed = false;   // It names a place in the text of a statement: that is at fault, and no value.
};

enum class Verdict {
  away,        // Another try may succeed.
  refused,     // The event's values are at fault.
  mistake,     // A person has to mend something.
  taken_over,  // Another process is the owner now.
};

// Of a statement, a transaction or a COMMIT.
Verdict judge(const ServerError& error);
// Of a connection that was not made.
Verdict judge_connection(const ServerError& error);

// Whether libpq, which gives no codes, says that a connection cannot be made as the options have it, whatever the server does.
// Of several hosts another one may do.
bool is_of_our_options(std::string_view text, bool one_host);

// What a person can do about it; empty when the text says it all.
std::string_view remedy_for(std::string_view state);

// The SQLSTATE in a message of libpq's verbose form, "FATAL:  28P01: password ..."; the last one of several. Empty when there
// is none.
std::string state_in(std::string_view verbose);
// Such a message without SQLSTATEs and LOCATION lines, on one line.
std::string plain_text_of(std::string_view verbose);

}  // namespace sluice::detail
