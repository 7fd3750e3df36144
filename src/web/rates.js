// What happened a second in the last minute: a figure and a small line for each kind.

import { area, draw, line, spread } from "./chart.js";
import { brief } from "./exact.js";

const KINDS = [
  ["gifts", "gifts"],
  ["counts", "likes & views"],
  ["snatches", "snatches"],
  ["trades", "trades"],
];
const BOX = { width: 120, height: 30 };

export class Rates {
  constructor(list) {
    this.list = list;
    this.tiles = new Map();
  }

  /** Takes the counts of single seconds of one kind, oldest first. */
  take(kind, seconds) {
    const label = KINDS.find(([name]) => name === kind)?.[1];
    if (!label) return;
    const tile = this.tiles.get(kind) ?? this.#make(kind, label);
    const counts = seconds.map(Number);
    const mean = counts.length ? counts.reduce((sum, count) => sum + count, 0) / counts.length : 0;
    tile.figure.textContent = mean > 0 && mean < 10 ? mean.toFixed(1) : brief(Math.round(mean));
    const points = spread(counts, BOX);
    tile.area.setAttribute("d", area(points, BOX.height));
    tile.line.setAttribute("d", line(points));
  }

  #make(kind, label) {
    const box = document.createElement("div");
    box.className = `rate ${kind}`;
    const term = document.createElement("dt");
    term.textContent = label;
    const value = document.createElement("dd");
    const figure = value.appendChild(document.createElement("span"));
    figure.className = "figure";
    const unit = value.appendChild(document.createElement("span"));
    unit.className = "unit";
    unit.textContent = "/s";
    const svg = draw("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const tile = { figure, area: svg.appendChild(draw("path", { class: "fill" })), line: svg.appendChild(draw("path", { class: "line" })) };
    box.append(term, value, svg);
    this.tiles.set(kind, tile);
    // In the order of KINDS, whichever came first.
    this.list.append(box);
    const order = KINDS.map(([name]) => name);
    this.list.replaceChildren(...Array.from(this.list.children).sort((a, b) => order.indexOf(a.classList[1]) - order.indexOf(b.classList[1])));
    return tile;
  }
}
