// The hot counters of one type: what is counted most, and a button to count it once more.

import { group, share } from "./exact.js";
import { arrange } from "./rows.js";

const VERBS = { like: "Like", view: "View", follow: "Follow" };

export class HotCounters {
  /** Shows in `list`; `onCount(resource, type)` when a button is pressed. */
  constructor(list, onCount) {
    this.list = list;
    this.onCount = onCount;
  }

  take({ counter_type: type, data: counters }) {
    const most = counters[0]?.count ?? "0";
    arrange(this.list, counters, {
      key: (counter) => `${type} ${counter.resource_id}`,
      make: (counter) => this.#make(counter.resource_id, type),
      show: (row, { count }) => {
        const value = row.querySelector(".count");
        if (value.textContent !== group(count)) value.textContent = group(count);
        row.querySelector(".bar").style.setProperty("--share", share(count, most));
      },
    });
  }

  #make(resource, type) {
    const row = document.createElement("li");
    const add = (kind, tag = "span") => {
      const made = row.appendChild(document.createElement(tag));
      made.className = kind;
      return made;
    };
    add("resource").textContent = resource;
    add("count");
    const button = add("plus", "button");
    button.type = "button";
    button.textContent = type === "like" ? "♥" : "+1";
    button.ariaLabel = `${VERBS[type] ?? "Count"} ${resource}`;
    button.addEventListener("click", () => this.onCount(resource, type));
    add("bar").ariaHidden = "true";
    return row;
  }
}
