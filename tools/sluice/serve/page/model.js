// SPDX-License-Identifier: Apache-2.0
// What is made of the JSON of `sluice stats` before it is drawn: sums over workers, flows between stages, what happened.

function sumOf(list, value) {
  return list.reduce((sum, each) => sum + (value(each) ?? 0), 0);
}

// The mean of what is known of its workers; null where nothing is.
function sharesOf(stage) {
  const known = stage.workers.filter((worker) => worker.rates !== null);
  if (known.length === 0) return null;
  const mean = (name) => sumOf(known, (worker) => worker.rates[name]) / known.length;
  return {busy: mean('busy'), waiting: mean('waiting'), full: mean('full'), outside: mean('outside')};
}

function isGone(worker) {
  return worker.pid === null && worker.state !== 'finished';
}

function eventsOf(stage, worker) {
  return stage.source ? worker.events_out : worker.events_in;
}

// All lanes from one stage, or inlet, to one stage, or outlet.
function flowsOf(stats) {
  const stageOf = new Map();
  for (const stage of stats.stages) {
    for (const worker of stage.workers) stageOf.set(worker.name, stage.name);
  }
  const flows = new Map();
  for (const lane of stats.lanes) {
    const from = stageOf.get(lane.from);
    const to = stageOf.get(lane.to);
    const key = JSON.stringify([from ?? lane.from, from !== undefined, to ?? lane.to, to !== undefined]);
    const flow = flows.get(key) ?? {from: from ?? 'in:' + lane.from, to: to ?? 'out:' + lane.to, lanes: 0, events: 0,
      occupancy: 0};
    flows.set(key, flow);
    flow.lanes += 1;
    flow.events = flow.events === null || lane.events === null ? null : flow.events + lane.events;
    flow.occupancy = Math.max(flow.occupancy, lane.capacity_bytes > 0 ? lane.bytes / lane.capacity_bytes : 0);
  }
  return [...flows.values()];
}

// The boxes of the drawing: stages, and the ends that are no stages.
function nodesOf(stats, flows) {
  const nodes = new Map();
  for (const flow of flows) {
    if (flow.from.startsWith('in:') && !nodes.has(flow.from))
      nodes.set(flow.from, {id: flow.from, name: flow.from.slice(3), kind: 'inlet', stage: null});
  }
  for (const stage of stats.stages)
    nodes.set(stage.name, {id: stage.name, name: stage.name, kind: stage.source ? 'source' : 'stage', stage});
  for (const flow of flows) {
    if (flow.to.startsWith('out:') && !nodes.has(flow.to))
      nodes.set(flow.to, {id: flow.to, name: flow.to.slice(4), kind: 'outlet', stage: null});
  }
  return [...nodes.values()];
}

// What happened to one pipeline since this life of it began: what its reports say, and of deaths and masters what only
// the counters say, as when a report could not be written or is still being written.
class History {
  constructor() {
    this.events = [];
    this.lines = new Set();
    this.masters = null;
    this.since = 0;
  }

  // A line of deaths.jsonl.
  addLine(line) {
    if (this.lines.has(line)) return;
    this.lines.add(line);
    let report = null;
    try {
      report = JSON.parse(line);
    } catch {
      // Cut, or no report: shown as it stands.
    }
    const time = Date.parse(report?.time ?? '');
    this.add({key: line, time: Number.isNaN(time) ? Date.now() : time, report, line});
  }

  add(event) {
    if (event.report?.report === 'death') {
      this.events = this.events.filter((other) => !other.guessed || !this.isSameDeath(other, event));
    }
    this.events.push(event);
    this.events.sort((a, b) => b.time - a.time);
    for (const gone of this.events.splice(300)) this.lines.delete(gone.key);
  }

  isSameDeath(one, other) {
    return one.report.worker === other.report?.worker && other.report?.report === 'death' &&
      Math.abs(one.time - other.time) < 2000;
  }

  addStats(stats) {
    const now = Date.parse(stats.time);
    this.since = now - stats.uptime_seconds * 1000;
    for (const stage of stats.stages) {
      for (const worker of stage.workers) this.addDeath(worker, now);
    }
    if (this.masters !== null && stats.masters > this.masters) {
      this.add({key: 'master ' + stats.masters, time: now, line: '',
        report: {report: 'master', worker: 'master', cause: 'died, and was replaced'}});
    }
    this.masters = stats.masters;
  }

  addDeath(worker, now) {
    const death = worker.last_death;
    if (death === null || death.seconds_ago === null) return;
    const event = {key: worker.name + ' ' + worker.restarts, time: now - death.seconds_ago * 1000, line: '', guessed: true,
      report: {report: 'death', worker: worker.name, cause: death.cause, signal: death.signal ?? 0, restarts: worker.restarts}};
    if (event.time < this.since || this.events.some((other) => this.isSameDeath(event, other))) return;
    this.add(event);
  }

  // Reports of an earlier life, or of another pipeline in the same directory, are left out.
  shown(pipeline) {
    return this.events.filter((event) => event.time >= this.since - 1000 &&
      (event.report?.pipeline === undefined || event.report.pipeline === pipeline));
  }
}

// What has happened to its events' rates in the last two minutes, by stage.
class Rates {
  constructor() {
    this.byStage = new Map();
  }

  add(stats) {
    const now = Date.parse(stats.time);
    for (const stage of stats.stages) {
      const points = this.byStage.get(stage.name) ?? [];
      this.byStage.set(stage.name, points);
      points.push({time: now, rate: stage.events_per_second ?? 0});
      while (points.length > 0 && points[0].time < now - 120000) points.shift();
    }
  }

  of(stage) {
    return this.byStage.get(stage) ?? [];
  }
}
