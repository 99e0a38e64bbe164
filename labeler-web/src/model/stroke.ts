/**
 * What a brush covers. A voxel is covered when its centre lies within the brush's radius (mm) of the path of the brush's
 * centre; the voxel under the centre is always covered, so that the smallest brush still paints.
 */

import type { Point } from "../server/names";
import type { Grid, Plane } from "./grid";

/** Where a brush went: columns and rows (fractions allowed) in one slice of one plane. */
export interface Segment {
  readonly plane: Plane;
  readonly slice: number;
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
}

/** Calls `visit` with the flat index of every voxel that a segment of a stroke covers; `ball` reaches neighbouring slices. */
export function cover(
  grid: Grid,
  segment: Segment,
  radiusMm: number,
  ball: boolean,
  visit: (index: number) => void,
): void {
  const { plane, slice } = segment;
  const [width, height, count] = grid.extent(plane);
  const [su, sv, sw] = grid.planeSpacing(plane);
  const reach = ball ? Math.floor(radiusMm / sw) : 0;
  const squared = radiusMm * radiusMm;
  for (let k = Math.max(0, slice - reach); k <= Math.min(count - 1, slice + reach); k++) {
    const left = squared - ((k - slice) * sw) ** 2;
    if (left < 0) continue;
    const rim = Math.sqrt(left);
    const c0 = Math.max(0, Math.ceil(Math.min(segment.from[0], segment.to[0]) - rim / su));
    const c1 = Math.min(width - 1, Math.floor(Math.max(segment.from[0], segment.to[0]) + rim / su));
    const r0 = Math.max(0, Math.ceil(Math.min(segment.from[1], segment.to[1]) - rim / sv));
    const r1 = Math.min(height - 1, Math.floor(Math.max(segment.from[1], segment.to[1]) + rim / sv));
    for (let row = r0; row <= r1; row++) {
      for (let column = c0; column <= c1; column++) {
        if (squaredDistance(column, row, segment, su, sv) <= left + 1e-9) visit(indexAt(grid, plane, column, row, k));
      }
    }
  }
  for (const [column, row] of [segment.from, segment.to]) {
    const [c, r] = [Math.round(column), Math.round(row)];
    if (c >= 0 && r >= 0 && c < width && r < height) visit(indexAt(grid, plane, c, r, slice));
  }
}

function indexAt(grid: Grid, plane: Plane, column: number, row: number, slice: number): number {
  const point: Point = grid.fromPixel(plane, column, row, slice);
  return grid.flat(point);
}

function squaredDistance(column: number, row: number, { from, to }: Segment, su: number, sv: number): number {
  const dx = (to[0] - from[0]) * su;
  const dy = (to[1] - from[1]) * sv;
  const px = (column - from[0]) * su;
  const py = (row - from[1]) * sv;
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / length));
  return (px - t * dx) ** 2 + (py - t * dy) ** 2;
}

/** The voxels a stroke has changed so far, each with the label it had before the stroke. */
export class Stroke {
  private readonly before = new Map<number, number>();

  constructor(private readonly mask: Uint8Array) {}

  get size(): number {
    return this.before.size;
  }

  set(index: number, label: number): void {
    const old = this.mask[index];
    if (old === label) return;
    if (!this.before.has(index)) this.before.set(index, old);
    this.mask[index] = label;
  }

  /** Sorted indices with old and new labels, without voxels that ended as they began. */
  finish(): { indices: Uint32Array; before: Uint8Array; after: Uint8Array } {
    const changed = [...this.before].filter(([index, old]) => this.mask[index] !== old).sort((a, b) => a[0] - b[0]);
    return {
      indices: Uint32Array.from(changed, ([index]) => index),
      before: Uint8Array.from(changed, ([, old]) => old),
      after: Uint8Array.from(changed, ([index]) => this.mask[index]),
    };
  }
}
