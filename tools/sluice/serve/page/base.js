// SPDX-License-Identifier: Apache-2.0
// What the other scripts of the page stand on: elements, texts, numbers in words. Whatever came from a pipeline gets into
// the page as a text, by plain() and textContent; nothing here makes markup of a text.
'use strict';

const SVG = 'http://www.w3.org/2000/svg';

// Characters that would drive, hide or turn round the text beside them are shown as what they are.
function plain(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (c) => '\\u' + c.codePointAt(0).toString(16).padStart(4, '0'));
}

function setText(node, text) {
  const shown = plain(text);
  if (node.textContent !== shown) node.textContent = shown;
}

function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
}

// children: elements, and texts.
function fill(node, attributes, children) {
  setAttributes(node, attributes);
  for (const child of children) node.append(child instanceof Node ? child : plain(child));
  return node;
}

function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

// One child of `parent` for each item, in their order. What has the same key as before stays, so that what is open, marked
// or scrolled stays so.
function keep(parent, items, keyOf, create, update) {
  const old = parent.kept ?? new Map();
  const kept = new Map();
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (kept.has(key)) continue;
    const node = old.get(key) ?? create(item);
    old.delete(key);
    kept.set(key, node);
    if (node === at) {
      at = at.nextElementSibling;
    } else {
      parent.insertBefore(node, at);
    }
    update(node, item);
  }
  for (const node of old.values()) node.remove();
  parent.kept = kept;
}

// A row of a table whose first cell is its heading. cells: texts, {text, class}, or {node} that is made once.
function makeRow(cells) {
  return make('tr', {}, ...cells.map((cell, i) => {
    const node = make(i === 0 ? 'th' : 'td', i === 0 ? {scope: 'row'} : {});
    if (cell.class) node.className = cell.class;
    if (cell.node) node.append(cell.node());
    return node;
  }));
}

function updateRow(row, cells) {
  cells.forEach((cell, i) => {
    if (cell.update) cell.update(row.children[i].firstElementChild);
    else setText(row.children[i], cell.text);
  });
}

function number(text, more = {}) {
  return {text, class: 'n', ...more};
}

function trimmed(value, digits) {
  return value.toFixed(value >= 100 ? 0 : digits);
}

// Three digits, with the first unit in which the value is below `step`.
function scaled(value, units, step) {
  let at = 0;
  while (at + 1 < units.length && Math.abs(value) >= step) {
    value /= step;
    ++at;
  }
  return (at === 0 && Number.isInteger(value) ? String(value) : trimmed(value, value >= 10 ? 1 : 2)) + units[at];
}

function rateText(perSecond) {
  if (perSecond === null || perSecond === undefined) return '-';
  return scaled(perSecond < 10 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond), ['/s', ' k/s', ' M/s', ' G/s'], 1000);
}

function countText(count) {
  return count === null || count === undefined ? '-' : count.toLocaleString('en-US');
}

// "1 worker replaced", "2 workers replaced".
function counted(count, noun, behind = '') {
  return `${countText(count)} ${noun}${count === 1 ? '' : 's'}${behind}`;
}

function bytesText(bytes) {
  return bytes === null || bytes === undefined ? '-' : scaled(bytes, [' B', ' KiB', ' MiB', ' GiB', ' TiB'], 1024);
}

function shareText(share) {
  return share === null || share === undefined ? '-' : Math.round(Math.min(Math.max(share, 0), 1) * 100) + ' %';
}

function timeText(seconds) {
  if (seconds === null || seconds === undefined) return '-';
  return scaled(Math.round(seconds * 1e9), [' ns', ' us', ' ms', ' s'], 1000);
}

function spanText(seconds) {
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, '0');
  return Math.floor(whole / 3600) + ':' + two(Math.floor(whole / 60) % 60) + ':' + two(whole % 60);
}

function agoText(seconds) {
  if (seconds < 60) return Math.round(seconds) + ' s ago';
  if (seconds < 3600) return Math.round(seconds / 60) + ' min ago';
  return Math.round(seconds / 3600) + ' h ago';
}

const SIGNALS = new Map([[4, 'SIGILL'], [5, 'SIGTRAP'], [6, 'SIGABRT'], [7, 'SIGBUS'], [8, 'SIGFPE'], [9, 'SIGKILL'],
  [11, 'SIGSEGV'], [15, 'SIGTERM'], [31, 'SIGSYS']]);

function causeText(cause, signal) {
  return plain(cause) + (signal ? ', ' + (SIGNALS.get(signal) ?? 'signal ' + signal) : '');
}

// "0-3,8" as numbers; of what is no list, nothing.
function unitsOf(list) {
  const units = [];
  for (const part of String(list ?? '').split(',')) {
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    if (!range) continue;
    for (let unit = Number(range[1]); unit <= Number(range[2] ?? range[1]); ++unit) units.push(unit);
  }
  return units;
}
