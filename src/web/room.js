// The trading room of the last minute: how much is traded and how many are there, and nobody's name.

import { draw } from "./chart.js";
import { brief, group } from "./exact.js";

const WIDTH = 600;
const HEIGHT = 90;
const GAP = 3;

export class Room {
  constructor(part) {
    this.part = part;
  }

  take({ trades, volume_fen: volume, online, seconds }) {
    this.part("room-trades").textContent = group(trades);
    this.part("room-volume").textContent = `¥${brief(Number(volume) / 100)}`;
    this.part("room-online").textContent = group(online);
    const counts = seconds.map(Number);
    const most = Math.max(1, ...counts);
    const step = WIDTH / counts.length;
    const bars = counts.map((count, index) => {
      const height = Math.max(2, (count / most) * HEIGHT);
      return draw("rect", { x: index * step, y: HEIGHT - height, width: step - GAP, height, rx: 1.5 });
    });
    this.part("room-pulse").replaceChildren(...bars);
  }
}
