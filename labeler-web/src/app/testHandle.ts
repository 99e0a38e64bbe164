/** Read-only view of the page's state for tests and support: hashes and numbers, never voxels. `window.ctLabeler`. */

import type { Point } from "../server/names";
import { busy } from "./attempt";
import { fitting } from "./navigate";
import { panes } from "./pane";
import * as S from "./state";

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function atRest(): boolean {
  const asked = busy() || (S.draft.value !== undefined && (S.draft.value.pending.value > 0 || S.lesionsStale.value));
  const coming = [...(S.open.value?.volumes.values() ?? [])].some((volume) => !volume.complete && !volume.error);
  const drawing = fitting.value || !S.services().viewer.idle || [...panes.values()].some((pane) => pane.drawing);
  return !asked && !coming && !drawing;
}

export const testHandle = {
  /** SHA-256 of the working mask, as the server names masks. */
  async maskHash(): Promise<string | undefined> {
    await S.draft.value?.settled();
    return S.draft.value && sha256(S.draft.value.mask);
  },

  /** Resolves when everything asked for is done, every slice has come, and the screen shows it. */
  async settled(): Promise<void> {
    for (let calm = 0; calm < 2; calm = atRest() ? calm + 1 : 0) await new Promise(requestAnimationFrame);
  },

  labelAt(point: Point): number | undefined {
    return S.draft.value?.mask[S.open.value?.grid.flat(point) ?? 0];
  },

  hu(pane: string, point: Point): number | undefined {
    return panes.get(pane)?.valueAt(point);
  },

  slice(pane: string): number | undefined {
    return panes.get(pane)?.slice();
  },

  /** Point of the browser window at the middle of a voxel in a pane. */
  clientOf(pane: string, point: Point): [number, number] | undefined {
    const opened = S.open.value;
    const controller = panes.get(pane);
    if (!opened || !controller) return undefined;
    const { plane } = controller.spec;
    const [column, row] = opened.grid.toPixel(plane, point);
    const [su, sv] = opened.grid.planeSpacing(plane);
    return S.services().viewer.toClient(pane, column * su, row * sv);
  },

  /** Position on the case's grid, in fractions of voxels, under a point of the browser window. */
  pointAt(pane: string, x: number, y: number): Point | undefined {
    const opened = S.open.value;
    const controller = panes.get(pane);
    if (!opened || !controller) return undefined;
    const { plane } = controller.spec;
    const [u, v] = S.services().viewer.toPlane(pane, x, y);
    const [su, sv] = opened.grid.planeSpacing(plane);
    return opened.grid.fromPixel(plane, u / su, v / sv, controller.slice());
  },

  /** True when the drawing engine puts every pane's corner where the page believes it to be. */
  engineAgrees(): boolean {
    return S.services().viewer.disagreement() < 0.01;
  },

  state() {
    const opened = S.open.value;
    const volumes = [...(opened?.volumes.values() ?? [])];
    return {
      case: S.caseId.value,
      renderer: S.services().viewer.renderer,
      mode: S.mode.value,
      layout: S.layout.value,
      tab: S.tab.value,
      tool: S.tool.value,
      dialog: S.dialog.value,
      cursor: S.cursor.value,
      hover: S.hover.value?.point,
      panes: [...panes.keys()],
      windows: S.windows.value,
      views: S.views.value,
      active: [S.activePhase.value, S.activePlane.value],
      loaded: Object.fromEntries(volumes.map((one) => [one.phase, one.share])),
      brush: { label: S.brushLabel.value, mm: S.brushMm.value },
      overlay: [S.overlay.value, S.opacity.value, S.overlayHidden.value],
      draft: S.draft.value?.state.value,
      pending: S.draft.value?.pending.value,
      stalled: S.draft.value?.stalled.value,
      lesions: S.lesionsStale.value ? undefined : S.lesions.value?.lesions,
      selected: S.selected.value,
      differences: S.differences.value,
      difference: S.difference.value,
      measurements: S.measurements.value,
      status: S.status.value,
      shown: S.services().viewer.shownPanes(),
    };
  },
};

declare global {
  interface Window {
    ctLabeler?: typeof testHandle;
  }
}
