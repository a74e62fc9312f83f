-- SPDX-License-Identifier: Apache-2.0
-- What `bank --postgres` needs: psql --file examples/bank/tables.sql postgresql://...
CREATE TABLE IF NOT EXISTS payment (id BIGINT PRIMARY KEY, account TEXT NOT NULL, cents BIGINT NOT NULL, balance BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, cents BIGINT NOT NULL);
