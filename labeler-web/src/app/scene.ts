/** Puts together what lies over one pane: masks, lesion numbers, boxes, measurements, cross. */

import type { Outline } from "../model/contours";
import { boundsOf, outlinesOf } from "../model/contours";
import type { Grid, Plane } from "../model/grid";
import { LETTERS } from "../model/grid";
import type { Box, Phase, Point } from "../server/names";
import type { ListedLesion, MeasurementRecord } from "../server/types";
import type { Scene } from "../viewer/overlay";
import { fillPicture } from "../viewer/overlay";
import { selectedLesions } from "./acts";
import * as S from "./state";

const OLD_COLOR = "#ffffff";
const SELECTED_COLOR = "#7fe0c8";
const MEASURE_COLOR = "#ffe27a";
const BOX_COLOR = "#ffb347";

interface Slice {
  readonly labels: Uint8Array;
  outlines?: Map<number, Outline[]>;
  fill?: HTMLCanvasElement;
  fillKey?: string;
}

/** The last slice cut from each mask in each plane; four panes over one slice share one cut. */
const cuts = new Map<string, { mask: Uint8Array; slice: number; revision: number; cut: Slice }>();

function sliceOf(which: string, mask: Uint8Array, grid: Grid, plane: Plane, slice: number): Slice {
  const key = `${which} ${plane}`;
  const had = cuts.get(key);
  const revision = S.maskRevision.value;
  if (had && had.mask === mask && had.slice === slice && had.revision === revision) return had.cut;
  const cut: Slice = { labels: grid.cut(mask, plane, slice) };
  cuts.set(key, { mask, slice, revision, cut });
  return cut;
}

function outlines(cut: Slice, grid: Grid, plane: Plane): Map<number, Outline[]> {
  const [width, height] = grid.extent(plane);
  cut.outlines ??= outlinesOf(cut.labels, width, height);
  return cut.outlines;
}

function rgb(color: string): [number, number, number] {
  const value = Number.parseInt(color.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

function shownLabels(): Map<number, readonly [number, number, number]> {
  return new Map(
    S.labels.value
      .filter((one) => one.group === "lesion" || (one.group === "organ" && S.organsShown.value))
      .map((one) => [one.value, rgb(one.color)]),
  );
}

function fillOf(cut: Slice, grid: Grid, plane: Plane): HTMLCanvasElement {
  const key = `${S.organsShown.value}`;
  if (!cut.fill || cut.fillKey !== key) {
    const [width, height] = grid.extent(plane);
    cut.fill = fillPicture(cut.labels, width, height, shownLabels());
    cut.fillKey = key;
  }
  return cut.fill;
}

type Lines = { outlines: readonly Outline[]; color: string; width: number; dashed?: boolean }[];

function solid(cut: Slice, grid: Grid, plane: Plane): Lines {
  const lines: Lines = [];
  const found = outlines(cut, grid, plane);
  for (const group of ["organ", "lesion"] as const) {
    if (group === "organ" && !S.organsShown.value) continue;
    for (const info of S.labels.value) {
      const mine = info.group === group ? found.get(info.value) : undefined;
      if (mine) lines.push({ outlines: mine, color: info.color, width: group === "lesion" ? 1.75 : 1 });
    }
  }
  return lines;
}

function dashed(cut: Slice, grid: Grid, plane: Plane): Lines {
  const lines: Lines = [];
  for (const [label, mine] of outlines(cut, grid, plane)) {
    if (S.labelInfo(label).group === "lesion")
      lines.push({ outlines: mine, color: OLD_COLOR, width: 1.5, dashed: true });
  }
  return lines;
}

/** Outlines and fill of the masks for the mode the page is in. */
function masks(grid: Grid, plane: Plane, slice: number): Pick<Scene, "outlines" | "fill"> {
  const working = S.draft.value;
  if (S.overlayHidden.value || !working) return { outlines: [] };
  const lines: Lines = [];
  const cut = sliceOf("working", working.mask, grid, plane, slice);
  const compared = S.mode.value === "compare" ? S.compareMasks.value : undefined;
  const style = S.overlay.value;
  if (compared) {
    const side = S.blink.value;
    if (side !== "old") lines.push(...solid(sliceOf("new", compared.fresh, grid, plane, slice), grid, plane));
    if (side !== "new") lines.push(...dashed(sliceOf("old", compared.old, grid, plane, slice), grid, plane));
    return style === "contour"
      ? { outlines: lines }
      : { outlines: lines, fill: { picture: fillOf(cut, grid, plane), opacity: S.opacity.value } };
  }
  if (style !== "fill") lines.push(...solid(cut, grid, plane));
  const beside = S.reference.value;
  if (beside) lines.push(...dashed(sliceOf("reference", beside.mask, grid, plane, slice), grid, plane));
  return style === "contour"
    ? { outlines: lines }
    : { outlines: lines, fill: { picture: fillOf(cut, grid, plane), opacity: S.opacity.value } };
}

/** Half-open ranges of pixels. */
interface Rectangle {
  readonly columns: readonly [number, number];
  readonly rows: readonly [number, number];
}

type Frames = (Rectangle & { color: string; dashed?: boolean })[];

/** The rectangle of a half-open box in a slice, or undefined where the slice misses it. */
function frameOf(grid: Grid, plane: Plane, slice: number, box: Box): Rectangle | undefined {
  const low: Point = [box[0][0], box[1][0], box[2][0]];
  const high: Point = [box[0][1] - 1, box[1][1] - 1, box[2][1] - 1];
  const [a, b] = [grid.toPixel(plane, low), grid.toPixel(plane, high)];
  if (slice < Math.min(a[2], b[2]) || slice > Math.max(a[2], b[2])) return undefined;
  return {
    columns: [Math.min(a[0], b[0]), Math.max(a[0], b[0]) + 1],
    rows: [Math.min(a[1], b[1]), Math.max(a[1], b[1]) + 1],
  };
}

const areaOf = ({ columns, rows }: Rectangle): number => (columns[1] - columns[0]) * (rows[1] - rows[0]);

const holds = (outer: Rectangle, inner: Rectangle): boolean =>
  (["columns", "rows"] as const).every((axis) => outer[axis][0] <= inner[axis][0] && outer[axis][1] >= inner[axis][1]);

/**
 * Numbers of the lesions, each beside the largest outline that the lesion has in the slice. An outline belongs to the
 * lesion whose box is the smallest that holds it, one of its own type before others: a lesion can hold several types.
 */
function lesionTags(grid: Grid, plane: Plane, slice: number): Scene["tags"] {
  const working = S.draft.value;
  if (S.overlayHidden.value || !working) return [];
  const found = outlines(sliceOf("working", working.mask, grid, plane, slice), grid, plane);
  const largest = new Map<ListedLesion, Rectangle>();
  const near = (S.lesions.value?.lesions ?? []).flatMap((lesion) => {
    const frame = frameOf(grid, plane, slice, lesion.box);
    return frame ? [{ lesion, frame }] : [];
  });
  near.sort((a, b) => areaOf(a.frame) - areaOf(b.frame));
  for (const [label, mine] of found) {
    if (S.labelInfo(label).group !== "lesion") continue;
    for (const outline of mine) {
      const bounds = boundsOf(outline);
      const around = near.filter(({ frame }) => holds(frame, bounds));
      const owner = (around.find(({ lesion }) => lesion.label === label) ?? around[0])?.lesion;
      const before = owner && largest.get(owner);
      if (owner && (!before || areaOf(bounds) > areaOf(before))) largest.set(owner, bounds);
    }
  }
  return [...largest].map(([lesion, { columns, rows }]) => {
    const info = S.labelInfo(lesion.label);
    return { column: columns[1] - 1, row: rows[0], text: `L${lesion.number} ${info.name}`, color: info.color };
  });
}

/** Brackets round what is selected, and the boxes of mask 00. */
function framesIn(grid: Grid, plane: Plane, slice: number): Frames {
  const frames: Frames = [];
  if (S.mode.value === "compare") {
    const current = S.differences.value?.differences.find((one) => one.id === S.difference.value);
    const frame = current && frameOf(grid, plane, slice, current.box);
    if (frame) frames.push({ ...frame, color: SELECTED_COLOR });
  } else {
    for (const lesion of selectedLesions()) {
      const frame = frameOf(grid, plane, slice, lesion.box);
      if (frame) frames.push({ ...frame, color: SELECTED_COLOR });
    }
    for (const seed of S.boxes.value) {
      const box = seed.status !== "seeded" && frameOf(grid, plane, slice, seed.box);
      if (box) frames.push({ ...box, color: BOX_COLOR, dashed: true });
    }
  }
  return frames;
}

function circleText(one: MeasurementRecord): string[] {
  if (one.mean === undefined) return [`r ${(one.radius_mm ?? 0).toFixed(1)} mm`];
  return [
    `${one.mean.toFixed(0)} ± ${(one.sd ?? 0).toFixed(0)} HU`,
    `${(one.min ?? 0).toFixed(0)} to ${(one.max ?? 0).toFixed(0)}, ${((one.area_mm2 ?? 0) / 100).toFixed(1)} cm²`,
  ];
}

function measured(
  grid: Grid,
  plane: Plane,
  slice: number,
  phase: Phase,
  extra: MeasurementRecord | undefined,
): Pick<Scene, "rulers" | "circles"> {
  const rulers: { from: [number, number]; to: [number, number]; text: string; color: string }[] = [];
  const circles: { at: [number, number]; mm: number; lines: string[]; color: string }[] = [];
  for (const one of extra ? [...S.measurements.value, extra] : S.measurements.value) {
    if (one.kind === "ruler" && one.from && one.to) {
      const [a, b] = [grid.toPixel(plane, one.from), grid.toPixel(plane, one.to)];
      if (Math.round(a[2]) === slice && Math.round(b[2]) === slice) {
        rulers.push({
          from: [a[0], a[1]],
          to: [b[0], b[1]],
          text: `${(one.mm ?? 0).toFixed(1)} mm`,
          color: MEASURE_COLOR,
        });
      }
    } else if (one.kind === "circle" && one.centre && one.phase === phase && plane === "axial") {
      const at = grid.toPixel(plane, one.centre);
      if (Math.round(at[2]) === slice)
        circles.push({ at: [at[0], at[1]], mm: one.radius_mm ?? 0, lines: circleText(one), color: MEASURE_COLOR });
    }
  }
  return { rulers, circles };
}

/** What a drag in the pane is about to make. */
export interface Preview {
  readonly measurement?: MeasurementRecord | undefined;
  readonly line?: { from: [number, number]; to: [number, number] } | undefined;
  readonly box?: { columns: [number, number]; rows: [number, number] } | undefined;
  readonly brush?: { at: [number, number]; mm: number; color: string } | undefined;
}

/** Scene of a pane whose phase lies on the case's grid. */
export function sceneOf(
  grid: Grid,
  plane: Plane,
  slice: number,
  phase: Phase,
  cross: Point | undefined,
  preview: Preview,
): Scene {
  const [width, height] = grid.extent(plane);
  const [su, sv] = grid.planeSpacing(plane);
  const at = cross && grid.toPixel(plane, cross);
  const frames = framesIn(grid, plane, slice);
  const taken = measured(grid, plane, slice, phase, preview.measurement);
  const cutLine = S.splitLine.value;
  const drawn: Preview["line"] = cutLine && {
    from: [cutLine.line[0][1], cutLine.line[0][0]],
    to: [cutLine.line[1][1], cutLine.line[1][0]],
  };
  const line = preview.line ?? (plane === "axial" && cutLine?.slice === slice ? drawn : undefined);
  return {
    spacing: [su, sv],
    width,
    height,
    letters: LETTERS[plane],
    ...masks(grid, plane, slice),
    tags: S.mode.value === "edit" ? lesionTags(grid, plane, slice) : [],
    frames: preview.box ? [...frames, { ...preview.box, color: BOX_COLOR, dashed: true }] : frames,
    rulers: line
      ? [...taken.rulers, { ...line, text: "cut: click the part to retype", color: "#ff8a8a" }]
      : taken.rulers,
    circles: taken.circles,
    cross: at && [at[0], at[1]],
    brush: preview.brush,
  };
}

/** Scene of a pane whose phase has a grid of its own: no mask lies on it. */
export function bareScene(grid: Grid, plane: Plane, cross: Point | undefined): Scene {
  const [width, height] = grid.extent(plane);
  const [su, sv] = grid.planeSpacing(plane);
  const at = cross && grid.toPixel(plane, cross);
  return {
    spacing: [su, sv],
    width,
    height,
    letters: LETTERS[plane],
    outlines: [],
    tags: [],
    frames: [],
    rulers: [],
    circles: [],
    cross: at && [at[0], at[1]],
  };
}
