/** Acts on lesions and masks, shared by keys, buttons and the mouse. Each is one named, undoable step. */
import { rounded } from "../model/grid";
import type { StepBodies } from "../server/api";
import type { Delta } from "../server/delta";
import type { Box, EvidenceKind, Phase, Point } from "../server/names";
import type { ListedLesion, MeasurementRecord, MeasureRequest } from "../server/types";
import { lesionsFresh, refreshLesionsSoon, refreshNotes } from "./casework";
import { giveVerdict, refreshDifferences } from "./compare";
import { activate, show } from "./navigate";
import * as S from "./state";
import { maskRefs } from "./versions";

/** The tools that paint; each stroke of one is a step. */
export const PAINTERS: ReadonlySet<S.Tool> = new Set<S.Tool>(["brush", "eraser", "ball", "threshold"]);

/** Tools that write the active type: with one in hand the digits choose it. */
export const DRAWING: ReadonlySet<S.Tool> = new Set<S.Tool>([...PAINTERS, "fill", "split", "box"]);

const STEP_NAMES: Partial<Record<S.Tool, { kind: string; verb: string }>> = {
  brush: { kind: "brush", verb: "Brush" },
  ball: { kind: "brush3d", verb: "3D brush" },
  threshold: { kind: "threshold", verb: "Threshold brush" },
  eraser: { kind: "erase", verb: "Eraser" },
};

const counted = (voxels: number): string => `${voxels.toLocaleString("en")} voxel${voxels === 1 ? "" : "s"}`;

/** What a painting tool writes over a voxel of label `old`, or undefined to leave it. */
export function painted(tool: S.Tool, old: number): number | undefined {
  const label = S.brushLabel.value;
  if (tool !== "eraser") return label;
  if (S.labelInfo(old).group === "lesion") return S.open.value?.info.erase_label ?? 0;
  return old === label && S.labelInfo(label).group === "organ" ? 0 : undefined;
}

/** Sends a finished stroke. */
export async function commitStroke(tool: S.Tool, change: Omit<Delta, "header">): Promise<void> {
  const draft = S.draft.value;
  const step = STEP_NAMES[tool];
  if (!draft || !step || change.indices.length === 0) return;
  const what = tool === "eraser" ? step.verb : `${step.verb} ${S.labelInfo(S.brushLabel.value).name}`;
  S.lesionsStale.value = true;
  if (
    await draft.commit({ header: { name: `${what}, ${counted(change.indices.length)}`, kind: step.kind }, ...change })
  ) {
    S.confirmedAt.value = new Date().toISOString();
    S.say(`${what}, ${counted(change.indices.length)}`);
  }
  refreshLesionsSoon();
}

async function step<Act extends keyof StepBodies>(act: Act, json: StepBodies[Act]): Promise<boolean> {
  const draft = S.draft.value;
  if (!draft) {
    S.say("The mask is still loading");
    return false;
  }
  const name = await draft.step(act, json);
  if (name === undefined) return false;
  S.confirmedAt.value = new Date().toISOString();
  S.say(name);
  return true;
}

export const undo = (): Promise<boolean> => {
  if (S.splitLine.value) {
    S.splitLine.value = undefined;
    return Promise.resolve(true);
  }
  return step("undo", undefined).then(afterVerdicts);
};
export const redo = (): Promise<boolean> => step("redo", undefined).then(afterVerdicts);
export const goToStep = (position: number): Promise<boolean> => step("goto", { position }).then(afterVerdicts);

async function afterVerdicts(done: boolean): Promise<boolean> {
  if (done && S.mode.value === "compare") {
    await refreshDifferences();
  }
  return done;
}

// ---- lesions -------------------------------------------------------------------------------------------------------

export function selectedLesions(): ListedLesion[] {
  return (S.lesions.value?.lesions ?? []).filter((one) => S.selected.value.includes(one.first));
}

const holds = (lesion: ListedLesion, point: Point): boolean =>
  lesion.box.every(([first, end], axis) => point[axis] >= first && point[axis] < end);

/** The lesion at a voxel: one look-up in the table, asked of the server where boxes overlap. */
async function lesionAt(point: Point): Promise<ListedLesion | undefined> {
  const draft = S.draft.value;
  const opened = S.open.value;
  if (!draft || !opened) return undefined;
  if (S.labelInfo(draft.mask[opened.grid.flat(point)]).group !== "lesion") return undefined;
  await lesionsFresh();
  const near = (S.lesions.value?.lesions ?? []).filter((one) => holds(one, point));
  if (near.length < 2) return near[0];
  const found = await S.services().api.component(draft.caseId, draft.ref, point);
  return near.find((one) => one.first === found.first);
}

/** Selects the whole lesion under a voxel; `add` keeps the others. */
export async function selectAt(point: Point, add: boolean): Promise<void> {
  const lesion = await lesionAt(point);
  if (!lesion) {
    if (!add) S.selected.value = [];
    return;
  }
  selectLesion(lesion, add);
}

export function selectLesion(lesion: ListedLesion, add = false): void {
  const now = S.selected.value;
  if (!add) S.selected.value = [lesion.first];
  else
    S.selected.value = now.includes(lesion.first)
      ? now.filter((first) => first !== lesion.first)
      : [...now, lesion.first];
  S.say(
    `L${lesion.number}: ${S.labelInfo(lesion.label).name}, ${lesion.volume_ml.toFixed(2)} ml, ${lesion.diameter_mm.toFixed(0)} mm`,
  );
}

/** Goes to the next or previous lesion of the table. */
export function walkLesions(direction: 1 | -1): void {
  const all = S.lesions.value?.lesions ?? [];
  if (all.length === 0) return S.say("No lesions in this mask");
  const at = all.findIndex((one) => S.selected.value.includes(one.first));
  const lesion = all[(at < 0 ? (direction > 0 ? 0 : all.length - 1) : at + direction + all.length) % all.length];
  selectLesion(lesion);
  show(lesion.at);
}

/** Gives the selected lesions a type; in Compare, the difference; with neither, sets the brush. */
export async function giveType(label: number): Promise<void> {
  const drawing = DRAWING.has(S.tool.value);
  if (S.mode.value === "compare" && S.difference.value && !drawing) return giveVerdict("relabel", label);
  const chosen = selectedLesions();
  if (chosen.length === 0) {
    S.brushLabel.value = label;
    return S.say(`Brush paints ${S.labelInfo(label).name}`);
  }
  await step("tools/relabel", { at: chosen.map((one) => one.at), label });
}

export async function deleteLesions(): Promise<void> {
  const chosen = selectedLesions();
  if (chosen.length === 0) return S.say("Select a lesion first: click it with Navigate, or press Tab");
  await step("tools/delete", { at: chosen.map((one) => one.at) });
}

/** Takes the label under a voxel for the brush. */
export function pick(point: Point): void {
  const draft = S.draft.value;
  const opened = S.open.value;
  if (!draft || !opened) return;
  const label = draft.mask[opened.grid.flat(point)];
  if (label === 0) return S.say("Nothing is labelled here");
  S.brushLabel.value = label;
  S.say(`Brush paints ${S.labelInfo(label).name}`);
}

/** Half the width of the HU range that a fill takes around what was clicked. */
export const FILL_HU = 20;

/** Fills from a voxel over what is connected and within the HU range; `hu` is the mean under the click, if known. */
export async function fill(point: Point, phase: Phase, volume: boolean, hu: number | undefined): Promise<void> {
  const around = S.fillAround.value && hu !== undefined;
  const [low, high] = around ? [Math.round(hu - FILL_HU), Math.round(hu + FILL_HU)] : S.threshold.value;
  await step("tools/grow", { at: point, label: S.brushLabel.value, phase, low, high, radius_mm: 40, volume });
}

/** Fills the slices between the drawn ones of the object at a voxel, or of the selected lesion. */
export async function interpolate(point: Point | undefined): Promise<void> {
  const draft = S.draft.value;
  const opened = S.open.value;
  if (!draft || !opened) return;
  const here = point && draft.mask[opened.grid.flat(point)];
  const lesion = selectedLesions()[0];
  if (point && here) await step("tools/interpolate", { at: point, label: here });
  else if (lesion) await step("tools/interpolate", { at: lesion.at, label: draft.mask[opened.grid.flat(lesion.at)] });
  else S.say("Point at a drawn slice of the lesion, then press I");
}

export async function fillHoles(): Promise<void> {
  const lesion = selectedLesions()[0];
  if (lesion) await step("tools/fill_holes", { at: lesion.at });
}

// ---- copying -------------------------------------------------------------------------------------------------------

/** Remembers the lesion under the pointer: of the mask shown beside where it has one there, else of the working mask. */
export function copy(): void {
  const draft = S.draft.value;
  const opened = S.open.value;
  if (!draft || !opened) return;
  const point = S.hover.value?.point ?? S.cursor.value;
  const at = opened.grid.flat(point);
  const beside = S.mode.value === "edit" ? S.reference.value : undefined;
  const isLesion = (label: number): boolean => S.labelInfo(label).group === "lesion";
  const from =
    beside && isLesion(beside.mask[at]) ? { ref: beside.ref, mask: beside.mask } : { ref: draft.ref, mask: draft.mask };
  const label = from.mask[at];
  if (!isLesion(label)) return S.say("No lesion under the pointer to copy");
  S.clipboard.value = { from: from.ref, at: point, slice: point[0], label };
  S.say(
    from.ref === draft.ref
      ? `Copied slice ${point[0] + 1} of a ${S.labelInfo(label).name}: go to another slice and press Ctrl+V`
      : `Copied a ${S.labelInfo(label).name} of ${from.ref}: Ctrl+V puts the whole lesion here, Ctrl+Shift+V only this slice of it`,
  );
}

/** Puts the copied lesion, or one slice of it into the slice that is seen. */
export async function paste(sliceOnly: boolean): Promise<void> {
  const copied = S.clipboard.value;
  const draft = S.draft.value;
  if (!copied || !draft) return S.say("Nothing copied yet: Ctrl+C over a lesion");
  const own = copied.from === draft.ref;
  const whole = { from: copied.from, at: copied.at, label: null };
  await step("tools/copy", own || sliceOnly ? { ...whole, slice: copied.slice, to_slice: S.cursor.value[0] } : whole);
}

/** Cuts a lesion along the line that was drawn; the part at the voxel takes the brush's type. */
export async function finishSplit(point: Point): Promise<void> {
  const cut = S.splitLine.value;
  if (!cut) return;
  S.splitLine.value = undefined;
  await step("tools/split", { at: point, line: cut.line, label: S.brushLabel.value });
}

// ---- boxes, evidence, measurements ---------------------------------------------------------------------------------

export async function drawBox(box: Box): Promise<void> {
  const label = S.labelInfo(S.brushLabel.value).group === "lesion" ? S.brushLabel.value : null;
  if (await step("tools/draw_box", { box, label, evidence: "imaging", note: "" })) {
    S.say("Box drawn: turn it into a lesion in the table on the right");
  }
}

export async function seedFromBox(id: string, method: "prediction" | "intensity", label: number): Promise<void> {
  const seed = S.boxes.value.find((one) => one.id === id);
  if (!seed) return;
  const from = maskRefs().find((ref) => ref === "prediction" || ref === "segmentation") ?? "head";
  const made = await step("tools/box", { box: seed.box, label, method, from, phase: S.activePhase.value, id });
  // A refusal may have marked the box: it needs drawing by hand.
  if (!made) await refreshNotes();
}

export const removeBox = (id: string): Promise<boolean> => step("tools/remove_box", { id });

export const setEvidence = (lesion: ListedLesion, evidence: EvidenceKind, note: string): Promise<boolean> =>
  step("tools/evidence", { at: lesion.at, evidence, note });

export const keepMeasurement = (json: MeasureRequest): Promise<boolean> => step("tools/measure", json);

export const removeMeasurement = (id: string): Promise<boolean> => step("tools/remove_measurement", { id });

export function goToMeasurement(one: MeasurementRecord): void {
  const at = one.centre ?? one.from;
  if (!at) return;
  activate(one.phase, "axial");
  show(rounded(at));
}
