// The board over a streamer's picture: transparent, and without anything to press.

import { Board } from "./board.js";
import { Feed } from "./feed.js";
import { takeFromAddress } from "./token.js";

takeFromAddress();

const asked = new URLSearchParams(location.search);
const query = new URLSearchParams({ num: asked.get("num") ?? "5", period: asked.get("period") ?? "all" });
const board = new Board(document.getElementById("places"));
const feed = new Feed(
  (name, data) => name === "board" && board.take(data.data),
  (state) => (document.documentElement.dataset.state = state),
);
feed.follow(`/gift/stream?${query}`);
