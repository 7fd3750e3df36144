// The token of a server that asks for one: kept for as long as this tab is open, sent with every call.

const KEY = "fanfare.token";
let kept = "";

try {
  kept = sessionStorage.getItem(KEY) ?? "";
} catch {
  // No storage: a token for this visit.
}

/** From now on this one; an empty text forgets it. */
export function keepToken(text) {
  kept = text.trim();
  try {
    if (kept) sessionStorage.setItem(KEY, kept);
    else sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}

/** What a request needs beside its own fields. */
export function authorization() {
  return kept ? { Authorization: `Bearer ${kept}` } : {};
}

/** Takes the token out of an address such as `/overlay#token=…`, for who has nowhere to type. What stands
 *  behind the # is not sent to any server; nor is it left where it could be seen. */
export function takeFromAddress() {
  const named = new URLSearchParams(location.hash.slice(1)).get("token");
  if (named === null) return;
  keepToken(named);
  history.replaceState(null, "", location.pathname + location.search);
}
