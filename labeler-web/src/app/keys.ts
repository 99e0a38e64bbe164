/** Every key, in one table: what the page does with it and what the help says of it. Keys are inert while one types. */
import * as acts from "./acts";
import { attempt } from "./attempt";
import { moveToCase } from "./casework";
import { acceptAndGoOn, giveVerdict, toggleBlink, walkDifferences } from "./compare";
import * as nav from "./navigate";
import { panes } from "./pane";
import * as S from "./state";
import { save } from "./versions";

export interface Key {
  /** Shown in the help and on buttons. */
  readonly shown: string;
  readonly does: string;
  readonly group: "Look" | "Tools" | "Lesions" | "Compare" | "Work";
  /** `Ctrl+Shift+z`: modifiers, then `KeyboardEvent.key` in lower case; `#1` names the digit key 1 whatever Shift makes of it. */
  readonly combos: readonly string[];
  readonly mode?: S.Mode;
  /** Only while no control outside the panes has the focus: keys that move the focus or press buttons elsewhere. */
  readonly onPanes?: boolean;
  readonly run: () => unknown;
}

export const TOOLS: readonly { id: S.Tool; name: string; key: string; does: string }[] = [
  {
    id: "navigate",
    name: "Navigate",
    key: "V",
    does: "click goes there in all panes and selects the lesion; drag moves the linked cursor",
  },
  { id: "brush", name: "Brush", key: "B", does: "paints the active type" },
  { id: "eraser", name: "Eraser", key: "E", does: "turns lesion into liver or background (or hold Ctrl with a brush)" },
  { id: "ball", name: "3D brush", key: "Shift+B", does: "paints a ball through neighbouring slices" },
  { id: "threshold", name: "Threshold brush", key: "T", does: "paints only voxels within the HU range" },
  {
    id: "fill",
    name: "Fill",
    key: "G",
    does: "fills the connected region within the HU range in 3D; Shift-click: in this slice",
  },
  {
    id: "interpolate",
    name: "Interpolate",
    key: "I",
    does: "fills the slices between drawn ones of the object you point at",
  },
  { id: "pick", name: "Pick", key: "C", does: "takes the label under the pointer for the brush" },
  {
    id: "split",
    name: "Split",
    key: "S",
    does: "draw a line across a lesion, then click the part that takes the active type",
  },
  { id: "ruler", name: "Ruler", key: "D", does: "drag to measure a distance" },
  { id: "circle", name: "HU circle", key: "U", does: "drag from the centre: mean, SD and range of HU" },
  { id: "box", name: "Box", key: "Q", does: "drag a box round a proven lesion; it becomes a lesion from the table" },
];

function take(tool: S.Tool): void {
  S.tool.value = tool;
  if (tool !== "split") S.splitLine.value = undefined;
  // With a drawing tool in hand the digits choose its type: a lesion that is still selected must not be retyped by them.
  if (acts.DRAWING.has(tool)) S.selected.value = [];
  const info = TOOLS.find((one) => one.id === tool);
  if (info) S.say(`${info.name}: ${info.does}`);
}

const brushSize = (step: number): void => {
  const mm = S.brushMm.value;
  S.brushMm.value = Math.min(60, Math.max(0.5, Math.round((mm + step * (mm < 4 ? 0.5 : mm < 12 ? 1 : 2)) * 2) / 2));
  S.say(`Brush radius ${S.brushMm.value} mm`);
};

const setOpacity = (step: number): void => {
  S.opacity.value = Math.min(1, Math.max(0, Math.round((S.opacity.value + step) * 20) / 20));
  S.say(`Fill ${Math.round(S.opacity.value * 100)} %`);
};

const cycleOverlay = (): void => {
  S.overlay.value = S.OVERLAYS[(S.OVERLAYS.indexOf(S.overlay.value) + 1) % S.OVERLAYS.length];
  S.say({ both: "Contour and fill", contour: "Contour only", fill: "Fill only" }[S.overlay.value]);
};

const activePane = (): string => nav.paneId(S.activePhase.value, S.activePlane.value);

/** Moves the linked cursor by whole voxels of the active plane. */
function nudge(columns: number, rows: number): void {
  const opened = S.open.value;
  if (!opened) return;
  const plane = S.activePlane.value;
  const [column, row, slice] = opened.grid.toPixel(plane, S.cursor.value);
  nav.goTo(opened.grid.fromPixel(plane, column + columns, row + rows, slice));
}

function interpolateHere(): Promise<void> | void {
  const draft = S.draft.value;
  const opened = S.open.value;
  const point = S.hover.value?.point ?? S.cursor.value;
  const drawn = draft && opened && draft.mask[opened.grid.flat(point)];
  if (drawn || acts.selectedLesions().length > 0) return acts.interpolate(drawn ? point : undefined);
  take("interpolate");
}

const FOCUSABLE = ":is(button, select, input, [tabindex]):not(:disabled, [hidden], [tabindex='-1'])";

/** Moves the keyboard's focus to the next region of the page, also out of the panes, where Tab walks lesions. */
function nextRegion(): void {
  const regions = [...document.querySelectorAll<HTMLElement>("[data-region]")];
  const at = regions.findIndex((one) => one.contains(document.activeElement));
  for (let far = 1; far <= regions.length; far++) {
    const inside = regions[(at + far) % regions.length]?.querySelector<HTMLElement>(FOCUSABLE);
    if (inside) return inside.focus();
  }
}

function leave(): void {
  if (S.splitLine.value) S.splitLine.value = undefined;
  else if (S.menuOpen.value) S.menuOpen.value = false;
  else if (S.enlarged.value) S.enlarged.value = undefined;
  else S.selected.value = [];
}

const DIGITS = [1, 2, 3, 4, 5, 6] as const;

const key = (
  group: Key["group"],
  shown: string,
  does: string,
  combos: string,
  run: () => unknown,
  extra: Partial<Key> = {},
): Key => ({
  group,
  shown,
  does,
  combos: combos.split(" "),
  run,
  ...extra,
});

export const KEYS: readonly Key[] = [
  key("Look", "Wheel, ↑ ↓", "slice; with Shift five slices", "arrowup pageup", () => nav.scroll(-1), { onPanes: true }),
  key("Look", "", "", "arrowdown pagedown", () => nav.scroll(1), { onPanes: true }),
  key("Look", "", "", "Shift+arrowup", () => nav.scroll(-5), { onPanes: true }),
  key("Look", "", "", "Shift+arrowdown", () => nav.scroll(5), { onPanes: true }),
  key("Look", "Home, End", "uppermost, lowest slice", "home", () => nav.scrollToEnd(true), { onPanes: true }),
  key("Look", "", "", "end", () => nav.scrollToEnd(false), { onPanes: true }),
  key("Look", "Ctrl+wheel", "zoom; also Ctrl+↑ Ctrl+↓", "Ctrl+arrowup", () => nav.zoom(S.activePlane.value, 1.15), {
    onPanes: true,
  }),
  key("Look", "", "", "Ctrl+arrowdown", () => nav.zoom(S.activePlane.value, 1 / 1.15), { onPanes: true }),
  key("Look", "Middle or Space-drag", "move the picture", "", () => undefined),
  key("Look", "Right-drag", "window of that phase", "", () => undefined),
  key("Look", "Z", "fit the picture into the panes", "z", () => {
    nav.refit.value++;
  }),
  key("Look", "W", "automatic window in every phase", "w", nav.automaticWindow),
  ...nav.PRESETS.map((preset, k) =>
    key("Look", `Shift+${k + 1}`, `window: ${preset.title.toLowerCase()} (active phase)`, `Shift+#${k + 1}`, () =>
      nav.presetWindow(preset.key),
    ),
  ),
  key("Look", "F, double-click", "enlarge the active pane, or show all", "f", () => nav.enlarge(activePane())),
  key("Look", "L", "next layout: four, 1 + 3, axial/coronal/sagittal", "l", nav.nextLayout),
  key("Look", "Alt+arrows", "move the linked cursor by a voxel", "Alt+arrowleft", () => nudge(-1, 0), {
    onPanes: true,
  }),
  key("Look", "", "", "Alt+arrowright", () => nudge(1, 0), { onPanes: true }),
  key("Look", "", "", "Alt+arrowup", () => nudge(0, -1), { onPanes: true }),
  key("Look", "", "", "Alt+arrowdown", () => nudge(0, 1), { onPanes: true }),
  key("Look", "F6", "keyboard focus to the next part of the page", "f6", nextRegion),

  key("Tools", "V", "navigate", "v", () => take("navigate")),
  key("Tools", "B", "brush", "b", () => take("brush")),
  key("Tools", "E, hold Ctrl", "eraser", "e", () => take("eraser")),
  key("Tools", "Shift+B", "3D brush", "Shift+b", () => take("ball")),
  key("Tools", "T", "threshold brush", "t", () => take("threshold")),
  key("Tools", "G", "fill the connected region", "g", () => take("fill")),
  key("Tools", "I", "interpolate the object under the pointer or the selected lesion", "i", interpolateHere),
  key("Tools", "C", "pick the label under the pointer", "c", () => acts.pick(S.hover.value?.point ?? S.cursor.value)),
  key("Tools", "S", "split a lesion along a line", "s", () => take("split")),
  key("Tools", "D", "ruler", "d", () => take("ruler")),
  key("Tools", "U", "HU circle", "u", () => take("circle")),
  key("Tools", "Q", "box round a proven lesion", "q", () => take("box")),
  key("Tools", "[  ]", "brush smaller, larger", "[", () => brushSize(-1)),
  key("Tools", "", "", "]", () => brushSize(1)),
  key(
    "Tools",
    "Alt+Enter",
    "use the tool at the linked cursor",
    "Alt+enter",
    () => panes.get(activePane())?.gestures.applyAtCursor(),
    { onPanes: true },
  ),
  key("Tools", "H (hold)", "hide the masks", "", () => undefined),
  key("Tools", "O", "contour and fill, contour, fill", "o", cycleOverlay),
  key("Tools", "-  =", "fill weaker, stronger", "-", () => setOpacity(-0.05)),
  key("Tools", "", "", "= Shift++ +", () => setOpacity(0.05)),
  key("Tools", "J", "show or hide organs", "j", () => {
    S.organsShown.value = !S.organsShown.value;
  }),

  ...DIGITS.map((label) =>
    key("Lesions", String(label), `type ${label} for the selected lesion, else for the brush`, `#${label}`, () =>
      acts.giveType(label),
    ),
  ),
  key("Lesions", "0, Delete", "delete the selected lesion", "#0 delete", acts.deleteLesions),
  key("Lesions", "Tab, Shift+Tab", "next, previous lesion (in the panes)", "tab", () => acts.walkLesions(1), {
    onPanes: true,
  }),
  key("Lesions", "", "", "Shift+tab", () => acts.walkLesions(-1), { onPanes: true }),
  key("Lesions", "Ctrl+C", "copy the lesion under the pointer (the dashed mask first)", "Ctrl+c", acts.copy),
  key("Lesions", "Ctrl+V", "paste the lesion, or its slice into this slice", "Ctrl+v", () => acts.paste(false)),
  key("Lesions", "Ctrl+Shift+V", "paste one slice of the lesion", "Ctrl+Shift+v", () => acts.paste(true)),

  key("Compare", "N, P", "next, previous difference", "n", () => walkDifferences(1), { mode: "compare" }),
  key("Compare", "", "", "p", () => walkDifferences(-1), { mode: "compare" }),
  key("Compare", "Enter", "accept the new mask here and go on", "enter", acceptAndGoOn, {
    mode: "compare",
    onPanes: true,
  }),
  key("Compare", "A", "accept the new mask here", "a", () => giveVerdict("accept"), { mode: "compare" }),
  key("Compare", "R", "keep the old mask here", "r", () => giveVerdict("keep"), { mode: "compare" }),
  key("Compare", "1 to 6", "accept the shape with this type", "", () => undefined),
  key("Compare", "M", "mark for a second reader", "m", () => giveVerdict("second_reader"), { mode: "compare" }),
  key("Compare", "K", "done by hand: leave it as I drew it", "k", () => giveVerdict("edited"), { mode: "compare" }),
  key("Compare", "Backspace", "take the verdict back", "backspace", () => giveVerdict("clear"), { mode: "compare" }),
  key("Compare", "X", "blink: old only, new only, both", "x", toggleBlink, { mode: "compare" }),

  key("Work", "Ctrl+Z", "undo", "Ctrl+z", acts.undo),
  key("Work", "Ctrl+Shift+Z, Ctrl+Y", "redo", "Ctrl+Shift+z Ctrl+y", acts.redo),
  key("Work", "Ctrl+S", "save a version", "Ctrl+s", () => save()),
  key("Work", "Ctrl+→, Ctrl+←", "next, previous case", "Ctrl+arrowright", () => moveToCase(1)),
  key("Work", "", "", "Ctrl+arrowleft", () => moveToCase(-1)),
  key("Work", "Esc", "forget a cut, leave a large pane, select nothing", "escape", leave),
  key("Work", "?", "this help", "? Shift+? f1", () => {
    S.dialog.value = "help";
  }),
];

function comboOf(event: KeyboardEvent): string[] {
  const held = `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}`;
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
  return [...(digit ? [`${held}#${digit}`] : []), `${held}${event.key.toLowerCase()}`];
}

/** True when a key is the control's own: all in a text field; in a list those without Ctrl, which choose in it. */
function typing({ target, ctrlKey, metaKey }: KeyboardEvent): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLSelectElement) return !ctrlKey && !metaKey;
  if (target instanceof HTMLInputElement)
    return target.type !== "checkbox" && target.type !== "range" && target.type !== "radio";
  return target instanceof HTMLTextAreaElement || target.isContentEditable;
}

/** True while the panes, or nothing at all, have the focus. */
function onPanes(target: EventTarget | null): boolean {
  return target === document.body || (target instanceof HTMLElement && target.closest("[data-panes]") !== null);
}

function keyDown(event: KeyboardEvent): void {
  if (event.key === "Control") S.eraseHeld.value = true;
  if (typing(event) || S.dialog.value || !S.caseId.value) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") event.preventDefault();
    return;
  }
  const inPanes = onPanes(event.target);
  if (event.key === " " && inPanes) {
    S.spaceHeld.value = true;
    event.preventDefault();
    return;
  }
  if (event.key.toLowerCase() === "h" && !event.ctrlKey && !event.metaKey) S.overlayHidden.value = true;
  const combos = comboOf(event);
  for (const one of KEYS) {
    if (one.mode && one.mode !== S.mode.value) continue;
    if (one.onPanes && !inPanes) continue;
    if (!one.combos.some((combo) => combo !== "" && combos.includes(combo))) continue;
    event.preventDefault();
    attempt(one.run);
    return;
  }
}

function keyUp(event: KeyboardEvent): void {
  if (event.key === "Control") S.eraseHeld.value = false;
  if (event.key === " ") S.spaceHeld.value = false;
  if (event.key.toLowerCase() === "h") S.overlayHidden.value = false;
}

function release(): void {
  S.eraseHeld.value = S.spaceHeld.value = S.overlayHidden.value = false;
}

export function listenToKeys(): void {
  document.addEventListener("keydown", keyDown);
  document.addEventListener("keyup", keyUp);
  window.addEventListener("blur", release);
}

export { brushSize, setOpacity, take as takeTool };
