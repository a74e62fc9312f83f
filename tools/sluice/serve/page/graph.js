// SPDX-License-Identifier: Apache-2.0
// The drawing of the flow: a box for each stage with its workers, lines for the lanes, from left to right where there is
// room for it, else from top to bottom.

const BOX = {width: 160, gap: 18, between: 52, perRow: 11, cell: 13, head: 44};
const END = {width: 92, height: 26};

// In which layer each node stands: behind all that lead to it. Where a flow passes a layer, a joint holds a way free.
function layersOf(nodes, flows) {
  const layer = new Map(nodes.map((node) => [node.id, 0]));
  for (let round = 0; round < nodes.length; ++round) {
    let moved = false;
    for (const flow of flows) {
      const least = layer.get(flow.from) + 1;
      if (layer.get(flow.to) >= least || least >= nodes.length) continue;
      layer.set(flow.to, least);
      moved = true;
    }
    if (!moved) break;
  }
  const layers = [];
  for (const node of nodes) (layers[layer.get(node.id)] ??= []).push(node);
  for (const flow of flows) {
    flow.way = [nodes.find((node) => node.id === flow.from)];
    for (let at = layer.get(flow.from) + 1; at < layer.get(flow.to); ++at) {
      const joint = {id: `${flow.from}\n${flow.to}\n${at}`, width: 8, height: 8, stage: null, before: flow.way.at(-1).id};
      layers[at].push(joint);
      flow.way.push(joint);
    }
    flow.way.push(nodes.find((node) => node.id === flow.to));
  }
  return layers.filter((each) => each !== undefined);
}

// Within a layer, by where their neighbours in front stand: fewer lines cross.
function sortLayers(layers, flows) {
  const place = new Map();
  for (const layer of layers) {
    const mean = (node) => {
      const fronts = node.before !== undefined ? [node.before]
        : flows.filter((flow) => flow.to === node.id).map((flow) => flow.way.at(-2).id);
      return fronts.length === 0 ? 0.5 : sumOf(fronts, (front) => place.get(front) ?? 0.5) / fronts.length;
    };
    const means = new Map(layer.map((node) => [node.id, mean(node)]));
    layer.sort((a, b) => means.get(a.id) - means.get(b.id));
    // Joints of one and the same front go through the middle.
    const joints = layer.filter((node) => node.before !== undefined);
    if (joints.length > 0 && new Set(means.values()).size === 1) {
      const boxes = layer.filter((node) => node.before === undefined);
      boxes.splice(Math.ceil(boxes.length / 2), 0, ...joints);
      layer.splice(0, layer.length, ...boxes);
    }
    layer.forEach((node, i) => place.set(node.id, (i + 0.5) / layer.length));
  }
}

function sizeOf(node) {
  if (node.stage === null) return {width: END.width, height: END.height};
  const rows = Math.ceil(node.stage.workers.length / BOX.perRow);
  return {width: BOX.width, height: BOX.head + rows * BOX.cell + 24};
}

function layOutAcross(layers) {
  const heightOf = (layer) => sumOf(layer, (node) => node.height + BOX.gap) - BOX.gap;
  const height = Math.max(...layers.map(heightOf));
  let x = 2;
  for (const layer of layers) {
    const width = Math.max(...layer.map((node) => node.width));
    let y = 12 + (height - heightOf(layer)) / 2;
    for (const node of layer) {
      if (node.before !== undefined) node.width = width;
      Object.assign(node, {x: x + (width - node.width) / 2, y});
      y += node.height + BOX.gap;
    }
    x += width + BOX.between;
  }
  return {width: x - BOX.between + 2, height: height + 24, across: true};
}

// What does not fit into a row begins another one.
function rowsOf(layer, room) {
  const rows = [[]];
  let used = 0;
  for (const node of layer) {
    if (used + node.width > room && rows.at(-1).length > 0) {
      rows.push([]);
      used = 0;
    }
    used += node.width + BOX.gap;
    rows.at(-1).push(node);
  }
  return rows;
}

// A row of boxes in the middle of the room, and the ways between and beside them.
function rowAt(y, boxes, room) {
  let x = (room - sumOf(boxes, (node) => node.width + BOX.gap) + BOX.gap) / 2;
  const height = Math.max(...boxes.map((node) => node.height));
  const ways = [{from: 0, to: x, flows: []}];
  for (const node of boxes) {
    Object.assign(node, {x, y});
    x += node.width + BOX.gap;
    ways.at(-1).to = node.x;
    ways.push({from: node.x + node.width, to: room, flows: []});
  }
  return {y, height, ways};
}

function distanceTo(way, x) {
  return Math.max(way.from - x, x - way.to, 0);
}

// Each flow goes through every row between its ends on the way that is the nearest to it.
function findWays(rows, flows) {
  for (const flow of flows) {
    const [from, to] = [flow.way[0], flow.way.at(-1)];
    flow.rows = rows.slice(from.row, to.row);
    const detour = (way) => distanceTo(way, from.x + from.width / 2) + 2 * distanceTo(way, to.x + to.width / 2);
    flow.through = rows.slice(from.row + 1, to.row).map((row) => {
      const way = row.ways.reduce((best, each) => detour(each) < detour(best) ? each : best);
      way.flows.push(flow);
      return {row, way};
    });
  }
  // Side by side, and near to the boxes where there is much room.
  for (const {ways} of rows) {
    for (const way of ways) {
      const width = Math.min(way.to - way.from, 12 * (way.flows.length + 1));
      const begin = way === ways[0] ? way.to - width : way.from;
      way.at = new Map(way.flows.map((flow, i) => [flow, begin + (i + 1) * width / (way.flows.length + 1)]));
    }
  }
}

function layOutDown(layers, flows, room) {
  let y = 12;
  const rows = [];
  for (const layer of layers) {
    const boxes = layer.filter((node) => node.before === undefined);
    for (const row of rowsOf(boxes, room)) {
      for (const node of row) node.row = rows.length;
      rows.push(rowAt(y, row, room));
      y += rows.at(-1).height + 46;
    }
  }
  findWays(rows, flows);
  return {width: room, height: y - 30, across: false};
}

function layOut(nodes, flows, room) {
  for (const node of nodes) Object.assign(node, sizeOf(node));
  const layers = layersOf(nodes, flows);
  sortLayers(layers, flows);
  const across = layOutAcross(layers);
  return across.width <= room ? across : layOutDown(layers, flows, Math.max(room, BOX.width + 4));
}

// From one box, or joint, to the next.
function pieceAcross(from, to) {
  const [x1, y1, x2, y2] = [from.x + from.width, from.y + from.height / 2, to.x, to.y + to.height / 2];
  const middle = (x1 + x2) / 2;
  return {d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}H${x2 + (to.before ? to.width : 0)}`,
    x: middle, y: (y1 + y2) / 2 - 4};
}

// From row to row, in the middle between two of them from the one side to the other.
function piecesDown(flow) {
  const [from, to] = [flow.way[0], flow.way.at(-1)];
  const pieces = [];
  let x = from.x + from.width / 2;
  let d = `M${x} ${from.y + from.height}`;
  const over = (row, x2) => {
    const [y1, y2] = [row.y + row.height, row.y + row.height + 46];
    pieces.push({d: `${d}V${y1}C${x} ${y1 + 23} ${x2} ${y1 + 23} ${x2} ${y2}`, x: (x + x2) / 2, y: y1 + 27});
    [x, d] = [x2, `M${x2} ${y2}`];
  };
  flow.through.forEach(({row, way}, i) => {
    over(flow.rows[i], way.at.get(flow));
    d += `V${row.y + row.height}`;
  });
  over(flow.rows.at(-1), to.x + to.width / 2);
  return pieces;
}

function occupancyClass(occupancy) {
  if (occupancy < 0.05) return 'o0';
  if (occupancy < 0.4) return 'o1';
  if (occupancy < 0.75) return 'o2';
  return occupancy < 0.95 ? 'o3' : 'o4';
}

function cellClass(worker) {
  if (worker.state === 'finished') return 'done';
  if (isGone(worker) || ['dead', 'void', 'shed', 'stopped', 'stalled', 'unkillable'].includes(worker.state)) return 'gone';
  if (worker.outside !== null) return 'outside';
  return {'back-pressured': 'full', busy: 'busy', starved: 'busy'}[worker.state] ?? 'wait';
}

class Graph {
  constructor(parent) {
    this.parent = parent;
    this.shape = '';
  }

  update(stats) {
    const flows = flowsOf(stats);
    const nodes = nodesOf(stats, flows);
    const room = this.parent.clientWidth;
    const shape = JSON.stringify([room, stats.pipeline, nodes.map((node) => [node.id, node.stage?.workers.length ?? 0]),
      flows.map((flow) => [flow.from, flow.to])]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.build(nodes, flows, room);
    }
    for (const node of nodes) this.updateBox(node, stats);
    for (const flow of flows) this.updateFlow(flow);
    const words = flows.map((flow) => `${this.nameOf(flow.from)} to ${this.nameOf(flow.to)} ${shareText(flow.occupancy)} full`);
    setAttributes(this.svg, {'aria-label': plain('Flow: ' + words.join(', '))});
  }

  nameOf(id) {
    return id.replace(/^(in|out):/, '');
  }

  build(nodes, flows, room) {
    const size = layOut(nodes, flows, room);
    this.svg = draw('svg', {width: size.width, height: size.height, role: 'img',
      viewBox: `0 0 ${size.width} ${size.height}`});
    this.boxes = new Map();
    this.lines = new Map();
    this.labels = [];
    const labels = draw('g');
    for (const flow of flows) this.buildFlow(flow, size.across, labels);
    for (const node of nodes) this.buildBox(node);
    this.svg.append(labels);
    this.parent.replaceChildren(this.svg);
  }

  buildFlow(flow, across, labels) {
    const pieces = across ? flow.way.slice(1).map((node, i) => pieceAcross(flow.way[i], node)) : piecesDown(flow);
    const path = draw('path', {d: pieces.map((piece) => piece.d).join(''), class: 'lane'});
    const title = draw('title');
    path.append(title);
    this.svg.append(path);
    // As near to its end as no other stands; where there is no room at all, its title has it.
    const isFree = ({x, y}) => this.labels.every((other) => Math.abs(x - other.x) > 34 || Math.abs(y - other.y) > 11);
    const place = pieces.findLast(isFree);
    const label = draw('text', {x: place?.x ?? 0, y: place?.y ?? 0, class: 'quiet halo', 'text-anchor': 'middle'});
    if (place !== undefined) {
      this.labels.push(place);
      labels.append(label);
    }
    this.lines.set(flow.from + '\n' + flow.to, {path, title, label});
  }

  updateFlow(flow) {
    const line = this.lines.get(flow.from + '\n' + flow.to);
    setAttributes(line.path, {class: 'lane ' + occupancyClass(flow.occupancy), 'stroke-width': 2 + 4 * flow.occupancy});
    setText(line.label, shareText(flow.occupancy));
    setText(line.title, `${this.nameOf(flow.from)} to ${this.nameOf(flow.to)}: ${flow.lanes} lanes, the fullest ` +
      `${shareText(flow.occupancy)} full, ${countText(flow.events)} events wait`);
  }

  buildBox(node) {
    const group = draw('g', {transform: `translate(${node.x} ${node.y})`});
    const box = draw('rect', {width: node.width, height: node.height, rx: node.stage === null ? 12 : 3,
      class: node.stage === null ? 'box end' : 'box'});
    // Beside its name a stage has "20 of 20".
    const longest = node.stage === null ? 12 : 17 - 2 * String(node.stage.workers.length).length;
    const name = plain(node.name);
    const short = name.length > longest ? name.slice(0, longest - 1) + '…' : name;
    group.append(box, draw('title', {}, `${node.kind} ${node.name}`));
    this.svg.append(group);
    if (node.stage === null) {
      group.append(draw('text', {x: node.width / 2, y: 17, 'text-anchor': 'middle'}, short));
      return;
    }
    const right = node.width - 7;
    const parts = {box, state: draw('text', {x: right, y: 15, 'text-anchor': 'end', class: 'quiet'}),
      rate: draw('text', {x: 7, y: 30}), busy: draw('text', {x: right, y: 30, 'text-anchor': 'end'}),
      bar: ['busy', 'full', 'outside', 'wait'].map((kind) => draw('rect', {y: 35, height: 5, class: kind})),
      foot: draw('text', {x: 7, y: node.height - 8, class: 'quiet'})};
    parts.cells = node.stage.workers.map((worker, i) => draw('rect', {x: 7 + (i % BOX.perRow) * BOX.cell + 1,
      y: BOX.head + 2 + Math.floor(i / BOX.perRow) * BOX.cell, width: BOX.cell - 4, height: BOX.cell - 4}, draw('title')));
    group.append(draw('text', {x: 7, y: 15, class: 'title'}, short), parts.state, parts.rate, parts.busy, ...parts.bar,
      ...parts.cells, parts.foot);
    this.boxes.set(node.id, parts);
  }

  updateBox(node, stats) {
    if (node.stage === null) return;
    const parts = this.boxes.get(node.id);
    const stage = node.stage;
    const narrow = stats.bottleneck.stage === stage.name;
    setAttributes(parts.box, {class: narrow ? 'box bottleneck' : 'box'});
    const gone = stage.workers.filter(isGone).length;
    const finished = stage.workers.every((worker) => worker.state === 'finished');
    setText(parts.state, finished ? 'finished' : `${stage.workers.length - gone} of ${stage.workers.length}`);
    setText(parts.rate, rateText(stage.events_per_second));
    const shares = sharesOf(stage);
    setText(parts.busy, shares === null ? '' : shareText(shares.busy) + ' busy');
    let x = 7;
    [shares?.busy, shares?.full, shares?.outside, shares?.waiting].forEach((share, i) => {
      const width = Math.min(Math.max(share ?? 0, 0), 1) * (BOX.width - 14);
      setAttributes(parts.bar[i], {x, width});
      x += width;
    });
    stage.workers.forEach((worker, i) => {
      setAttributes(parts.cells[i], {class: cellClass(worker)});
      setText(parts.cells[i].firstElementChild, `${worker.name}: ${isGone(worker) ? 'no process' : worker.state}`);
    });
    const deaths = sumOf(stage.workers, (worker) => worker.restarts);
    const letters = sumOf(stage.workers, (worker) => worker.dead_letters);
    const foot = [narrow ? 'bottleneck' : '', letters > 0 ? counted(letters, 'letter') : '',
      deaths > 0 ? counted(deaths, 'death') : ''].filter((word) => word !== '');
    // What there is no room for stands in the table.
    while (foot.join(', ').length > 27) foot.pop();
    setText(parts.foot, foot.join(', ') || (stage.source ? 'source' : ''));
    setAttributes(parts.foot, {class: narrow || letters > 0 || gone > 0 ? 'alarm' : 'quiet'});
  }
}
