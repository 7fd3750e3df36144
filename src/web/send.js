// Writes of the person at the page: each has a key of its own, so that however often it is sent it counts
// once.

import { parse } from "./exact.js";
import { authorization } from "./token.js";

const ATTEMPTS = 5;

/** Sends `fields` as JSON; ids are text, which the server reads exactly. Answers `{ok, body, message}`. */
export async function post(path, fields) {
  const request = {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key(), ...authorization() },
    body: JSON.stringify(fields),
  };
  for (let attempt = 1; ; attempt += 1) {
    const answer = await once(path, request);
    // Nobody knows whether it arrived, or it was too much for the moment: the same key goes again.
    if (!answer.again || attempt === ATTEMPTS) return answer;
    await new Promise((resolve) => setTimeout(resolve, answer.wait || 300 * 2 ** attempt));
  }
}

async function once(path, request) {
  try {
    const response = await fetch(path, request);
    const text = await response.text();
    const body = text ? parse(text) : {};
    const again = response.status === 503 || response.status === 429;
    const wait = Number(response.headers.get("Retry-After")) * 1000;
    return { ok: response.ok, again, wait, body, message: body.message ?? body.msg ?? "" };
  } catch {
    return { ok: false, again: true, body: {}, message: "the server cannot be reached" };
  }
}

/** 128 random bits. (`randomUUID` would need HTTPS, and phones at an event come by address.) */
function key() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Who sits here: a number that this browser keeps. */
export function viewerId() {
  let id = null;
  try {
    id = localStorage.getItem("fanfare.viewer");
  } catch {
    // No storage: a viewer for this visit.
  }
  if (!/^[1-9]\d{0,15}$/.test(id ?? "")) {
    id = String(100_000 + (crypto.getRandomValues(new Uint32Array(1))[0] % 900_000));
    try {
      localStorage.setItem("fanfare.viewer", id);
    } catch {
      // As above.
    }
  }
  return id;
}
