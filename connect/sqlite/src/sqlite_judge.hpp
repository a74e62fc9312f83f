// SPDX-License-Identifier: Apache-2.0
// What the user's SQL may do in the database of a store: authorizers of SQLite's, which are asked while a text is prepared.
#pragma once

namespace sluice::detail {

using SqliteJudge = int (*)(void*, int action, const char* what, const char* on, const char* database,
                            const char* source);

// A statement that is the effect of an event: transactions, other databases, temporary ones too, pragmas and our own tables are not
// its business. What is beside the database is in no transaction with the watermarks, or goes with the connection.
int judge_effect(void*, int action, const char* what, const char* on, const char* database,
                 const char* source);

// SqliteOptions::schema, which is run within a transaction of the store's: that and our own tables are not its business.
int judge_schema(void*, int action, const char* what, const char* on, const char* database,
                 const char* source);

}  // namespace sluice::detail
