// Nodes from data. All text goes through here or textContent: nothing that was received is ever read as HTML.

export const byId = (id) => document.getElementById(id);

export function element(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function setClass(node, name) {
  if (node.getAttribute("class") !== name) node.setAttribute("class", name);
}

export function link(url, label) {
  const node = element("a", "", label);
  node.href = url;
  node.target = "_blank";
  node.rel = "noopener noreferrer";
  return node;
}

// Children of `parent`, one for each item, made once for each key and brought up to date after that: a button keeps its
// focus, a log its place.
export function keep(parent, items, key, make, update) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const name = String(key(item));
    let child = old.get(name);
    if (child) old.delete(name);
    else {
      child = make(item);
      child.dataset.key = name;
    }
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
    update(child, item);
  });
  old.forEach((child) => child.remove());
  if (focused && focused.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true }); // it was moved
}

// As before, but with the end in sight if it was.
export function scrollingDown(node, change) {
  const atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < 60;
  change();
  if (atEnd) node.scrollTop = node.scrollHeight;
}

// A button that does one thing at a time. (Not by `disabled`: a disabled button loses the keyboard's focus.)
export function onClick(button, action) {
  button.addEventListener("click", async () => {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    try {
      await action();
    } finally {
      button.ariaBusy = null;
    }
  });
}

export function ago(seconds) {
  const passed = Math.max(0, Math.round(Date.now() / 1000 - seconds));
  if (passed < 5) return "just now";
  if (passed < 90) return `${passed} s ago`;
  return passed < 5400 ? `${Math.round(passed / 60)} min ago` : `${Math.round(passed / 3600)} h ago`;
}

export function lasted(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
