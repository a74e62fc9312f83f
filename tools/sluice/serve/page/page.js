// SPDX-License-Identifier: Apache-2.0
// The page as a whole: it listens to /live, keeps what it has heard of each pipeline, and shows one of them.

const state = {
  pipelines: new Map(),  // By name: {stats, history, rates, letters, gone}.
  missing: [],
  refusals: [],
  nodes: [],
  chosen: decodeURIComponent(location.hash.slice(1)),
  paused: false,
  heard: 0,
};
const graph = new Graph(byId('graph'));
const speaker = new Speaker(byId('said'));

function pipelineOf(name) {
  if (!state.pipelines.has(name)) {
    state.pipelines.set(name, {stats: null, history: new History(), rates: new Rates(), letters: null, gone: false});
  }
  return state.pipelines.get(name);
}

function takeStats(told) {
  state.missing = told.missing;
  state.refusals = told.refusals;
  state.nodes = told.nodes;
  for (const each of state.pipelines.values()) each.gone = true;
  for (const {name, stats} of told.pipelines) {
    const pipeline = pipelineOf(name);
    pipeline.gone = false;
    pipeline.stats = stats;
    pipeline.history.addStats(stats);
    pipeline.rates.add(stats);
  }
}

function takeReports(told) {
  for (const {pipeline, line} of told) pipelineOf(pipeline).history.addLine(line);
}

function takeLetters(told) {
  for (const each of told) pipelineOf(each.pipeline).letters = each.told;
}

function showPipelines(names) {
  keep(byId('pipelines'), names, (name) => name, (name) => {
    const button = make('button', {type: 'button'});
    button.addEventListener('click', () => {
      state.chosen = name;
      history.replaceState(null, '', '#' + encodeURIComponent(name));
      show();
    });
    return button;
  }, (button, name) => {
    setText(button, name + (state.pipelines.get(name).gone ? ' (gone)' : ''));
    setAttributes(button, {'aria-current': name === state.chosen});
  });
  byId('pipelines').hidden = names.length < 2;
}

function showNothing() {
  setText(byId('nothing'), 'No pipeline of this user is running. This page shows one as soon as it runs.' +
    (state.missing.length > 0 ? ' Asked for: ' + state.missing.map(plain).join(', ') + '.' : ''));
}

// By the clock of its machine, which both times are of; empty for less than that many seconds.
function ageText(stats, time, least) {
  const seconds = Math.max((Date.parse(stats.time) - Date.parse(time)) / 1000, 0);
  return seconds >= least ? `, ${agoText(seconds)}` : '';
}

// What the program tells of its pipeline: "cluster orders, partition 3".
function showFacts(facts) {
  const words = Object.entries(facts).map(([name, value]) => `${plain(name)} ${plain(value)}`);
  setText(byId('facts'), words.join(', '));
  byId('facts').hidden = words.length === 0;
}

function showCounts(stats, gone) {
  const deaths = sumOf(stats.stages, (stage) => sumOf(stage.workers, (worker) => worker.restarts));
  const counts = [['replaced', counted(deaths, 'worker', ' replaced'), false],
    ['masters', counted(stats.masters, 'master'), false],
    ['letters', counted(stats.dead_letters, 'dead letter'), stats.dead_letters > 0],
    ['problems', counted(stats.problems, 'problem', ' reported'), stats.problems > 0],
    ['reports', counted(stats.reports_lost, 'report', ' lost'), stats.reports_lost > 0],
    ['observers', counted(stats.observers_refused, 'observer', ' refused'), stats.observers_refused > 0]];
  if (stats.lag) {
    const about = stats.lag.events > 0 ? `, about ${bytesText(stats.lag.bytes)}` + ageText(stats, stats.lag.told, 2) : '';
    counts.push(['lag', counted(stats.lag.events, 'event', ' behind the input' + about), false]);
  }
  if (stats.checkpoints) {
    const {written, failures, last} = stats.checkpoints;
    const when = last === null ? '' : `, the last at ${last.slice(11, 19)}` + ageText(stats, last, 0);
    counts.push(['checkpoints', counted(written, 'checkpoint', when), false],
      ['failures', counted(failures, 'checkpoint', ' failed'), failures > 0]);
  }
  if (stats.pages_looked_at > 0) {
    counts.push(['pages', `${countText(stats.pages_elsewhere)} of ${counted(stats.pages_looked_at, 'page')} on another node`,
      false]);
  }
  if (stats.master_stopped && !gone) {
    counts.push(['stopped', `the master is stopped (kill -CONT ${stats.processes.master}): nothing that dies is replaced`, true]);
  }
  if (gone) counts.push(['gone', 'it does not run any more: these are its last numbers', true]);
  keep(byId('counts'), counts, (count) => count[0], () => make('li'), (node, [, text, alarm]) => {
    setText(node, text);
    setAttributes(node, {class: alarm ? 'alarm' : ''});
  });
}

function showVerdict(name, pipeline) {
  const stats = pipeline.stats;
  setText(byId('name'), name);
  setText(byId('life'), `${stats.state} for ${spanText(stats.uptime_seconds)}, Sluice ${plain(stats.version)}; ` +
    `host ${stats.processes.host}, supervisor ${stats.processes.supervisor}, master ${stats.processes.master}`);
  showFacts(stats.facts);
  const narrow = stats.bottleneck;
  setText(byId('bottleneck'), narrow.text);
  setAttributes(byId('bottleneck'), {class: narrow.stage === null && narrow.outlet === null ? 'none' : ''});
  showCounts(stats, pipeline.gone);
}

function show() {
  const names = [...state.pipelines.keys()].filter((name) => state.pipelines.get(name).stats !== null).sort();
  if (!names.includes(state.chosen)) {
    state.chosen = names.find((name) => !state.pipelines.get(name).gone) ?? names[0] ?? state.chosen;
  }
  const pipeline = state.pipelines.get(state.chosen);
  const any = Boolean(pipeline?.stats);
  byId('nothing').hidden = any;
  byId('pipeline').hidden = !any;
  showPipelines(names);
  keep(byId('refusals'), state.refusals, (text) => text, (text) => make('p', {}, text), () => {});
  if (!any) return showNothing();
  const stats = pipeline.stats;
  const events = pipeline.history.shown(stats.pipeline);
  document.title = `${plain(state.chosen)}: ${pipeline.gone ? 'gone' : stats.state} - Sluice`;
  showVerdict(state.chosen, pipeline);
  graph.update(stats);
  updateWorkers(stats, state.nodes, pipeline.rates);
  updateLatencies(stats);
  updatePlaces(stats, state.nodes);
  updateLanes(stats);
  updateSettings(stats);
  updateEvents(events);
  updateLetters(pipeline.letters, events);
  speaker.say(events);
}

function say(text, lost) {
  setText(byId('connection'), text);
  setAttributes(byId('connection'), {class: lost ? 'lost' : ''});
}

// Why the server refuses, in words; then once more.
async function explain() {
  let text = 'No connection: `sluice serve` has ended or cannot be reached. Trying again.';
  try {
    const answer = await fetch('live', {method: 'HEAD'});
    if (answer.status === 503) text = 'Too many live pages are open: close one. Trying again.';
    else if (answer.status === 401) text = 'The token is asked for again: reload this page.';
    else if (!answer.ok) text = `The server refuses: status ${answer.status}. Trying again.`;
    else text = 'Connecting again.';
  } catch {
    // Not reachable: said already.
  }
  say(text, true);
  setTimeout(listen, 3000);
}

function listen() {
  const source = new EventSource('live');
  const on = (kind, take) => source.addEventListener(kind, (event) => {
    state.heard = Date.now();
    take(JSON.parse(event.data));
    say(state.paused ? 'paused' : 'live', false);
    if (!state.paused) show();
  });
  on('stats', takeStats);
  on('reports', takeReports);
  on('letters', takeLetters);
  source.addEventListener('error', () => {
    source.close();
    explain();
  });
}

byId('pause').hidden = false;  // Without scripts it would do nothing.
byId('pause').addEventListener('click', () => {
  state.paused = !state.paused;
  setAttributes(byId('pause'), {'aria-pressed': state.paused});
  say(state.paused ? 'paused' : 'live', false);
  if (!state.paused) show();
});
addEventListener('resize', () => { if (!state.paused) show(); });
setInterval(() => {
  if (state.heard !== 0 && Date.now() - state.heard > 5000) say('No news for 5 seconds.', true);
}, 1000);
say('connecting', false);
listen();
