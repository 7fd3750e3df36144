// Keyed rows whose order changes: each slides from where it was to where it is.

const SLIDE_MS = 520;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** True unless the person asked for less motion. */
export function mayMove() {
  return !still.matches;
}

/**
 * Makes the children of `parent` those of `items`, in that order, reusing the elements of before.
 * `key(item)` names an element, `make(item)` creates it, `show(element, item)` fills it.
 */
export function arrange(parent, items, { key, make, show }) {
  const before = new Map();
  for (const element of parent.children) {
    if (!element.dataset.leaving) before.set(element.dataset.key, element);
  }
  const tops = new Map(Array.from(before, ([name, element]) => [name, element.getBoundingClientRect().top]));
  const focused = document.activeElement;
  items.forEach((item, place) => {
    const name = key(item);
    const element = before.get(name) ?? make(item);
    before.delete(name);
    element.dataset.key = name;
    show(element, item);
    // Moving an element takes the focus from it, so only what stands wrong is moved.
    if (parent.children[place] !== element) parent.insertBefore(element, parent.children[place] ?? null);
  });
  for (const gone of before.values()) gone.remove();
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
  if (mayMove()) for (const element of parent.children) slide(element, tops.get(element.dataset.key));
}

function slide(element, top) {
  if (top === undefined) {
    element.animate([{ opacity: 0 }, { opacity: 1 }], { id: "appear", duration: SLIDE_MS / 2 });
    return;
  }
  // The box of now holds no motion of before once that has been cancelled.
  for (const motion of element.getAnimations()) if (motion.id === "slide") motion.cancel();
  const by = top - element.getBoundingClientRect().top;
  if (Math.abs(by) < 1) return;
  const rising = by > 0;
  element.classList.toggle("rising", rising);
  const motion = element.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], {
    id: "slide",
    duration: SLIDE_MS,
    easing: "cubic-bezier(.2,.8,.2,1)",
  });
  motion.onfinish = () => element.classList.remove("rising");
}
