// SPDX-License-Identifier: Apache-2.0
// The store's own tables, and the statements that it runs on them.
//
//   owner      name, stage, replica -> epoch, run  one row for each worker that writes here, and the run that claimed it last
//   watermark  ..., origin -> upto                 one row for each lane of it: 64 bits without a sign, kept as bigint
//   advance()  checks the epoch under a lock of the owner's row, then moves watermarks. Every transaction begins with it, so that
//              a claim, which updates that row, waits for each transaction that may still commit, and one that begins
//              after the claim finds another epoch. It raises SL001 then, which takes the whole transaction down: so the
//              check costs no round trip of its own.
//   claim()    raises the epoch. A run that has written here, and from which another run took over meanwhile, is refused as
//              well: a host that was stopped for a while, and whose connections are gone, must not take over in turn.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::detail {

// As SQL writes a name, in quotes. Throws Error for one that PostgreSQL cannot have as a schema.
std::string quoted_schema(std::string_view schema);

// `schema` is in quotes in all of these.
std::string schema_statement(const std::string& schema);
std::vector<std::string> table_statements(const std::string& schema);
// The signature of the one that is made last, as to_regprocedure() takes it.
std::string claim_signature(const std::string& schema);

// $1 name, $2 stage, $3 replica, $4 epoch, $5 origins, $6 ends.
std::string advance_statement(const std::string& schema);
// $1 name, $2 stage, $3 replica; returns the epoch, 0 when nobody has claimed yet.
std::string epoch_statement(const std::string& schema);
// $1 name, $2 stage, $3 replica, $4 replicas, $5 run, $6 first and $7 last of its origins, $8 the epoch that was seen; returns
// the new epoch, or nothing when it is another one by now. Waits for a transaction of the owner that is under way. Raises the
// epochs of replicas from $4 on too, which a smaller stage does not have.
std::string claim_statement(const std::string& schema);
// $1 name, $2 stage, $3 replica, $4 first origin, $5 last origin; returns origin and end.
std::string watermarks_statement(const std::string& schema);

}  // namespace sluice::detail
