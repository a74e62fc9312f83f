// SPDX-License-Identifier: Apache-2.0
// The fan-out by Node's cluster module: the primary deals events to its workers with process.send() and gathers
// their results. usage: node node_cluster.js EVENTS WORKERS PACK; prints events, the sum of the checksums and
// the seconds between the first event and the last result.
//
// An event travels as the Uint32Array that it is (serialization 'advanced'); JSON took longer. PACK events
// share one message when it is more than 1.
'use strict';
const cluster = require('node:cluster');

const WORDS = 16;
const IN_FLIGHT = 1024;  // Messages to each worker that are not answered yet: nothing piles up.

function handle(words, at) {
  let checksum = 0;
  for (let i = 0; i < WORDS; ++i) checksum = (checksum + Math.imul(words[at + i], 0x85ebca6b + 2 * i)) | 0;
  return checksum >>> 0;
}

function work() {
  process.on('message', (words) => {
    const results = new Uint32Array(words.length / WORDS);
    for (let i = 0; i < results.length; ++i) results[i] = handle(words, i * WORDS);
    process.send(results);
  });
  process.send(null);  // It is there.
}

function deal(events, workers, pack) {
  cluster.setupPrimary({serialization: 'advanced'});
  let next = 0;
  let gathered = 0;
  let sum = 0n;
  let start = 0n;
  const message = () => {
    const count = Math.min(pack, events - next);
    const words = new Uint32Array(count * WORDS);
    for (let e = 0; e < count; ++e, ++next) {
      for (let i = 0; i < WORDS; ++i) words[e * WORDS + i] = next + Math.imul(i, 0x9e3779b1);
    }
    return words;
  };
  const begin = () => {
    start = process.hrtime.bigint();
    for (let i = 0; i < IN_FLIGHT; ++i) {
      for (const worker of Object.values(cluster.workers)) if (next < events) worker.send(message());
    }
  };
  const gather = (worker, results) => {
    let part = 0;
    for (const checksum of results) part += checksum;
    sum += BigInt(part);
    gathered += results.length;
    if (next < events) worker.send(message());
    if (gathered < events) return;
    console.log(`${gathered} ${sum} ${Number(process.hrtime.bigint() - start) / 1e9}`);
    process.exit(0);
  };
  let there = 0;
  for (let w = 0; w < workers; ++w) {
    const worker = cluster.fork();
    worker.on('message', (results) => {
      if (results !== null) gather(worker, results);
      else if (++there === workers) begin();
    });
  }
}

if (cluster.isPrimary) deal(...process.argv.slice(2).map(Number));
else work();
