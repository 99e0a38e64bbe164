/** Where one looks: slice, position, view, window, layout. All panes of a plane share slice and view; windows are per phase. */
import { batch, signal } from "@preact/signals";
import type { Plane } from "../model/grid";
import { PLANES } from "../model/grid";
import type { Phase, Point } from "../server/names";
import { PHASES } from "../server/names";
import type { Window } from "../viewer/viewer";
import * as S from "./state";

export const LAYOUTS: readonly { id: S.Layout; name: string }[] = [
  { id: "four", name: "Four phases" },
  { id: "one-three", name: "One large, three small" },
  { id: "mpr", name: "Axial, coronal, sagittal" },
];

/** Raised when the panes have changed size or a fit is asked for: the planes are fitted anew. */
export const refit = signal(0);

/** True from a call for a fit until the panes are fitted. */
export const fitting = signal(false);

export interface PaneSpec {
  readonly id: string;
  readonly phase: Phase;
  readonly plane: Plane;
}

export const paneId = (phase: Phase, plane: Plane): string => `${phase}-${plane}`;

/** The panes of the layout, the large one first. */
export function panesOf(layout: S.Layout, main: Phase): PaneSpec[] {
  const pane = (phase: Phase, plane: Plane): PaneSpec => ({ id: paneId(phase, plane), phase, plane });
  if (layout === "mpr") return PLANES.map((plane) => pane(main, plane));
  if (layout === "one-three")
    return [main, ...PHASES.filter((phase) => phase !== main)].map((phase) => pane(phase, "axial"));
  return PHASES.map((phase) => pane(phase, "axial"));
}

/** Which way the slice number runs when one scrolls down: to the feet, to the back, to the patient's left. */
export const DOWN: Record<Plane, 1 | -1> = { axial: -1, coronal: 1, sagittal: 1 };

/** Moves through the slices of a plane, downward when `steps` is positive. */
export function scroll(steps: number, plane: Plane = S.activePlane.value): void {
  const opened = S.open.value;
  if (opened) scrollTo(opened.grid.sliceOf(plane, S.cursor.value) + steps * DOWN[plane], plane);
}

export function scrollTo(slice: number, plane: Plane = S.activePlane.value): void {
  const opened = S.open.value;
  if (opened) goTo(opened.grid.withSlice(plane, S.cursor.value, slice));
}

/** To the uppermost or the lowest slice of the scroll. */
export function scrollToEnd(top: boolean, plane: Plane = S.activePlane.value): void {
  scrollTo(top === DOWN[plane] < 0 ? 1e9 : 0, plane);
}

export function goTo(point: Point): void {
  const opened = S.open.value;
  if (!opened) return;
  batch(() => {
    S.cursor.value = opened.grid.clamp(point);
    S.hover.value = undefined;
  });
}

/** Goes to a voxel and brings it into sight where the view has been zoomed past it. */
export function show(point: Point): void {
  const opened = S.open.value;
  if (!opened) return;
  goTo(point);
  const moved = { ...S.views.value };
  for (const plane of PLANES) {
    const view = moved[plane];
    if (!view) continue;
    const [column, row] = opened.grid.toPixel(plane, point);
    const [su, sv] = opened.grid.planeSpacing(plane);
    moved[plane] = { ...view, u: column * su, v: row * sv };
  }
  if (zoomed()) S.views.value = moved;
}

const fitted: Partial<Record<Plane, number>> = {};

function zoomed(): boolean {
  return PLANES.some((plane) => {
    const view = S.views.value[plane];
    return view && view.mmPerPixel < (fitted[plane] ?? 0) * 0.99;
  });
}

/** Fits a plane into its panes; the smallest of them decides. */
export function fit(plane: Plane, paneIds: readonly string[]): void {
  const { viewer } = S.services();
  const fits = paneIds.filter((id) => viewer.has(id)).map((id) => viewer.fit(id));
  const widest = fits.sort((a, b) => b.mmPerPixel - a.mmPerPixel)[0];
  if (!widest) return;
  fitted[plane] = widest.mmPerPixel;
  S.views.value = { ...S.views.value, [plane]: widest };
}

export function zoom(plane: Plane, factor: number, about?: readonly [number, number]): void {
  const view = S.views.value[plane];
  if (!view) return;
  const mmPerPixel = Math.min(8, Math.max(0.02, view.mmPerPixel / factor));
  const share = mmPerPixel / view.mmPerPixel;
  const [u, v] = about ?? [view.u, view.v];
  S.views.value = {
    ...S.views.value,
    [plane]: { mmPerPixel, u: u + (view.u - u) * share, v: v + (view.v - v) * share },
  };
}

export function pan(plane: Plane, du: number, dv: number): void {
  const view = S.views.value[plane];
  if (view) S.views.value = { ...S.views.value, [plane]: { ...view, u: view.u + du, v: view.v + dv } };
}

export function setWindow(phase: Phase, window: Window): void {
  const width = Math.min(4000, Math.max(1, Math.round(window.width)));
  const level = Math.min(3000, Math.max(-1024, Math.round(window.level)));
  S.windows.value = { ...S.windows.value, [phase]: { width, level } };
}

/** The window the server found for each phase. */
const automatic: Partial<Record<Phase, Window>> = {};

export function setAutomaticWindows(found: Partial<Record<Phase, [number, number] | null>>): void {
  for (const phase of PHASES) {
    const window = found[phase];
    if (!window) continue;
    const before = automatic[phase];
    automatic[phase] = { level: window[0], width: window[1] };
    const now = S.windows.value[phase];
    const untouched = !now || (before ? now.width === before.width && now.level === before.level : true);
    if (untouched) setWindow(phase, automatic[phase]);
  }
}

export function forgetAutomaticWindows(): void {
  for (const phase of PHASES) delete automatic[phase];
}

export function automaticWindow(): void {
  const next = { ...S.windows.value };
  for (const phase of PHASES) if (automatic[phase]) next[phase] = automatic[phase];
  S.windows.value = next;
  S.say("Automatic window in every phase");
}

export const PRESETS: readonly { key: string; title: string }[] = [
  { key: "liver", title: "Liver" },
  { key: "narrow", title: "Narrow liver" },
  { key: "soft", title: "Soft tissue" },
  { key: "lung", title: "Lung" },
  { key: "bone", title: "Bone" },
];

export function presetWindow(key: string): void {
  const preset = S.session.value?.windows[key];
  if (!preset) return;
  setWindow(S.activePhase.value, { level: preset[0], width: preset[1] });
  S.say(`Window ${PRESETS.find((one) => one.key === key)?.title ?? key} in ${S.activePhase.value}`);
}

export function nextLayout(): void {
  const at = LAYOUTS.findIndex((one) => one.id === S.layout.value);
  setLayout((LAYOUTS[(at + 1) % LAYOUTS.length] as (typeof LAYOUTS)[number]).id);
}

export function setLayout(layout: S.Layout): void {
  batch(() => {
    S.layout.value = layout;
    S.mainPhase.value = S.activePhase.value;
    S.enlarged.value = undefined;
    if (layout !== "mpr") S.activePlane.value = "axial";
  });
  S.say(`Layout: ${LAYOUTS.find((one) => one.id === layout)?.name ?? layout}`);
}

export function activate(phase: Phase, plane: Plane): void {
  batch(() => {
    S.activePhase.value = phase;
    S.activePlane.value = plane;
  });
}

/** Shows a phase large, or in the three planes. */
export function setMainPhase(phase: Phase): void {
  batch(() => {
    S.mainPhase.value = phase;
    S.activePhase.value = phase;
  });
}

/** Enlarges a pane, or shows all again. */
export function enlarge(id: string): void {
  S.enlarged.value = S.enlarged.value === id ? undefined : id;
}
