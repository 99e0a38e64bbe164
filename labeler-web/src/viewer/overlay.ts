/**
 * What lies over a slice: outlines and fill of the masks, lesion numbers, cross, measurements, scale bar, letters.
 *
 * Drawn on a canvas of our own and not by the engine, whose labelmaps know no dashes, no line width in screen pixels and
 * no numbers, and whose strength depends on the spacing of slices.
 */
import type { Outline } from "../model/contours";
import type { View } from "./viewer";

/** Pixels are columns and rows of the slice; centres lie on whole numbers. */
export interface Scene {
  readonly spacing: readonly [number, number];
  readonly width: number;
  readonly height: number;
  readonly fill?: { picture: HTMLCanvasElement; opacity: number } | undefined;
  readonly outlines: readonly { outlines: readonly Outline[]; color: string; width: number; dashed?: boolean }[];
  readonly tags: readonly { column: number; row: number; text: string; color: string }[];
  readonly frames: readonly {
    columns: readonly [number, number];
    rows: readonly [number, number];
    color: string;
    dashed?: boolean;
  }[];
  readonly rulers: readonly {
    from: readonly [number, number];
    to: readonly [number, number];
    text: string;
    color: string;
  }[];
  readonly circles: readonly { at: readonly [number, number]; mm: number; lines: readonly string[]; color: string }[];
  readonly cross?: readonly [number, number] | undefined;
  readonly brush?: { at: readonly [number, number]; mm: number; color: string } | undefined;
  readonly letters: readonly [string, string, string, string];
}

const INK = "#e8e8e8";
const HALO = "rgba(0,0,0,0.75)";
const FONT = "12px system-ui, sans-serif";

export function drawScene(canvas: HTMLCanvasElement, view: View, scene: Scene): void {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
  const [width, height] = [Math.round(wide * ratio), Math.round(high * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, wide, high);
  pen.font = FONT;
  pen.lineJoin = "round";
  const [su, sv] = scene.spacing;
  const x = (column: number): number => wide / 2 + (column * su - view.u) / view.mmPerPixel;
  const y = (row: number): number => high / 2 + (row * sv - view.v) / view.mmPerPixel;
  const place = { x, y, mm: (length: number): number => length / view.mmPerPixel };

  if (scene.fill) {
    pen.globalAlpha = scene.fill.opacity;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(
      scene.fill.picture,
      x(-0.5),
      y(-0.5),
      x(scene.width - 0.5) - x(-0.5),
      y(scene.height - 0.5) - y(-0.5),
    );
    pen.globalAlpha = 1;
  }
  for (const line of scene.outlines) drawOutlines(pen, place, line);
  for (const frame of scene.frames) drawFrame(pen, place, frame);
  for (const ruler of scene.rulers) drawRuler(pen, place, ruler);
  for (const circle of scene.circles) drawCircle(pen, place, circle);
  drawTags(pen, place, scene.tags);
  if (scene.cross) drawCross(pen, x(scene.cross[0]), y(scene.cross[1]));
  if (scene.brush) {
    pen.setLineDash([]);
    ring(pen, x(scene.brush.at[0]), y(scene.brush.at[1]), place.mm(scene.brush.mm), scene.brush.color);
  }
  drawLetters(pen, wide, high, scene.letters);
  drawScaleBar(pen, wide, high, view.mmPerPixel);
}

interface Place {
  x(column: number): number;
  y(row: number): number;
  mm(length: number): number;
}

function drawOutlines(pen: CanvasRenderingContext2D, place: Place, line: Scene["outlines"][number]): void {
  pen.beginPath();
  for (const outline of line.outlines) {
    pen.moveTo(place.x(outline[0] - 0.5), place.y(outline[1] - 0.5));
    for (let k = 2; k < outline.length; k += 2) {
      pen.lineTo(place.x(outline[k] - 0.5), place.y(outline[k + 1] - 0.5));
    }
    pen.closePath();
  }
  pen.setLineDash(line.dashed ? [5, 4] : []);
  pen.lineWidth = line.width;
  pen.strokeStyle = line.color;
  pen.stroke();
  pen.setLineDash([]);
}

/** Numbers beside lesions; one that would cover another moves up. */
function drawTags(pen: CanvasRenderingContext2D, place: Place, tags: Scene["tags"]): void {
  const taken: { x0: number; x1: number; y: number }[] = [];
  for (const tag of tags) {
    const x0 = place.x(tag.column + 0.5) + 3;
    const x1 = x0 + pen.measureText(tag.text).width + 4;
    let y = place.y(tag.row - 0.5) - 4;
    while (taken.some((other) => x0 < other.x1 && x1 > other.x0 && Math.abs(y - other.y) < 13)) y -= 13;
    taken.push({ x0, x1, y });
    write(pen, tag.text, x0, y, lightened(tag.color), "left");
  }
}

/** A colour of a lesion, light enough to be read over a picture. */
function lightened(color: string): string {
  const value = Number.parseInt(color.slice(1), 16);
  const half = [value >> 16, (value >> 8) & 255, value & 255].map((part) => Math.round((part + 255) / 2));
  return `rgb(${half.join(",")})`;
}

/** Corner brackets round what is selected, or a dashed box for a box of mask 00. */
function drawFrame(pen: CanvasRenderingContext2D, place: Place, frame: Scene["frames"][number]): void {
  const gap = frame.dashed ? 0 : 5;
  const [x0, x1] = [place.x(frame.columns[0] - 0.5) - gap, place.x(frame.columns[1] - 0.5) + gap];
  const [y0, y1] = [place.y(frame.rows[0] - 0.5) - gap, place.y(frame.rows[1] - 0.5) + gap];
  pen.lineWidth = 1.5;
  pen.strokeStyle = frame.color;
  if (frame.dashed) {
    pen.setLineDash([2, 3]);
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    pen.setLineDash([]);
    return;
  }
  const arm = Math.min(10, (x1 - x0) / 3, (y1 - y0) / 3);
  pen.beginPath();
  for (const [cx, cy, dx, dy] of [
    [x0, y0, 1, 1],
    [x1, y0, -1, 1],
    [x1, y1, -1, -1],
    [x0, y1, 1, -1],
  ] as const) {
    pen.moveTo(cx + dx * arm, cy);
    pen.lineTo(cx, cy);
    pen.lineTo(cx, cy + dy * arm);
  }
  pen.stroke();
}

function drawRuler(pen: CanvasRenderingContext2D, place: Place, ruler: Scene["rulers"][number]): void {
  const [x0, y0, x1, y1] = [place.x(ruler.from[0]), place.y(ruler.from[1]), place.x(ruler.to[0]), place.y(ruler.to[1])];
  const length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const [nx, ny] = [(-(y1 - y0) / length) * 5, ((x1 - x0) / length) * 5];
  pen.lineWidth = 1.5;
  pen.strokeStyle = ruler.color;
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  for (const [ex, ey] of [
    [x0, y0],
    [x1, y1],
  ] as const) {
    pen.moveTo(ex - nx, ey - ny);
    pen.lineTo(ex + nx, ey + ny);
  }
  pen.stroke();
  write(pen, ruler.text, x1 + 8, y1 + 4, ruler.color, "left");
}

function drawCircle(pen: CanvasRenderingContext2D, place: Place, circle: Scene["circles"][number]): void {
  const [cx, cy, r] = [place.x(circle.at[0]), place.y(circle.at[1]), place.mm(circle.mm)];
  ring(pen, cx, cy, r, circle.color);
  for (const [k, line] of circle.lines.entries()) write(pen, line, cx + r + 6, cy + 4 + 14 * k, circle.color, "left");
}

function ring(pen: CanvasRenderingContext2D, cx: number, cy: number, r: number, color: string): void {
  pen.beginPath();
  pen.arc(cx, cy, Math.max(r, 0.5), 0, 2 * Math.PI);
  pen.lineWidth = 1.5;
  pen.strokeStyle = color;
  pen.stroke();
}

/** A cross with an open middle, so that it does not cover the voxel it points at. */
function drawCross(pen: CanvasRenderingContext2D, cx: number, cy: number): void {
  pen.beginPath();
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ] as const) {
    pen.moveTo(cx + 5 * dx, cy + 5 * dy);
    pen.lineTo(cx + 13 * dx, cy + 13 * dy);
  }
  pen.lineWidth = 3;
  pen.strokeStyle = HALO;
  pen.stroke();
  pen.lineWidth = 1.25;
  pen.strokeStyle = "#7fe0c8";
  pen.stroke();
}

function drawLetters(pen: CanvasRenderingContext2D, wide: number, high: number, letters: Scene["letters"]): void {
  const [left, right, top, bottom] = letters;
  write(pen, left, 8, high / 2 + 4, INK, "left");
  write(pen, right, wide - 24, high / 2 + 4, INK, "right");
  write(pen, top, wide / 2, 16, INK, "center");
  write(pen, bottom, wide / 2, high - 8, INK, "center");
}

/** A bar of a round length (1, 2 or 5 times a power of ten mm), about a fifth of the pane. */
function drawScaleBar(pen: CanvasRenderingContext2D, wide: number, high: number, mmPerPixel: number): void {
  const room = (wide / 5) * mmPerPixel;
  const power = 10 ** Math.floor(Math.log10(room));
  const mm = [5, 2, 1].map((step) => step * power).find((length) => length <= room) ?? power;
  const length = mm / mmPerPixel;
  const [x1, y0] = [wide - 24, high - 24];
  pen.beginPath();
  for (const [ax, ay, bx, by] of [
    [x1 - length, y0, x1, y0],
    [x1 - length, y0 - 4, x1 - length, y0 + 4],
    [x1, y0 - 4, x1, y0 + 4],
  ] as const) {
    pen.moveTo(ax, ay);
    pen.lineTo(bx, by);
  }
  pen.lineWidth = 1.5;
  pen.strokeStyle = INK;
  pen.stroke();
  write(pen, mm >= 10 ? `${mm / 10} cm` : `${mm} mm`, x1 - length / 2, y0 + 15, INK, "center");
}

function write(
  pen: CanvasRenderingContext2D,
  text: string,
  x: number,
  y: number,
  color: string,
  align: CanvasTextAlign,
): void {
  pen.textAlign = align;
  pen.lineWidth = 3;
  pen.strokeStyle = HALO;
  pen.strokeText(text, x, y);
  pen.fillStyle = color;
  pen.fillText(text, x, y);
}

/** Fill of a slice's labels, one canvas pixel per voxel. */
export function fillPicture(
  labels: Uint8Array,
  width: number,
  height: number,
  colors: ReadonlyMap<number, readonly [number, number, number]>,
): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const image = new ImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  const table = new Uint32Array(256);
  for (const [label, [r, g, b]] of colors) table[label] = (255 << 24) | (b << 16) | (g << 8) | r;
  for (let k = 0; k < labels.length; k++) words[k] = table[labels[k]];
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}
