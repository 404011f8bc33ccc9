// A worker that waits. Browsers slow the timers of a hidden page down to one a second, but not those of a
// worker, so the moving picture asks here to be woken for its next frame. Message in: milliseconds to wait.

let pending = 0;

self.onmessage = ({ data: delay }) => {
  clearTimeout(pending);
  pending = setTimeout(() => self.postMessage(null), delay);
};
