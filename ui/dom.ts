/** An element of index.html; it is there. */
export function find(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new TypeError(id);
  return found;
}

export function element(tag: string, kind: string, text: string): HTMLElement {
  const made = document.createElement(tag);
  if (kind !== '') made.className = kind;
  made.textContent = text;
  return made;
}

export function drawn(tag: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
