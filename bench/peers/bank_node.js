// SPDX-License-Identifier: Apache-2.0
// examples/bank as one writes it with Node: the primary takes payments over TCP and deals them by account to workers of the
// cluster module, which write them with better-sqlite3. The same protocol, tables, durability and rules.
// usage: NODE_PATH=DIR/node_modules node bank_node.js PORT DATABASE WORKERS; prints the port once it listens.
//
// Written with care: a worker's batch is a transaction, the primary acknowledges what was committed, keeps what was not
// confirmed, and gives it to the replacement of a worker that dies; an id that was committed is refused by its key. Where
// each sender is the primary alone knows.
'use strict';
const cluster = require('node:cluster');
const net = require('node:net');

const [port, path, workers] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const PAYMENTS_A_BATCH = 256;
const BATCHES_ON_THEIR_WAY = 4;  // To each worker.

function open_database() {
  const database = new (require('better-sqlite3'))(path, {timeout: 30_000});
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  return database;
}

function work() {
  process.title = 'bank-worker';
  const database = open_database();
  const balances = new Map(database.prepare('SELECT name, cents FROM account').raw().all());
  const insert = database.prepare('INSERT INTO payment VALUES (?, ?, ?, ?)');
  const update = database.prepare(
    'INSERT INTO account VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET cents = excluded.cents');
  const book = database.transaction((batch) => {
    const changed = new Map();
    for (const [id, account, cents] of batch) {
      const balance = (changed.get(account) ?? balances.get(account) ?? 0) + cents;
      if (balance < 0) continue;
      try {
        insert.run(id, account, cents, balance);
      } catch (error) {
        if (error.code !== 'SQLITE_CONSTRAINT_PRIMARYKEY') throw error;
        continue;
      }
      changed.set(account, balance);
    }
    for (const [account, balance] of changed) update.run(account, balance);
    return changed;
  });
  process.on('message', ({number, batch}) => {
    for (const [account, balance] of book.immediate(batch)) balances.set(account, balance);
    process.send(number);
  });
}

// Cents of "-12.50", exactly; nothing for what is no payment.
function payment_of(line) {
  let parsed;
  try {
    parsed = JSON.parse(line);
  } catch {
    return undefined;
  }
  const amount = /^(-?)(\d+)\.(\d\d)$/.exec(parsed?.amount);
  if (!amount || typeof parsed.account !== 'string' || !Number.isSafeInteger(parsed.id)) return undefined;
  const cents = Number(amount[2]) * 100 + Number(amount[3]);
  return [parsed.id, parsed.account, amount[1] ? -cents : cents];
}

function hash_of(text) {
  let hash = 0;
  for (let i = 0; i < text.length; ++i) hash = Math.imul(hash, 31) + text.charCodeAt(i) | 0;
  return hash >>> 0;
}

// One worker, and its replacements.
class Desk {
  waiting = [];         // Payments, each with its sender and number.
  on_their_way = [];    // Batches that are not confirmed, in order.
  number = 0;

  constructor() {
    this.fork();
  }
  fork() {
    this.worker = cluster.fork();
    this.worker.on('message', (number) => {
      // What a dead worker had confirmed may come after its replacement has been given it again.
      if (this.on_their_way[0]?.number === number) this.confirmed(this.on_their_way.shift().entries);
    });
    this.worker.on('exit', () => this.fork());
    for (const batch of this.on_their_way) this.send(batch);
  }
  send({number, entries}) {
    // One that is dead gets nothing, and is replaced.
    this.worker.send({number, batch: entries.map((entry) => entry.payment)}, () => {});
  }
  add(payment, sender, number) {
    this.waiting.push({payment, sender, number});
  }
  go_on() {
    while (this.waiting.length > 0 && this.on_their_way.length < BATCHES_ON_THEIR_WAY) {
      const batch = {number: ++this.number, entries: this.waiting.splice(0, PAYMENTS_A_BATCH)};
      this.on_their_way.push(batch);
      this.send(batch);
    }
  }
  confirmed(entries) {
    const senders = new Set();
    for (const {sender, number} of entries) {
      sender.done(number);
      senders.add(sender);
    }
    for (const sender of senders) sender.tell();
    this.go_on();
  }
}

class Sender {
  committed = 0;  // All up to this one are,
  later = new Set();  // and these.
  received = 0;
  told = 0;
  socket = undefined;

  done(number) {
    this.later.add(number);
    while (this.later.delete(this.committed + 1)) ++this.committed;
  }
  tell() {
    if (this.committed === this.told) return;
    this.told = this.committed;
    this.socket?.write(`ack ${this.committed}\n`);
  }
}

function serve() {
  const database = open_database();
  database.exec('CREATE TABLE IF NOT EXISTS payment (id BIGINT PRIMARY KEY, account TEXT NOT NULL, ' +
    'cents BIGINT NOT NULL, balance BIGINT NOT NULL);' +
    'CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, cents BIGINT NOT NULL)');
  database.close();
  const desks = Array.from({length: workers}, () => new Desk());
  const senders = new Map();
  const server = net.createServer((socket) => {
    let rest = '';
    let sender;
    let number = 0;
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const lines = (rest + data.toString('latin1')).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        if (sender === undefined) {
          const id = line.slice('hello '.length);
          if (!senders.has(id)) senders.set(id, new Sender());
          sender = senders.get(id);
          sender.socket = socket;
          number = sender.told = sender.committed;
          socket.write(`at ${number}\n`);
          continue;
        }
        if (++number <= sender.received) continue;  // It is on its way.
        sender.received = number;
        const payment = payment_of(line);
        if (payment) desks[hash_of(payment[1]) % workers].add(payment, sender, number);
        else sender.done(number);
      }
      for (const desk of desks) desk.go_on();
      sender?.tell();
    });
  });
  server.listen(port, '127.0.0.1', () => console.log(server.address().port));
}

if (cluster.isPrimary) serve();
else work();
