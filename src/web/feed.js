// Follows a stream of server-sent events for as long as the page is seen.
//
// Read with fetch, not with EventSource, which hides what matters here: the comments that tell a quiet
// connection from a dead one, and the refusals that say when to come back.

import { parse } from "./exact.js";
import { authorization } from "./token.js";

// The server sends a comment after 15 s without an event; twice that, and the line is dead.
const SILENCE_MAX_MS = 35_000;
const BACK_OFF_MIN_MS = 400;
const BACK_OFF_MAX_MS = 15_000;

export class Feed {
  /**
   * `onEvent(name, data)` for each event; `onState("connecting" | "live" | "lost" | "locked")`, the last with
   * the status: 401 asks for a token, 403 for another one. Both are called for the newest connection only. `clockOffset` is how far the server's clock is ahead, in ms.
   */
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.clockOffset = 0;
    this.heardAt = 0;
    this.failures = 0;
    this.url = null;
    this.connection = null;
    this.timer = 0;
    // A browser gives a site six connections for all its tabs: one that nobody sees gives its own back.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#close() : this.#retryNow()));
    addEventListener("online", () => this.#retryNow());
    addEventListener("pageshow", (event) => event.persisted && this.#retryNow());
  }

  /** Follows `url` from now on, instead of whatever was followed. */
  follow(url) {
    this.url = url;
    this.failures = 0;
    this.#retryNow();
  }

  #close() {
    clearTimeout(this.timer);
    this.connection?.abort();
    this.connection = null;
  }

  #retryNow() {
    if (!this.url || document.hidden) return;
    this.#close();
    this.#connect();
  }

  async #connect() {
    const connection = new AbortController();
    this.connection = connection;
    let retryAfter = 0;
    let locked = 0;
    try {
      this.#expectSound(connection);
      const response = await fetch(this.url, {
        signal: connection.signal,
        cache: "no-store",
        headers: authorization(),
      });
      if (!response.ok) {
        retryAfter = Number(response.headers.get("Retry-After")) * 1000 || 0;
        if (response.status === 401 || response.status === 403) locked = response.status;
        throw new Error(`status ${response.status}`);
      }
      const date = Date.parse(response.headers.get("Date"));
      if (date) this.clockOffset = date - Date.now();
      this.failures = 0;
      this.onState("live");
      await this.#read(response.body, connection);
      throw new Error("the stream ended");
    } catch {
      if (this.connection !== connection) return;
      this.#close();
      if (locked) this.onState("locked", locked);
      else this.onState(this.failures > 0 || this.heardAt ? "lost" : "connecting");
      // A token may be made valid while one waits; there is no hurry.
      const pause = locked ? BACK_OFF_MAX_MS : this.#backOff();
      this.timer = setTimeout(() => this.#retryNow(), Math.max(retryAfter, pause));
    }
  }

  /** Twice as long after each failure, and somewhere between half of it and all: a server that comes
   *  back is not to meet its whole audience in one moment. */
  #backOff() {
    const full = Math.min(BACK_OFF_MAX_MS, BACK_OFF_MIN_MS * 2 ** this.failures);
    this.failures += 1;
    return full * (0.5 + Math.random() / 2);
  }

  #expectSound(connection) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => connection.abort(), SILENCE_MAX_MS);
  }

  async #read(body, connection) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.connection !== connection) return;
      this.heardAt = Date.now();
      this.#expectSound(connection);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      blocks.forEach((block) => this.#event(block));
    }
  }

  #event(block) {
    const fields = {};
    for (const line of block.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (fields.event && fields.data) this.onEvent(fields.event, parse(fields.data));
  }
}
