// SPDX-License-Identifier: Apache-2.0
// The tables of the page: stages with their workers, latencies, lanes, settings, and where workers have their places.

function nodeNumbers(place, nodes) {
  const units = new Set(unitsOf(place));
  return nodes.filter((node) => unitsOf(node.units).some((unit) => units.has(unit))).map((node) => node.node).join(',');
}

function sparkline(points) {
  const svg = draw('svg', {viewBox: '0 0 120 14', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
    draw('polyline', {class: 'mark', 'vector-effect': 'non-scaling-stroke'}));
  updateSparkline(svg, points);
  return svg;
}

function updateSparkline(svg, points) {
  const most = Math.max(1, ...points.map((point) => point.rate));
  const last = points.length > 0 ? points[points.length - 1].time : 0;
  setAttributes(svg.firstElementChild, {points: points.map((point) =>
    `${(120 - (last - point.time) / 1000).toFixed(1)},${(13 - 12 * point.rate / most).toFixed(1)}`).join(' ')});
}

function remarkOn(worker) {
  if (worker.outside !== null) return `waits ${timeText(worker.outside_seconds)} for ${plain(worker.outside)}`;
  const death = worker.last_death;
  if (death === null) return '';
  return causeText(death.cause, death.signal) + (death.seconds_ago === null ? '' : ', ' + agoText(death.seconds_ago));
}

// In the order of the table's columns. who: what stands in the columns that stages and workers fill in their own ways.
function cellsOf(who, shares) {
  const share = (name) => number(shares === null ? '-' : shareText(shares[name]));
  return [{text: who.name}, {text: who.state}, number(rateText(who.rate)), who.spark ?? {text: ''}, share('busy'),
    share('waiting'), share('full'), share('outside'), number(shareText(who.occupancy)), number(countText(who.events)),
    number(who.cpu ?? '-'), number(bytesText(who.memory)), number(who.pid ?? ''), number(who.place ?? ''),
    number(who.node ?? ''), number(countText(who.restarts)), {text: who.remark ?? ''}];
}

function workerCells(stage, worker, nodes) {
  return cellsOf({name: worker.name, state: isGone(worker) ? 'no process' : worker.state,
    rate: worker.rates?.[stage.source ? 'out_per_second' : 'in_per_second'], occupancy: worker.occupancy,
    events: eventsOf(stage, worker), cpu: worker.rates?.cpu.toFixed(2), memory: worker.own_bytes, pid: worker.pid ?? '-',
    place: worker.place || '-', node: nodeNumbers(worker.place, nodes) || '-', restarts: worker.restarts,
    remark: remarkOn(worker)}, worker.rates);
}

function stageCells(stage, points) {
  const gone = stage.workers.filter(isGone).length;
  const known = stage.workers.some((worker) => worker.rates !== null);
  return cellsOf({name: stage.name, state: `${stage.workers.length - gone} of ${stage.workers.length}`,
    rate: stage.events_per_second,
    spark: {class: 'spark', node: () => sparkline(points), update: (svg) => updateSparkline(svg, points)},
    occupancy: Math.max(...stage.workers.map((worker) => worker.occupancy)),
    events: sumOf(stage.workers, (worker) => eventsOf(stage, worker)),
    cpu: known ? sumOf(stage.workers, (worker) => worker.rates?.cpu).toFixed(2) : '-',
    memory: sumOf(stage.workers, (worker) => worker.own_bytes),
    restarts: sumOf(stage.workers, (worker) => worker.restarts)}, sharesOf(stage));
}

function updateWorkers(stats, nodes, rates) {
  const rows = [];
  for (const stage of stats.stages) {
    rows.push({key: 'stage ' + stage.name, class: 'stage', cells: stageCells(stage, rates.of(stage.name))});
    for (const worker of stage.workers) {
      rows.push({key: worker.name, class: 'worker' + (isGone(worker) || worker.outside !== null ? ' alarm' : ''),
        cells: workerCells(stage, worker, nodes)});
    }
  }
  keep(byId('workers'), rows, (row) => row.key, (row) => makeRow(row.cells), (node, row) => {
    setAttributes(node, {class: row.class});
    updateRow(node, row.cells);
  });
}

// From 100 ns to 100 s, logarithmic.
function timeAxis(seconds) {
  return Math.min(Math.max((Math.log10(Math.max(seconds, 1e-9)) + 7) / 9, 0), 1) * 210;
}

function curve() {
  const svg = draw('svg', {viewBox: '0 0 210 14', 'aria-hidden': 'true'});
  for (const tick of [1e-7, 1e-4, 1e-1, 1e2]) svg.append(draw('path', {class: 'grid', d: `M${timeAxis(tick)} 0V14`}));
  svg.append(draw('polyline', {class: 'mark'}), draw('rect', {class: 'busy', width: 3, height: 5}));
  return svg;
}

// From the median up to the maximum: each step is a tenth of what is left.
function updateCurve(svg, latency) {
  const points = [[latency.p50, 12], [latency.p90, 9], [latency.p99, 6], [latency.p999, 3.5], [latency.max, 1]];
  setAttributes(svg.querySelector('polyline'),
    {points: points.map(([time, y]) => `${timeAxis(time).toFixed(1)},${y}`).join(' ')});
  setAttributes(svg.querySelector('rect'), {x: timeAxis(latency.p50) - 1.5, y: 9});
}

function updateLatencies(stats) {
  const rows = [];
  for (const stage of stats.stages) {
    for (const [where, latency] of [['lane', stage.lane_latency], ['handler', stage.handler_latency],
      ['whole way', stage.end_to_end_latency]]) {
      if (latency === null) continue;
      const time = (name) => number(timeText(latency[name]));
      rows.push({key: stage.name + ' ' + where, cells: [{text: stage.name}, {text: where}, number(countText(latency.count)),
        time('p50'), time('p90'), time('p99'), time('p999'), time('max'),
        {class: 'curve', node: curve, update: (svg) => updateCurve(svg, latency)}]});
    }
  }
  byId('latency-none').hidden = rows.length > 0;
  byId('latency').hidden = rows.length === 0;
  keep(byId('latencies'), rows, (row) => row.key, (row) => makeRow(row.cells), (node, row) => updateRow(node, row.cells));
}

function updateLanes(stats) {
  const cells = (lane) => [{text: lane.from}, {text: lane.to},
    number(shareText(lane.capacity_bytes > 0 ? lane.bytes / lane.capacity_bytes : 0)), number(countText(lane.events)),
    number(bytesText(lane.bytes)), number(bytesText(lane.capacity_bytes))];
  // Of very many the fullest: each pair of workers has one.
  const most = [...stats.lanes].sort((a, b) => b.bytes - a.bytes).slice(0, 200);
  const shown = stats.lanes.length > most.length ? most : stats.lanes;
  setText(byId('lanes-word'), countText(stats.lanes.length) + (shown === most ? ', the fullest 200 here' : ''));
  keep(byId('lanes'), shown, (lane) => lane.from + '\n' + lane.to, (lane) => makeRow(cells(lane)),
    (node, lane) => updateRow(node, cells(lane)));
}

function updateSettings(stats) {
  const chosen = stats.settings.filter((setting) => setting.origin !== 'default');
  const others = stats.settings.filter((setting) => setting.origin === 'default');
  setText(byId('settings-word'), `${stats.settings.length}, ${chosen.length} of them chosen: these first`);
  const cells = (setting) => [{text: setting.key}, {text: setting.value}, {text: setting.origin}];
  keep(byId('settings'), [...chosen, ...others], (setting) => setting.key, (setting) => makeRow(cells(setting)),
    (node, setting) => updateRow(node, cells(setting)));
}

// "parse/0-3" for workers of one stage that follow each other.
function shortNames(names) {
  const runs = [];
  for (const name of names) {
    const slash = name.lastIndexOf('/');
    const [stage, replica] = [name.slice(0, slash), Number(name.slice(slash + 1))];
    const last = runs.at(-1);
    if (last?.stage === stage && last.to + 1 === replica) last.to = replica;
    else runs.push({stage, from: replica, to: replica});
  }
  return runs.map((run) => `${run.stage}/${run.from}${run.to > run.from ? '-' + run.to : ''}`).join(', ');
}

// Places that are the same stand together, in the node where they begin; units that are nobody's are said, too.
function updatePlaces(stats, nodes) {
  const names = new Map();
  for (const stage of stats.stages) {
    for (const worker of stage.workers) names.set(worker.place, [...(names.get(worker.place) ?? []), worker.name]);
  }
  const signature = JSON.stringify([nodes, [...names]]);
  const parent = byId('places');
  if (parent.signature === signature) return;
  parent.signature = signature;
  const places = [...names].map(([place, workers]) => ({place, units: unitsOf(place), workers}));
  const line = (label, text) => make('li', {}, make('span', {class: 'mono'}, label), ' ' + text);
  const boxes = nodes.map((node) => {
    const units = new Set(unitsOf(node.units));
    const here = places.filter((each) => units.has(each.units[0])).sort((a, b) => a.units[0] - b.units[0]);
    const taken = new Set(places.flatMap((each) => each.units));
    const free = [...units].filter((unit) => !taken.has(unit));
    const lines = here.map((each) => line('PU ' + each.place, shortNames(each.workers)));
    if (free.length > 0) lines.push(line('no worker', `on ${free.length} of ${units.size} units`));
    return make('div', {class: 'node'}, make('div', {class: 'quiet'}, `node ${node.node}, units ${node.units}`),
      make('ul', {class: 'units'}, ...lines));
  });
  parent.replaceChildren(make('div', {class: 'nodes'}, ...boxes));
  const none = places.filter((each) => each.units.length === 0).flatMap((each) => each.workers);
  if (none.length > 0) parent.append(make('p', {class: 'quiet'}, 'Without a place: ' + shortNames(none)));
}
