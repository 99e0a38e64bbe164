/** Turns mouse, pen and key acts in one pane into acts on the case. */
import type { Grid, Plane } from "../model/grid";
import type { PhaseVolume } from "../model/phaseVolume";
import { cover, Stroke } from "../model/stroke";
import type { Box, Point } from "../server/names";
import type { MeasurementRecord } from "../server/types";
import * as acts from "./acts";
import { attempt } from "./attempt";
import type { PaneSpec } from "./navigate";
import { activate, goTo, pan, scroll, setWindow, zoom } from "./navigate";
import type { Preview } from "./scene";
import * as S from "./state";

interface Pull {
  kind: "pan" | "window" | "cursor";
  x: number;
  y: number;
  moved: boolean;
}

type Drag =
  | Pull
  | { kind: "paint"; tool: S.Tool; stroke: Stroke; at: [number, number] }
  | { kind: "ruler" | "circle" | "split" | "box"; from: [number, number]; to: [number, number] };

/** What gestures need to know of the pane that they happen in. */
export interface GesturePane {
  readonly spec: PaneSpec;
  readonly plane: Plane;
  readonly volume: PhaseVolume;
  readonly caseGrid: Grid;
  readonly sameGrid: boolean;
  slice(): number;
  pixelAt(event: MouseEvent): [number, number];
  voxelAt(pixel: readonly [number, number]): Point | undefined;
  sharedMm(event: MouseEvent): [number, number];
  valueAt(point: Point): number | undefined;
  redraw(): void;
}

const CLICK_PX = 3;

export class Gestures {
  private drag: Drag | undefined;
  private pointer: [number, number] | undefined;
  private readonly stops: (() => void)[] = [];

  constructor(
    private readonly pane: GesturePane,
    private readonly element: HTMLDivElement,
  ) {
    this.listen();
  }

  stop(): void {
    for (const stop of this.stops) stop();
  }

  /** What the hand is about to make, to be drawn over the slice. */
  preview(): Preview {
    const drag = this.drag;
    const here = this.pointer;
    const tool = this.tool();
    const brush =
      here && acts.PAINTERS.has(tool) && !(drag && drag.kind !== "paint")
        ? {
            at: here,
            mm: S.brushMm.value,
            color: tool === "eraser" ? "#ffffff" : S.labelInfo(S.brushLabel.value).color,
          }
        : undefined;
    if (!drag || !("from" in drag)) return { brush };
    if (drag.kind === "split") return { line: { from: drag.from, to: drag.to } };
    if (drag.kind === "box") return { box: boxOf(drag.from, drag.to) };
    return { measurement: this.measurement(drag) };
  }

  private measurement(drag: { kind: string; from: [number, number]; to: [number, number] }): MeasurementRecord {
    const { grid } = this.pane.volume;
    const [su, sv] = grid.planeSpacing(this.pane.plane);
    const mm = Math.hypot((drag.to[0] - drag.from[0]) * su, (drag.to[1] - drag.from[1]) * sv);
    const point = (at: [number, number]): Point => grid.fromPixel(this.pane.plane, at[0], at[1], this.pane.slice());
    const shared = { id: "", phase: this.pane.spec.phase };
    if (drag.kind === "ruler") return { ...shared, kind: "ruler", from: point(drag.from), to: point(drag.to), mm };
    return { ...shared, kind: "circle", centre: point(drag.from), radius_mm: mm };
  }

  private listen(): void {
    const on = <K extends keyof HTMLElementEventMap>(name: K, act: (event: HTMLElementEventMap[K]) => void): void => {
      const options = name === "wheel" ? { passive: false } : undefined;
      this.element.addEventListener(name, act, options);
      this.stops.push(() => this.element.removeEventListener(name, act));
    };
    on("wheel", (event) => this.wheel(event));
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.up(event));
    on("pointercancel", (event) => this.up(event));
    on("pointerleave", () => this.leave());
    on("contextmenu", (event) => event.preventDefault());
  }

  /** The tool in hand: Ctrl turns a brush into the eraser while it is held. */
  private tool(): S.Tool {
    const tool = S.tool.value;
    return S.eraseHeld.value && acts.PAINTERS.has(tool) ? "eraser" : tool;
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    activate(this.pane.spec.phase, this.pane.plane);
    const away = Math.sign(event.deltaY);
    if (event.ctrlKey) zoom(this.pane.plane, away > 0 ? 1 / 1.15 : 1.15, this.pane.sharedMm(event));
    else scroll((event.shiftKey ? 5 : 1) * away, this.pane.plane);
    this.hoverAt(event);
  }

  private down(event: PointerEvent): void {
    activate(this.pane.spec.phase, this.pane.plane);
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    const at = this.pane.pixelAt(event);
    this.pointer = at;
    if (event.button === 1 || (event.button === 0 && S.spaceHeld.value)) this.begin("pan", event);
    else if (event.button === 2) this.begin("window", event);
    else if (event.button === 0) this.press(event, at);
    event.preventDefault();
    this.pane.redraw();
  }

  private begin(kind: "pan" | "window" | "cursor", event: PointerEvent): void {
    this.drag = { kind, x: event.clientX, y: event.clientY, moved: false };
  }

  private press(event: PointerEvent, at: [number, number]): void {
    const tool = this.tool();
    const voxel = this.pane.voxelAt(at);
    if (tool === "navigate") return this.begin("cursor", event);
    if (tool === "ruler" || tool === "circle") {
      this.drag = { kind: tool, from: at, to: at };
      return;
    }
    if (!voxel || !this.pane.sameGrid) return;
    if (acts.PAINTERS.has(tool)) this.startStroke(tool, at);
    else this.apply(tool, voxel, event, at);
  }

  private apply(tool: S.Tool, voxel: Point, event: { shiftKey: boolean }, at: [number, number]): void {
    if (tool === "fill") attempt(() => acts.fill(voxel, this.pane.spec.phase, !event.shiftKey, this.meanAround(voxel)));
    else if (tool === "interpolate") attempt(() => acts.interpolate(voxel));
    else if (tool === "pick") acts.pick(voxel);
    else if (tool === "split" && S.splitLine.value) attempt(() => acts.finishSplit(voxel));
    else if (this.pane.plane !== "axial") S.say("Use this tool in an axial pane");
    else if (tool === "split" || tool === "box") this.drag = { kind: tool, from: at, to: at };
  }

  private startStroke(tool: S.Tool, at: [number, number]): void {
    const draft = S.draft.value;
    if (!draft) return S.say("The mask is still loading");
    this.drag = { kind: "paint", tool, stroke: new Stroke(draft.mask), at };
    this.paint(at);
  }

  private paint(to: [number, number]): void {
    const drag = this.drag;
    const draft = S.draft.value;
    if (drag?.kind !== "paint" || !draft) return;
    const segment = { plane: this.pane.plane, slice: this.pane.slice(), from: drag.at, to };
    const [low, high] = S.threshold.value;
    const values = drag.tool === "threshold" ? this.pane.volume.values : undefined;
    cover(this.pane.caseGrid, segment, S.brushMm.value, drag.tool === "ball", (index) => {
      if (values && (values[index] < low || values[index] > high)) return;
      const label = acts.painted(drag.tool, draft.mask[index]);
      if (label !== undefined) drag.stroke.set(index, label);
    });
    drag.at = to;
    S.maskRevision.value++;
  }

  private move(event: PointerEvent): void {
    const at = this.pane.pixelAt(event);
    this.pointer = at;
    const drag = this.drag;
    if (!drag) this.hoverAt(event);
    else if (drag.kind === "paint") {
      this.paint(at);
      this.hoverAt(event);
    } else if ("from" in drag) drag.to = at;
    else this.pull(drag, event, at);
    this.pane.redraw();
  }

  private pull(drag: Pull, event: PointerEvent, at: [number, number]): void {
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < CLICK_PX) return;
    drag.moved = true;
    const view = S.views.value[this.pane.plane];
    if (drag.kind === "cursor") {
      const voxel = this.pane.voxelAt(at);
      if (voxel) goTo(voxel);
      return;
    }
    [drag.x, drag.y] = [event.clientX, event.clientY];
    if (drag.kind === "pan" && view) pan(this.pane.plane, -dx * view.mmPerPixel, -dy * view.mmPerPixel);
    const window = S.windows.value[this.pane.spec.phase];
    if (drag.kind === "window" && window)
      setWindow(this.pane.spec.phase, { width: window.width + dx, level: window.level + dy });
  }

  private up(event: PointerEvent): void {
    const drag = this.drag;
    this.drag = undefined;
    if (this.element.hasPointerCapture(event.pointerId)) this.element.releasePointerCapture(event.pointerId);
    if (!drag) return;
    if (drag.kind === "cursor" && !drag.moved) {
      const voxel = this.pane.voxelAt(this.pane.pixelAt(event));
      if (voxel) {
        goTo(voxel);
        attempt(() => acts.selectAt(voxel, event.ctrlKey || event.shiftKey));
      }
    } else if (drag.kind === "paint") attempt(() => acts.commitStroke(drag.tool, drag.stroke.finish()));
    else if ("from" in drag) this.finish(drag);
    this.pane.redraw();
  }

  private finish(drag: { kind: string; from: [number, number]; to: [number, number] }): void {
    if (Math.hypot(drag.to[0] - drag.from[0], drag.to[1] - drag.from[1]) < 0.5) return;
    const slice = this.pane.slice();
    if (drag.kind === "ruler" || drag.kind === "circle") {
      const { id: _, mm: __, ...json } = this.measurement(drag);
      if (drag.kind === "circle" && this.pane.plane !== "axial") return S.say("The HU circle measures in axial slices");
      attempt(() => acts.keepMeasurement(json));
    } else if (drag.kind === "split") {
      S.splitLine.value = {
        at: [slice, 0, 0],
        slice,
        line: [
          [drag.from[1], drag.from[0]],
          [drag.to[1], drag.to[0]],
        ],
      };
      S.say(
        `Now click the part that becomes ${S.labelInfo(S.brushLabel.value).name} (1-6 changes the type, Esc forgets the cut)`,
      );
    } else {
      const { columns, rows } = boxOf(drag.from, drag.to);
      const half = Math.max(
        1,
        Math.round(((columns[1] - columns[0]) * this.pane.caseGrid.spacing[2]) / 2 / this.pane.caseGrid.spacing[0]),
      );
      const box: Box = [
        [Math.max(0, slice - half), Math.min(this.pane.caseGrid.shape[0], slice + half + 1)],
        rows,
        columns,
      ];
      attempt(() => acts.drawBox(box));
    }
  }

  private hoverAt(event: MouseEvent): void {
    const point = this.pane.voxelAt(this.pane.pixelAt(event));
    S.hover.value = point && { pane: this.pane.spec.id, plane: this.pane.plane, point };
  }

  private leave(): void {
    this.pointer = undefined;
    if (S.hover.value?.pane === this.pane.spec.id) S.hover.value = undefined;
    this.pane.redraw();
  }

  /** Uses the tool in hand at the linked cursor, for the keyboard. */
  applyAtCursor(): void {
    const voxel = S.cursor.value;
    const [column, row] = this.pane.caseGrid.toPixel(this.pane.plane, voxel);
    const tool = this.tool();
    if (!this.pane.sameGrid) return;
    if (tool === "navigate") attempt(() => acts.selectAt(voxel, false));
    else if (acts.PAINTERS.has(tool)) {
      this.startStroke(tool, [column, row]);
      const drag = this.drag;
      this.drag = undefined;
      if (drag?.kind === "paint") attempt(() => acts.commitStroke(tool, drag.stroke.finish()));
    } else this.apply(tool, voxel, { shiftKey: false }, [column, row]);
    if (this.drag && "from" in this.drag) this.drag = undefined;
  }

  /** Mean HU of the 3 x 3 voxels of the slice around one; the one itself is counted twice, so that noise alone does not refuse it. */
  private meanAround(voxel: Point): number | undefined {
    const values = [this.pane.valueAt(voxel)];
    for (const dy of [-1, 0, 1])
      for (const dx of [-1, 0, 1]) values.push(this.pane.valueAt([voxel[0], voxel[1] + dy, voxel[2] + dx]));
    const known = values.filter((value) => value !== undefined);
    return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : undefined;
  }
}

/** Half-open rectangle of whole pixels between two corners. */
function boxOf(a: [number, number], b: [number, number]): { columns: [number, number]; rows: [number, number] } {
  const span = (p: number, q: number): [number, number] => [
    Math.max(0, Math.round(Math.min(p, q))),
    Math.round(Math.max(p, q)) + 1,
  ];
  return { columns: span(a[0], b[0]), rows: span(a[1], b[1]) };
}
