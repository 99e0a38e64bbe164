/**
 * The one module that knows the drawing engine (Cornerstone3D). Everything else speaks of panes, slices, windows and views.
 *
 * A pane is a stack viewport over the slices of one phase in one plane of the volume's own grid. Slices are cut here, from
 * the phase's array: no volume is uploaded to the graphics card, the first slice can be seen before the last one has
 * arrived, and an oblique volume is shown on its own grid, never resampled.
 *
 * Plane coordinates are millimetres `(u, v)` from the centre of the slice's first pixel, `u` to the right, `v` down.
 */

import type { Types } from "@cornerstonejs/core";
import {
  cache,
  Enums,
  getRenderingEngine,
  imageLoader,
  init as initCore,
  metaData,
  RenderingEngine,
  setUseCPURendering,
  utilities,
} from "@cornerstonejs/core";

export type Renderer = "gpu" | "cpu";

/** Slices of one phase in one plane; `pixels(k)` is called only for slices that `has(k)`. */
export interface SliceSource {
  readonly key: string;
  readonly count: number;
  readonly width: number;
  readonly height: number;
  /** Millimetres per pixel along `u` and `v`, and between slices. */
  readonly spacing: readonly [number, number, number];
  has(index: number): boolean;
  pixels(index: number): Int16Array;
}

/** Window width and level in HU. */
export interface Window {
  readonly width: number;
  readonly level: number;
}

/** What of a plane a pane shows: the millimetre position at its centre, and its magnification. */
export interface View {
  readonly u: number;
  readonly v: number;
  readonly mmPerPixel: number;
}

const SCHEME = "ct";
const ENGINE = "labeler";
const sources = new Map<string, SliceSource>();

function locate(imageId: string): { source: SliceSource; index: number } | undefined {
  const cut = imageId.lastIndexOf("/");
  const source = sources.get(imageId.slice(SCHEME.length + 1, cut));
  return source && { source, index: Number(imageId.slice(cut + 1)) };
}

const imageIdOf = (source: SliceSource, index: number): string => `${SCHEME}:${source.key}/${index}`;

function makeImage(imageId: string, source: SliceSource, index: number): Types.IImage {
  const pixels = source.pixels(index);
  const voxelManager = utilities.VoxelManager.createImageVoxelManager({
    width: source.width,
    height: source.height,
    scalarData: pixels,
    numberOfComponents: 1,
  });
  return {
    imageId,
    dataType: "Int16Array",
    voxelManager,
    minPixelValue: -1024,
    maxPixelValue: 3071,
    slope: 1,
    intercept: 0,
    windowCenter: 60,
    windowWidth: 150,
    voiLUTFunction: Enums.VOILUTFunctionType.LINEAR_EXACT,
    getPixelData: () => pixels,
    getCanvas: () => document.createElement("canvas"),
    rows: source.height,
    columns: source.width,
    height: source.height,
    width: source.width,
    color: false,
    rgba: false,
    numberOfComponents: 1,
    columnPixelSpacing: source.spacing[0],
    rowPixelSpacing: source.spacing[1],
    sliceThickness: source.spacing[2],
    invert: false,
    photometricInterpretation: "MONOCHROME2",
    // The pixels are views of the phase's array: the cache must not count them again.
    sizeInBytes: 1,
  } as unknown as Types.IImage;
}

function metadata(type: string, imageId: string): unknown {
  if (typeof imageId !== "string" || !imageId.startsWith(`${SCHEME}:`)) return undefined;
  const found = locate(imageId);
  if (!found) return undefined;
  const { source, index } = found;
  if (type === Enums.MetadataModules.IMAGE_PLANE) {
    return {
      frameOfReferenceUID: source.key,
      rows: source.height,
      columns: source.width,
      rowCosines: [1, 0, 0],
      columnCosines: [0, 1, 0],
      imageOrientationPatient: [1, 0, 0, 0, 1, 0],
      imagePositionPatient: [0, 0, index * source.spacing[2]],
      columnPixelSpacing: source.spacing[0],
      rowPixelSpacing: source.spacing[1],
      pixelSpacing: [source.spacing[1], source.spacing[0]],
      sliceThickness: source.spacing[2],
      sliceLocation: index * source.spacing[2],
    };
  }
  if (type === Enums.MetadataModules.IMAGE_PIXEL) {
    return {
      bitsAllocated: 16,
      bitsStored: 16,
      highBit: 15,
      samplesPerPixel: 1,
      pixelRepresentation: 1,
      photometricInterpretation: "MONOCHROME2",
    };
  }
  if (type === Enums.MetadataModules.GENERAL_SERIES) return { modality: "CT", seriesInstanceUID: source.key };
  if (type === Enums.MetadataModules.MODALITY_LUT) return { rescaleSlope: 1, rescaleIntercept: 0, rescaleType: "HU" };
  return undefined;
}

interface PaneState {
  element: HTMLDivElement;
  source: SliceSource | undefined;
  index: number;
  shown: boolean;
  /** What is seen is not yet what was asked for. */
  due: boolean;
  window: Window;
  view: View;
}

/** Shows slices in panes. Create one for the page's life. */
export class Viewer {
  readonly renderer: Renderer;
  private readonly engine: RenderingEngine;
  private readonly panes = new Map<string, PaneState>();

  private constructor(renderer: Renderer) {
    this.renderer = renderer;
    this.engine = (getRenderingEngine(ENGINE) as RenderingEngine | undefined) ?? new RenderingEngine(ENGINE);
  }

  /**
   * Starts the engine.
   *
   * @param wanted `auto` takes the graphics card, and the processor where there is none or only its emulation, which is
   *   slower than drawing one slice directly.
   */
  static async start(wanted: Renderer | "auto"): Promise<Viewer> {
    const renderer = wanted === "auto" ? detectRenderer() : wanted;
    initCore();
    setUseCPURendering(renderer === "cpu");
    imageLoader.registerImageLoader(SCHEME, (imageId: string) => {
      const found = locate(imageId);
      const promise: Promise<Types.IImage> = found
        ? Promise.resolve(makeImage(imageId, found.source, found.index))
        : Promise.reject(new Error(`no slice ${imageId}`));
      return { promise };
    });
    metaData.addProvider(metadata, 10000);
    return new Viewer(renderer);
  }

  /** Makes `element` a pane. */
  attach(paneId: string, element: HTMLDivElement): void {
    this.engine.enableElement({
      viewportId: paneId,
      element,
      type: Enums.ViewportType.STACK,
      defaultOptions: { background: [0, 0, 0] },
    });
    this.panes.set(paneId, {
      element,
      source: undefined,
      index: 0,
      shown: false,
      due: false,
      window: { width: 150, level: 60 },
      view: { u: 0, v: 0, mmPerPixel: 1 },
    });
    element.addEventListener(Enums.Events.IMAGE_RENDERED, () => {
      const pane = this.panes.get(paneId);
      if (pane) pane.due = false;
    });
  }

  detach(paneId: string): void {
    if (!this.panes.delete(paneId)) return;
    this.engine.disableElement(paneId);
  }

  has(paneId: string): boolean {
    return this.panes.get(paneId)?.source !== undefined;
  }

  /** Gives a pane the slices it shows; nothing is drawn before `showSlice`. */
  setSource(paneId: string, source: SliceSource): void {
    sources.set(source.key, source);
    const pane = this.pane(paneId);
    pane.source = source;
    pane.shown = false;
  }

  /** Draws slice `index`, or keeps the last picture when the slice has not arrived; true when it is drawn. */
  async showSlice(paneId: string, index: number): Promise<boolean> {
    const pane = this.pane(paneId);
    const source = pane.source;
    if (!source || index < 0 || index >= source.count || !source.has(index)) return false;
    const viewport = this.viewport(paneId);
    pane.due = true;
    const before = pane.shown ? imageIdOf(source, pane.index) : undefined;
    pane.index = index;
    if (pane.shown) await viewport.setImageIdIndex(index);
    else
      await viewport.setStack(
        Array.from({ length: source.count }, (_, k) => imageIdOf(source, k)),
        index,
      );
    if (before && before !== imageIdOf(source, index)) forget(before);
    if (!pane.shown) {
      pane.shown = true;
      this.applyWindow(paneId);
    }
    this.applyView(paneId);
    return true;
  }

  setWindow(paneId: string, window: Window): void {
    this.pane(paneId).window = window;
    this.applyWindow(paneId);
  }

  setView(paneId: string, view: View): void {
    this.pane(paneId).view = view;
    this.applyView(paneId);
  }

  /** The view in which the whole slice is just seen. */
  fit(paneId: string): View {
    const { element, source } = this.pane(paneId);
    if (!source) return { u: 0, v: 0, mmPerPixel: 1 };
    const [su, sv] = source.spacing;
    const mm = Math.max((source.width * su) / element.clientWidth, (source.height * sv) / element.clientHeight);
    // A pane that is not laid out yet has no size.
    return {
      u: ((source.width - 1) * su) / 2,
      v: ((source.height - 1) * sv) / 2,
      mmPerPixel: Number.isFinite(mm) && mm > 0 ? mm : 1,
    };
  }

  /** Plane position under a point of the browser window. */
  toPlane(paneId: string, clientX: number, clientY: number): [number, number] {
    const { element, view } = this.pane(paneId);
    const box = element.getBoundingClientRect();
    return [
      view.u + (clientX - box.left - box.width / 2) * view.mmPerPixel,
      view.v + (clientY - box.top - box.height / 2) * view.mmPerPixel,
    ];
  }

  /** Point of the browser window over a plane position. */
  toClient(paneId: string, u: number, v: number): [number, number] {
    const { element, view } = this.pane(paneId);
    const box = element.getBoundingClientRect();
    return [
      box.left + box.width / 2 + (u - view.u) / view.mmPerPixel,
      box.top + box.height / 2 + (v - view.v) / view.mmPerPixel,
    ];
  }

  /** Panes in which a picture has been drawn. */
  shownPanes(): string[] {
    return [...this.panes].filter(([, pane]) => pane.shown).map(([id]) => id);
  }

  /** True when no pane waits to be drawn. */
  get idle(): boolean {
    return [...this.panes.values()].every((pane) => !pane.due);
  }

  /** Greatest distance in mm between a position by `toPlane` and by the engine itself, over what is seen. */
  disagreement(): number {
    let worst = 0;
    for (const [paneId, { element, source, shown, view }] of this.panes) {
      if (!shown || !source) continue;
      const half = this.renderer === "cpu" ? 0.5 : 0;
      const corner = this.viewport(paneId).canvasToWorld([0, 0]);
      const u = view.u - (element.clientWidth / 2) * view.mmPerPixel;
      const v = view.v - (element.clientHeight / 2) * view.mmPerPixel;
      worst = Math.max(
        worst,
        Math.abs(corner[0] - half * source.spacing[0] - u),
        Math.abs(corner[1] - half * source.spacing[1] - v),
      );
    }
    return worst;
  }

  resize(): void {
    this.engine.resize(true, true);
    for (const [paneId, pane] of this.panes) if (pane.shown) this.applyView(paneId);
  }

  private applyWindow(paneId: string): void {
    const { window, shown } = this.pane(paneId);
    if (!shown) return;
    const viewport = this.viewport(paneId);
    viewport.setProperties({
      voiRange: { lower: window.level - window.width / 2, upper: window.level + window.width / 2 },
    });
    this.render(paneId);
  }

  private applyView(paneId: string): void {
    const { view, shown, element, index, source } = this.pane(paneId);
    if (!shown || !source || element.clientHeight === 0) return;
    const viewport = this.viewport(paneId);
    const z = index * source.spacing[2];
    const camera = viewport.getCamera();
    const normal = camera.viewPlaneNormal ?? [0, 0, -1];
    const focalPoint: Types.Point3 = [view.u, view.v, z];
    const position: Types.Point3 = [view.u + normal[0] * 100, view.v + normal[1] * 100, z + normal[2] * 100];
    const parallelScale = (element.clientHeight / 2) * view.mmPerPixel;
    if (this.renderer === "cpu") {
      // Without a graphics card the engine draws a pixel from its corner, not round its centre, and takes the scale of
      // columns for that of rows where pixels are higher than wide.
      const [su, sv] = source.spacing;
      viewport.setCamera({ parallelScale: parallelScale * Math.max(1, sv / su) });
      viewport.setCamera({ focalPoint: [view.u + su / 2, view.v + sv / 2, z] });
    } else viewport.setCamera({ parallelScale, focalPoint, position });
    this.render(paneId);
  }

  private render(paneId: string): void {
    this.pane(paneId).due = true;
    this.viewport(paneId).render();
  }

  private viewport(paneId: string): Types.IStackViewport {
    return this.engine.getViewport(paneId) as Types.IStackViewport;
  }

  private pane(paneId: string): PaneState {
    const pane = this.panes.get(paneId);
    if (!pane) throw new Error(`no pane ${paneId}`);
    return pane;
  }
}

function forget(imageId: string): void {
  if (cache.getImageLoadObject(imageId)) cache.removeImageLoadObject(imageId, { force: true });
}

function detectRenderer(): Renderer {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return "cpu";
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = info ? String(gl.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name) ? "cpu" : "gpu";
}
