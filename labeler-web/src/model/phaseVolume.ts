/** One phase's voxels, arriving slab by slab from the slice that is looked at outward. */
import { type Api, ServerError } from "../server/api";
import type { Phase } from "../server/names";
import type { ErrorDetail } from "../server/types";
import type { SliceSource } from "../viewer/viewer";
import type { Grid, Plane } from "./grid";

const FIRST_SLAB = 4;
const SLAB = 16;
const RETRY_MS = 1500;

export class PhaseVolume {
  readonly values: Int16Array;
  private readonly arrived: Uint8Array;
  private arrivedCount = 0;
  private wanted = 0;
  private readonly cancel = new AbortController();
  error: ErrorDetail | undefined;

  constructor(
    private readonly api: Pick<Api, "slab">,
    private readonly caseId: string,
    readonly phase: Phase,
    readonly grid: Grid,
    private readonly arrivedSome: (volume: PhaseVolume) => void,
  ) {
    this.values = new Int16Array(grid.size);
    this.arrived = new Uint8Array(grid.shape[0]);
  }

  get complete(): boolean {
    return this.arrivedCount === this.arrived.length;
  }

  /** Share of slices that are here, 0 to 1. */
  get share(): number {
    return this.arrivedCount / this.arrived.length;
  }

  has(slice: number): boolean {
    return this.arrived[slice] === 1;
  }

  /** Says which slice is looked at, so that its neighbours come first. */
  want(slice: number): void {
    this.wanted = Math.min(this.arrived.length - 1, Math.max(0, Math.round(slice)));
  }

  stop(): void {
    this.cancel.abort();
  }

  /**
   * Fetches everything; ends early when the server refuses the phase (`error` says why).
   *
   * @param urgent What comes before the bulk of the slices, once the first ones round the wanted one are here.
   */
  async load(urgent: () => Promise<unknown>): Promise<void> {
    const { signal } = this.cancel;
    while (!this.complete && !signal.aborted) {
      if (this.arrivedCount >= FIRST_SLAB + SLAB) await urgent();
      const [z0, n] = this.nextSlab();
      try {
        this.take(z0, await this.api.slab(this.caseId, this.phase, z0, n, signal));
      } catch (reason) {
        if (signal.aborted) return;
        if (reason instanceof ServerError) {
          this.error = reason.body;
          this.arrivedSome(this);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  private nextSlab(): [number, number] {
    const total = this.arrived.length;
    let near = this.wanted;
    for (let step = 0; step < total; step++) {
      if (this.wanted - step >= 0 && !this.arrived[this.wanted - step]) near = this.wanted - step;
      else if (this.wanted + step < total && !this.arrived[this.wanted + step]) near = this.wanted + step;
      else continue;
      break;
    }
    const length = this.arrivedCount === 0 ? FIRST_SLAB : SLAB;
    let first = near;
    while (first > 0 && near - first < length / 2 && !this.arrived[first - 1]) first--;
    let last = first;
    while (last + 1 < total && last + 1 - first < length && !this.arrived[last + 1]) last++;
    return [first, last - first + 1];
  }

  private take(z0: number, slab: Int16Array): void {
    const perSlice = this.grid.shape[1] * this.grid.shape[2];
    this.values.set(slab, z0 * perSlice);
    for (let z = z0; z < z0 + slab.length / perSlice; z++) {
      if (!this.arrived[z]) this.arrivedCount++;
      this.arrived[z] = 1;
    }
    this.arrivedSome(this);
  }

  /** The slices of one plane, for a pane. */
  slices(plane: Plane): SliceSource {
    const [width, height, count] = this.grid.extent(plane);
    return {
      key: `${this.caseId}/${this.phase}/${plane}`,
      width,
      height,
      count,
      spacing: this.grid.planeSpacing(plane),
      has: (slice) => (plane === "axial" ? this.has(slice) : this.complete),
      pixels: (slice) => this.grid.cut(this.values, plane, slice),
    };
  }
}
