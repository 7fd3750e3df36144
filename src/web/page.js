// The live page: one stream brings everything, each part of the page shows its own.

import { Board } from "./board.js";
import { group, isId } from "./exact.js";
import { Feed } from "./feed.js";
import { HotCounters } from "./hot.js";
import { Rain } from "./rain.js";
import { Rates } from "./rates.js";
import { Room } from "./room.js";
import { post, viewerId } from "./send.js";
import { keepToken, takeFromAddress } from "./token.js";

const PLACES = 10;
const COUNTERS = 6;
// A screen reader is told of a new leader, but not ten times a second.
const ANNOUNCE_EVERY_MS = 5_000;

takeFromAddress();

const part = (id) => document.getElementById(id);
const viewer = viewerId();
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
const reveal = (id) => (part(id).hidden = false);

const board = new Board(part("places"), {
  onPick: pick,
  onLeader: ({ anchor_id: id, total_worth: total }) => announce(`Anchor ${id} leads with ${group(total)}`),
  onShown: (places) => (part("board-empty").hidden = places.length > 0),
});
const counters = new HotCounters(part("counters"), count);
const rates = new Rates(part("rates"));
const room = new Room(part);
const feed = new Feed(take, showState);
const rain = new Rain(part, () => Date.now() + feed.clockOffset);

const takers = {
  board: (data) => {
    // What was under way when the period was switched is not shown under the new name.
    if (data.period === chosen("period")) board.take(data.data);
  },
  counters: (data) => {
    if (data.counter_type !== chosen("type")) return;
    reveal("hot");
    part("hot-empty").hidden = data.data.length > 0;
    counters.take(data);
  },
  rain: (data) => (part("rain").hidden = !rain.take(data)),
  room: (data) => {
    reveal("room");
    room.take(data);
    rates.take("trades", data.seconds);
  },
  rates: (data) => {
    for (const [kind, seconds] of Object.entries(data)) if (Array.isArray(seconds)) rates.take(kind, seconds);
  },
};

function take(name, data) {
  takers[name]?.(data);
}

function follow() {
  const query = new URLSearchParams({ period: chosen("period"), num: PLACES, type: chosen("type"), limit: COUNTERS });
  feed.follow(`/live/stream?${query}`);
}

// How fresh it is ------------------------------------------------------------

let lostAt = 0;

const STATES = { connecting: "Connecting", live: "Live", locked: "A token is needed" };

function showState(state, status) {
  lostAt = state === "lost" ? lostAt || feed.heardAt : 0;
  document.documentElement.dataset.state = state;
  if (state === "locked") askForToken(status);
  else if (state === "live") part("lock").hidden = true;
  if (state === "lost") showAge();
  else part("status-text").textContent = STATES[state];
}

// Behind a lock --------------------------------------------------------------

let tried = false;

function askForToken(status) {
  if (part("lock").hidden) {
    part("lock").hidden = false;
    part("lock-token").focus();
  }
  if (status === 403) say("lock-said", "This token may not read.", "bad");
  else if (tried) say("lock-said", "The server does not know this token.", "bad");
}

part("lock").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(part("lock-token").value);
  part("lock-token").value = "";
  tried = true;
  say("lock-said", "Connecting…");
  follow();
});

function showAge() {
  if (document.documentElement.dataset.state !== "lost") return;
  const seconds = Math.max(1, Math.round((Date.now() - lostAt) / 1000));
  const ago = seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
  // Read out once, not each second.
  part("status").ariaLive = seconds > 2 ? "off" : "polite";
  part("status-text").textContent = lostAt ? `Reconnecting · as of ${ago} ago` : "No connection yet, trying";
}
setInterval(showAge, 1_000);

let announcedAt = 0;

function announce(text) {
  if (Date.now() - announcedAt < ANNOUNCE_EVERY_MS) return;
  announcedAt = Date.now();
  part("announcer").textContent = text;
}

// Taking part ----------------------------------------------------------------

function say(id, text, kind = "") {
  part(id).textContent = text;
  part(id).dataset.kind = kind;
}

function pick(anchor) {
  part("gift-anchor").value = anchor;
  document.querySelector('input[name="worth"]:checked').focus();
  part("gift").scrollIntoView({ block: "nearest" });
}

part("gift").addEventListener("submit", async (event) => {
  event.preventDefault();
  const anchor = part("gift-anchor").value.trim();
  if (!isId(anchor)) {
    say("gift-said", "Name an anchor: a whole number from 1.", "bad");
    part("gift-anchor").focus();
    return;
  }
  say("gift-said", "On its way…");
  const worth = Number(chosen("worth"));
  const answer = await post("/gift/send", { audience_id: viewer, anchor_id: anchor, worth });
  if (answer.ok) say("gift-said", `${group(worth)} for anchor ${anchor}: on disk as gift ${group(answer.body.data.id)}.`, "good");
  else say("gift-said", `Not sent: ${answer.message}`, "bad");
});

async function count(resource, type) {
  const answer = await post("/api/v1/counter/increment", { resource_id: resource, counter_type: type, user_id: viewer });
  if (answer.ok) say("hot-said", `${resource} has ${group(answer.body.data.count ?? 0)}.`, "good");
  else say("hot-said", `Not counted: ${answer.message}`, "bad");
}

const REFUSALS = { 2: "Too busy, try again.", 3: "You have all the packets you may have.", 4: "No luck this time. Again!", 5: "Not so fast.", 6: "All packets are gone.", 7: "It has not begun.", 8: "It is over.", 9: "It is paused." };

part("rain-snatch").addEventListener("click", async () => {
  const got = await post("/snatch", { uid: viewer });
  if (got.body.code !== "0") {
    say("rain-said", REFUSALS[got.body.code] ?? `Not snatched: ${got.message}`, "bad");
    return;
  }
  const opened = await post("/open", { uid: viewer, envelope_id: got.body.data.envelope_id });
  if (opened.body.code === "0") say("rain-said", `A packet with ¥${yuan(opened.body.data.value)}!`, "good");
  else say("rain-said", "You have a packet; it could not be opened yet.", "bad");
});

/** Fen as yuan, exactly. */
function yuan(fen) {
  const text = fen.padStart(3, "0");
  return `${group(text.slice(0, -2))}.${text.slice(-2)}`;
}

for (const radio of document.querySelectorAll('#period input, #counter-type input')) {
  radio.addEventListener("change", () => {
    if (radio.name === "period") board.forget();
    follow();
  });
}
part("foot-you").textContent = `You are viewer ${viewer}.`;
follow();
