// The gift board: one table row for an anchor, its rank, its total, and how it moved in the last minute.

import { group, share } from "./exact.js";
import { arrange, mayMove } from "./rows.js";

const MINUTE_MS = 60_000;
// Ten boards a second may come; eyes follow fewer.
const SHOW_EVERY_MS = 400;

export class Board {
  /** Shows in `tbody`; `onPick(anchor)` for the button of a row, which is left out without it. */
  constructor(tbody, { onPick = null, onLeader = () => {}, onShown = () => {} } = {}) {
    this.tbody = tbody;
    this.onPick = onPick;
    this.onLeader = onLeader;
    this.onShown = onShown;
    this.forget();
  }

  /** Another board begins: nothing moved yet. */
  forget() {
    this.places = null;
    this.pending = null;
    this.ranks = [];
    this.totals = new Map();
    this.leader = null;
  }

  /** Takes a board as the server sent it. */
  take(places) {
    const isWaiting = this.pending !== null;
    this.pending = places;
    if (this.places === null) this.#show();
    else if (!isWaiting) setTimeout(() => this.pending && this.#show(), SHOW_EVERY_MS);
  }

  #show() {
    const places = this.pending;
    this.pending = null;
    const now = Date.now();
    this.ranks.push({ at: now, of: new Map(places.map((place) => [place.anchor_id, Number(place.rank)])) });
    while (this.ranks.length > 1 && this.ranks[1].at <= now - MINUTE_MS) this.ranks.shift();
    const earlier = this.ranks[0].of;
    const most = places[0]?.total_worth ?? "0";
    const isFirst = this.places === null;
    arrange(this.tbody, places, {
      key: (place) => place.anchor_id,
      make: (place) => this.#make(place),
      show: (row, place) => this.#fill(row, place, earlier, most, isFirst),
    });
    this.places = places;
    this.totals = new Map(places.map((place) => [place.anchor_id, place.total_worth]));
    const leader = places[0]?.anchor_id ?? null;
    if (!isFirst && leader && leader !== this.leader) this.onLeader(places[0]);
    this.leader = leader;
    this.onShown(places);
  }

  #make({ anchor_id: id }) {
    const row = document.createElement("tr");
    const cell = (kind, tag = "td") => {
      const made = row.appendChild(document.createElement(tag));
      made.className = kind;
      return made;
    };
    cell("rank");
    const name = cell("name", "th");
    name.scope = "row";
    const badge = name.appendChild(document.createElement("span"));
    badge.className = "badge";
    badge.ariaHidden = "true";
    badge.style.setProperty("--hue", hue(id));
    const label = name.appendChild(document.createElement("span"));
    label.className = id.length > 10 ? "anchor long" : "anchor";
    label.appendChild(document.createElement("span")).textContent = "Anchor ";
    label.append(id);
    const bar = name.appendChild(document.createElement("span"));
    bar.className = "bar";
    bar.ariaHidden = "true";
    const worth = cell("worth");
    worth.appendChild(document.createElement("span")).className = "total";
    cell("moved");
    if (this.onPick) {
      const button = cell("act").appendChild(document.createElement("button"));
      button.type = "button";
      button.textContent = "Gift";
      button.ariaLabel = `Gift for anchor ${id}`;
      button.addEventListener("click", () => this.onPick(id));
    }
    return row;
  }

  #fill(row, place, earlier, most, isFirst) {
    const { anchor_id: id, total_worth: total, rank } = place;
    row.dataset.rank = rank;
    row.querySelector(".rank").textContent = rank;
    row.querySelector(".total").textContent = group(total);
    row.querySelector(".bar").style.setProperty("--share", share(total, most));
    const before = earlier.get(id);
    showMove(row.querySelector(".moved"), before === undefined ? "new" : before - Number(rank));
    const had = this.totals.get(id);
    if (!isFirst && had !== undefined && had !== total) showGain(row, BigInt(total) - BigInt(had));
  }
}

function showMove(cell, by) {
  const text = by === "new" ? "new" : by > 0 ? `▲ ${by}` : by < 0 ? `▼ ${-by}` : "";
  if (cell.textContent === text) return;
  cell.textContent = text;
  cell.dataset.way = by === "new" || by > 0 ? "up" : by < 0 ? "down" : "";
  const said = by === "new" ? "new on the board" : by === 0 ? "" : `${by > 0 ? "up" : "down"} ${Math.abs(by)}`;
  if (said) cell.setAttribute("aria-label", said);
  else cell.removeAttribute("aria-label");
}

/** What was added since the board of before, rising from the total. */
function showGain(row, gain) {
  if (!mayMove() || gain <= 0n) return;
  const cell = row.querySelector(".worth");
  cell.querySelector(".gain")?.remove();
  const gained = cell.appendChild(document.createElement("span"));
  gained.className = "gain";
  gained.ariaHidden = "true";
  gained.textContent = `+${group(gain)}`;
  gained.addEventListener("animationend", () => gained.remove());
}

/** A colour that an id keeps, far from those of its neighbours. */
function hue(id) {
  return String((BigInt(id) * 137n) % 360n);
}
