/**
 * The little of the DOM that the page uses. The whole of it isn't among this package's types: its global `name`, `status`
 * or `close` would hide mistakes everywhere else.
 *
 * Texts reach the page as text only: names come from configuration.
 */
export interface PageElement {
  textContent: string | null;
  className: string;
  hidden: boolean;
  title: string;
  disabled: boolean;
  readonly clientWidth: number;
  readonly children: ArrayLike<PageElement>;
  readonly style: { setProperty(name: string, value: string): void };
  append(...children: PageElement[]): void;
  insertBefore(child: PageElement, before: PageElement | null): void;
  remove(): void;
  setAttribute(name: string, value: string): void;
  getAttribute(name: string): string | null;
  addEventListener(type: string, listener: (event: { preventDefault(): void }) => void): void;
  focus(): void;
}

export interface PageDialog extends PageElement {
  readonly open: boolean;
  showModal(): void;
  close(): void;
}

export interface PageInput extends PageElement {
  value: string;
}

interface Page {
  document: {
    title: string;
    readonly visibilityState: "visible" | "hidden";
    getElementById(id: string): PageElement | null;
    createElement(tag: string): PageElement;
    addEventListener(type: string, listener: () => void): void;
  };
  location: { readonly host: string; reload(): void };
  readonly sessionStorage: {
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
  };
}

const page = globalThis as unknown as Page;
export const { document, location } = page;

const unstored = new Map<string, string>();

/** Kept until the tab is closed. Where the browser blocks site data, reading the storage throws: then until the page is left. */
export const tabStorage = {
  get(key: string): string | null {
    try {
      return page.sessionStorage.getItem(key) ?? unstored.get(key) ?? null;
    } catch {
      return unstored.get(key) ?? null;
    }
  },
  set(key: string, value: string): void {
    try {
      page.sessionStorage.setItem(key, value);
    } catch {
      unstored.set(key, value);
    }
  },
  remove(key: string): void {
    unstored.delete(key);
    try {
      page.sessionStorage.removeItem(key);
    } catch {
      // Then it isn't in there.
    }
  },
};

export function byId(id: string): PageElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found;
}

export function element(tag: string, className = "", text = ""): PageElement {
  const created = document.createElement(tag);
  if (className !== "") created.className = className;
  if (text !== "") created.textContent = text;
  return created;
}

/** An element with these children. */
export function group(tag: string, className: string, ...children: PageElement[]): PageElement {
  const created = element(tag, className);
  created.append(...children);
  return created;
}

// What didn't change is left alone: nothing is selected anew, announced again or laid out for nothing.

export function setText(target: PageElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

export function setClass(target: PageElement, className: string): void {
  if (target.className !== className) target.className = className;
}

export function setAttribute(target: PageElement, name: string, value: string): void {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

export function setHidden(target: PageElement, hidden: boolean): void {
  if (target.hidden !== hidden) target.hidden = hidden;
}

/** A part of the page that shows one thing. */
export interface View<T> {
  readonly root: PageElement;
  update(item: T): void;
}

/** Shows a list in `parent`, with a view for each key that stays as long as its key is there. */
export function createList<T>(
  parent: PageElement,
  keyOf: (item: T) => string,
  createView: (item: T) => View<T>,
): (items: readonly T[]) => void {
  const views = new Map<string, View<T>>();
  return (items) => {
    const wanted = new Set(items.map(keyOf));
    for (const [key, view] of views) {
      if (wanted.has(key)) continue;
      view.root.remove();
      views.delete(key);
    }
    items.forEach((item, index) => {
      const key = keyOf(item);
      const view = views.get(key) ?? createView(item);
      views.set(key, view);
      const inPlace = parent.children[index] ?? null;
      if (inPlace !== view.root) parent.insertBefore(view.root, inPlace);
      view.update(item);
    });
  };
}
