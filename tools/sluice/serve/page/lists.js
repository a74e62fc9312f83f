// SPDX-License-Identifier: Apache-2.0
// The lists of the page: what happened, and the dead letters.

const CLOCK = (time) => new Date(time).toISOString().slice(11, 23);

// In words, without the worker.
function eventText(event) {
  const report = event.report;
  if (report === null || typeof report !== 'object') return plain(event.line);
  const restarts = report.restarts ? ` (restart ${countText(report.restarts)})` : '';
  switch (report.report) {
    case 'death':
      return causeText(report.cause, report.signal) + (report.message ? ': ' + plain(report.message) : '') + restarts;
    case 'stall':
      return `stalled: ${report.own_time_ms} ms in one event, ${report.deadline_ms} ms are allowed`;
    case 'waiting outside':
      return `waits for the outside: ${plain(report.outside)}` + (report.draining ? ', while draining' : '');
    case 'master':
      return report.cause;
    default: {
      const known = new Set(['schema', 'report', 'time', 'pipeline', 'version', 'worker', 'backtrace', 'stacks']);
      const rest = Object.entries(report).filter(([name]) => !known.has(name))
        .map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`);
      return plain([report.report, ...rest].join(', '));
    }
  }
}

function framesOf(report) {
  const frames = report?.backtrace ?? report?.stacks;
  return Array.isArray(frames) ? frames.map(plain).join('\n') : '';
}

function moreOf(event) {
  const report = event.report;
  if (report === null || event.line === '') return '';
  const facts = [];
  if (report.event) facts.push('event ' + plain(report.event));
  if (report.attempts) facts.push('attempt ' + plain(report.attempts));
  if (report.pid) facts.push('pid ' + plain(report.pid) + ', incarnation ' + plain(report.incarnation ?? ''));
  const frames = framesOf(report);
  return facts.join('\n') + (frames === '' ? '' : '\n' + frames);
}

// A line, and where there is more to say a part that opens. fresh: it has come while the page was open.
function makeItem(time, worker, text, more, fresh = false) {
  const line = [make('span', {class: 'mono quiet'}, time), ' ', make('span', {class: 'worker mono'}, worker), ' ' + plain(text)];
  const item = make('li', fresh ? {class: 'new'} : {});
  if (more === '') {
    item.append(...line);
    return item;
  }
  const lines = make('pre', {tabindex: '0'});
  // Each line is plain already; what parts them is ours.
  lines.textContent = more;
  item.append(make('details', {}, make('summary', {}, ...line), lines));
  return item;
}

function updateEvents(events) {
  byId('no-events').hidden = events.length > 0;
  const list = byId('events');
  const fresh = list.kept !== undefined;
  list.hidden = events.length === 0;
  keep(list, events.slice(0, 200), (event) => event.key,
    (event) => makeItem(CLOCK(event.time), event.report?.worker ?? '', eventText(event), moreOf(event), fresh), () => {});
}

// For those who hear the page: the newest, not more often than they can listen.
class Speaker {
  constructor(node) {
    this.node = node;
    this.last = 0;
    this.key = null;
  }

  say(events) {
    const newest = events[0];
    if (newest === undefined || newest.key === this.key || Date.now() - this.last < 5000) return;
    const first = this.key === null;
    this.key = newest.key;
    this.last = Date.now();
    if (!first) setText(this.node, `${newest.report?.worker ?? ''} ${eventText(newest)}`);
  }
}

// The names of its frames stand in the report of the death that made it a letter, once they are found.
function framesOfLetter(letter, events) {
  const death = events.find((event) => event.report?.report === 'death' && event.report.worker === letter.worker &&
    String(event.report.position) === letter.position && framesOf(event.report) !== '');
  return death === undefined ? letter.backtrace.split('\n').map(plain).join('\n') : framesOf(death.report);
}

function updateLetters(told, events) {
  const word = byId('letters-word');
  const letters = told?.letters ?? [];
  if (told?.error) setText(word, told.error);
  else if (letters.length === 0) setText(word, 'None.');
  else setText(word, `${countText(told.count)} in ${told.path}, with those of earlier lives. Their payloads: sluice dead show ` +
    `${told.path} NUMBER`);
  const all = letters.map((letter) => ({...letter, frames: framesOfLetter(letter, events)}));
  keep(byId('letters'), all, (letter) => letter.number + ' ' + letter.time + letter.frames + letter.retried, (letter) => {
    const facts = `${plain(letter.type)}, ${countText(letter.bytes)} bytes, from ${plain(letter.from)} at position ` +
      `${plain(letter.position)}, ${countText(letter.attempts)} attempts` + (letter.retried ? ', retried' : '');
    return makeItem(`${letter.number}  ${letter.time.slice(0, 19)}Z`, letter.worker, letter.cause,
      facts + (letter.frames === '' ? '' : '\n' + letter.frames));
  }, () => {});
}
