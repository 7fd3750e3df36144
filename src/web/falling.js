// Red packets that fall behind the rain's figures, while it rains and somebody looks.

import { mayMove } from "./rows.js";

const PACKETS = 26;

export class Falling {
  constructor(canvas) {
    this.canvas = canvas;
    this.isFalling = false;
    this.packets = Array.from({ length: PACKETS }, () => fresh(Math.random()));
  }

  run(isFalling) {
    const starts = isFalling && !this.isFalling && mayMove();
    this.isFalling = isFalling;
    if (starts) requestAnimationFrame((at) => this.#frame(at, at));
  }

  #frame(at, before) {
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const scale = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!this.isFalling || !mayMove()) {
      this.isFalling = false;
      return;
    }
    // A tab that comes back has slept; nothing leaps for it.
    const seconds = Math.min(0.05, (at - before) / 1000);
    this.packets.forEach((packet, index) => {
      packet.y += packet.speed * seconds;
      packet.turn += packet.spin * seconds;
      if (packet.y > 1.15) this.packets[index] = fresh(-0.15);
      else paint(context, packet, width, height);
    });
    requestAnimationFrame((next) => this.#frame(next, at));
  }
}

function fresh(y) {
  const near = Math.random();
  return {
    x: Math.random(),
    y,
    size: 9 + near * 13,
    speed: 0.1 + near * 0.2,
    turn: Math.random() * 6,
    spin: (Math.random() - 0.5) * 1.6,
    alpha: 0.1 + near * 0.34,
  };
}

function paint(context, { x, y, size, turn, alpha }, width, height) {
  context.save();
  context.translate(x * width, y * height);
  context.rotate(Math.sin(turn) * 0.5);
  context.globalAlpha = alpha;
  context.fillStyle = "#e0323c";
  context.beginPath();
  context.roundRect(-size / 2, -size * 0.7, size, size * 1.4, size * 0.16);
  context.fill();
  context.fillStyle = "#f7c65b";
  context.beginPath();
  context.arc(0, -size * 0.08, size * 0.2, 0, 7);
  context.fill();
  context.restore();
}
