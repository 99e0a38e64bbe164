/** One pane: draws its slice and what lies over it, and says which voxel is where. */
import { effect } from "@preact/signals";
import type { Grid, Plane } from "../model/grid";
import { rounded } from "../model/grid";
import type { PhaseVolume } from "../model/phaseVolume";
import type { Point } from "../server/names";
import { drawScene } from "../viewer/overlay";
import type { View } from "../viewer/viewer";
import type { GesturePane } from "./gestures";
import { Gestures } from "./gestures";
import type { PaneSpec } from "./navigate";
import { bareScene, sceneOf } from "./scene";
import * as S from "./state";

export class PaneController implements GesturePane {
  readonly gestures: Gestures;
  private readonly stops: (() => void)[] = [];
  /** What lies over the slice will be drawn in the next frame. */
  drawing = false;

  constructor(
    readonly spec: PaneSpec,
    element: HTMLDivElement,
    private readonly overlay: HTMLCanvasElement,
    readonly volume: PhaseVolume,
    readonly caseGrid: Grid,
  ) {
    const { viewer } = S.services();
    viewer.attach(spec.id, element);
    viewer.setSource(spec.id, volume.slices(spec.plane));
    this.gestures = new Gestures(this, element);
    this.stops.push(
      () => this.gestures.stop(),
      effect(() => this.showSlice()),
      effect(() => {
        const window = S.windows.value[spec.phase];
        if (window) viewer.setWindow(spec.id, window);
      }),
      effect(() => {
        const view = this.view();
        if (view) viewer.setView(spec.id, view);
      }),
      effect(() => this.touchAndDraw()),
    );
  }

  destroy(): void {
    for (const stop of this.stops) stop();
    S.services().viewer.detach(this.spec.id);
  }

  get plane(): Plane {
    return this.spec.plane;
  }

  /** True if the phase lies on the case's grid; only then can it be drawn on. */
  get sameGrid(): boolean {
    return this.volume.grid === this.caseGrid;
  }

  /** A position of the case's grid on this phase's. */
  private local(point: Point): Point {
    return this.sameGrid ? point : this.volume.grid.fromMm(this.caseGrid.toMm(point));
  }

  /** Slice that lies at the cursor, possibly outside a phase of another grid. */
  slice(): number {
    return Math.round(this.volume.grid.sliceOf(this.plane, this.local(S.cursor.value)));
  }

  private view(): View | undefined {
    const view = S.views.value[this.plane];
    if (!view || this.sameGrid) return view;
    const [su, sv] = this.caseGrid.planeSpacing(this.plane);
    const slice = this.caseGrid.sliceOf(this.plane, S.cursor.value);
    const at = this.local(this.caseGrid.fromPixel(this.plane, view.u / su, view.v / sv, slice));
    const [column, row] = this.volume.grid.toPixel(this.plane, at);
    const [ou, ov] = this.volume.grid.planeSpacing(this.plane);
    return { u: column * ou, v: row * ov, mmPerPixel: view.mmPerPixel };
  }

  private showSlice(): void {
    S.loaded.value;
    const slice = this.slice();
    if (this.plane === "axial") this.volume.want(slice);
    void S.services().viewer.showSlice(this.spec.id, slice);
  }

  /** Reads every signal the overlay depends on, then draws once per frame. */
  private touchAndDraw(): void {
    void [
      S.cursor.value,
      S.hover.value,
      S.views.value,
      S.maskRevision.value,
      S.draft.value,
      S.lesions.value,
      S.selected.value,
      S.overlay.value,
      S.opacity.value,
      S.overlayHidden.value,
      S.organsShown.value,
      S.mode.value,
      S.compareMasks.value,
      S.difference.value,
      S.differences.value,
      S.blink.value,
      S.reference.value,
      S.measurements.value,
      S.boxes.value,
      S.tool.value,
      S.brushMm.value,
      S.brushLabel.value,
      S.splitLine.value,
      S.layout.value,
      S.enlarged.value,
      S.eraseHeld.value,
    ];
    this.redraw();
  }

  redraw(): void {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.draw();
    });
  }

  private draw(): void {
    const view = this.view();
    if (!view || S.open.value?.grid !== this.caseGrid) return;
    const hover = S.hover.value;
    const cross = hover ? (hover.pane === this.spec.id ? undefined : hover.point) : S.cursor.value;
    const slice = this.slice();
    if (!this.sameGrid)
      return drawScene(this.overlay, view, bareScene(this.volume.grid, this.plane, cross && this.local(cross)));
    const near = cross && this.caseGrid.sliceOf(this.plane, cross) === slice ? cross : undefined;
    drawScene(
      this.overlay,
      view,
      sceneOf(this.caseGrid, this.plane, slice, this.spec.phase, near, this.gestures.preview()),
    );
  }

  /** Column and row under the pointer, fractions included. */
  pixelAt(event: MouseEvent): [number, number] {
    const [u, v] = S.services().viewer.toPlane(this.spec.id, event.clientX, event.clientY);
    const [su, sv] = this.volume.grid.planeSpacing(this.plane);
    return [u / su, v / sv];
  }

  /** The voxel of the case's grid at a column and row of the slice that is seen, undefined outside. */
  voxelAt([column, row]: readonly [number, number]): Point | undefined {
    const { grid } = this.volume;
    const slice = Math.min(grid.extent(this.plane)[2] - 1, Math.max(0, this.slice()));
    const own = grid.fromPixel(this.plane, Math.round(column), Math.round(row), slice);
    if (!grid.inside(own)) return undefined;
    if (this.sameGrid) return own;
    const shared = rounded(this.caseGrid.fromMm(grid.toMm(own)));
    return this.caseGrid.inside(shared) ? shared : undefined;
  }

  /** Millimetre position under the pointer on the case's plane. */
  sharedMm(event: MouseEvent): [number, number] {
    const mine = S.services().viewer.toPlane(this.spec.id, event.clientX, event.clientY);
    const [view, shared] = [this.view(), S.views.value[this.plane]];
    return view && shared ? [mine[0] - view.u + shared.u, mine[1] - view.v + shared.v] : mine;
  }

  /** HU of this phase at a position of the case's grid, undefined outside or while it loads. */
  valueAt(point: Point): number | undefined {
    const own = rounded(this.local(point));
    const { grid } = this.volume;
    return grid.inside(own) && this.volume.has(own[0]) ? this.volume.values[grid.flat(own)] : undefined;
  }
}

/** The panes that are on the screen, by id. */
export const panes = new Map<string, PaneController>();
