/** Opening a case: image, masks, report and windows load by themselves; then the drafts on it and their lesions. */
import { batch } from "@preact/signals";
import { Grid } from "../model/grid";
import { PhaseVolume } from "../model/phaseVolume";
import type { Phase } from "../server/names";
import { PHASES } from "../server/names";
import type { CaseInfo } from "../server/types";
import { messageOf } from "./attempt";
import type { DraftEvents } from "./draft";
import { Draft } from "./draft";
import { forgetAutomaticWindows, setAutomaticWindows } from "./navigate";
import * as S from "./state";
import { refreshVersions } from "./versions";

let opening = 0;

export const draftEvents: DraftEvents = {
  changed() {
    S.maskRevision.value++;
    refreshLesionsSoon();
  },
  noted: refreshNotes,
  refused(message) {
    S.maskRevision.value++;
    S.say(message, true);
  },
};

/** Opens a case and everything that belongs to it; a later call overtakes an earlier one. Throws why it cannot be shown. */
export async function openCase(id: string): Promise<void> {
  const turn = ++opening;
  closeCase();
  S.caseId.value = location.hash = id;
  document.title = `${id} · CT Labeler`;
  try {
    const info = await S.services().api.case(id);
    if (turn !== opening) return;
    if (!info.grid) throw new Error(whyNothingShows(info));
    showCase(info, new Grid(info.grid));
  } catch (reason) {
    if (turn !== opening) return;
    S.notShown.value = messageOf(reason);
    throw reason;
  }
  // The first slices, then the mask, then the other slices: 400 slices of four phases are 840 MB.
  let edit: Promise<void> | undefined;
  for (const volume of S.open.value?.volumes.values() ?? []) void volume.load(async () => edit);
  edit = openEdit(id, turn, "ask");
  await Promise.all([edit, loadWindows(id, turn), loadBeside(id, turn)]);
}

/** Puts the panes of a case on the screen; their pictures come by themselves. */
function showCase(info: CaseInfo, grid: Grid): void {
  const { api } = S.services();
  const { id } = info;
  const volumes = new Map<Phase, PhaseVolume>();
  for (const phase of PHASES) {
    const one = info.phases[phase];
    if (one.status !== "ok") continue;
    const own = one.grid ? new Grid(one.grid) : grid;
    volumes.set(phase, new PhaseVolume(api, id, phase, own, () => S.loaded.value++));
  }
  const middle: [number, number, number] = [
    Math.floor(grid.shape[0] / 2),
    Math.floor(grid.shape[1] / 2),
    Math.floor(grid.shape[2] / 2),
  ];
  forgetAutomaticWindows();
  const active = info.reference && volumes.has(info.reference) ? info.reference : ([...volumes.keys()][0] ?? "VP");
  batch(() => {
    S.windows.value = {};
    S.cursor.value = middle;
    S.hover.value = undefined;
    S.activePhase.value = active;
    S.mainPhase.value = active;
    S.activePlane.value = "axial";
    S.enlarged.value = undefined;
    S.open.value = { info, grid, volumes };
  });
  setAutomaticWindows(Object.fromEntries(PHASES.map((phase) => [phase, info.phases[phase].window ?? null])));
  for (const volume of volumes.values()) volume.want(middle[0]);
  S.say(info.notices.map((notice) => notice.message).join(" · ") || `${id}: ${volumes.size} of 4 phases`);
}

/** What stands in the way of a case none of whose phases can be read. */
function whyNothingShows(info: CaseInfo): string {
  const said = PHASES.map((phase) => info.phases[phase].error).filter(
    (error) => error && error.code !== "PHASE_MISSING",
  );
  const faults = [...new Set(said.map((error) => `${error?.message} ${error?.remedy}`))];
  return [`${info.id} cannot be shown.`, ...(faults.length > 0 ? faults : ["It has no image."])].join("\n");
}

function closeCase(): void {
  for (const volume of S.open.value?.volumes.values() ?? []) volume.stop();
  S.draft.value?.close();
  batch(() => {
    S.open.value = undefined;
    S.notShown.value = undefined;
    S.draft.value = undefined;
    S.mode.value = "edit";
    S.tab.value = S.tab.value === "differences" ? "lesions" : S.tab.value;
    S.lesions.value = undefined;
    S.selected.value = [];
    S.reference.value = undefined;
    S.clipboard.value = undefined;
    S.splitLine.value = undefined;
    S.compareRefs.value = undefined;
    S.compareMasks.value = undefined;
    S.differences.value = undefined;
    S.report.value = undefined;
    S.versions.value = undefined;
    S.history.value = [];
    S.measurements.value = [];
    S.boxes.value = [];
    S.savedAt.value = undefined;
    S.confirmedAt.value = undefined;
  });
}

async function loadWindows(id: string, turn: number): Promise<void> {
  try {
    const found = await S.services().api.windows(id);
    if (turn === opening) setAutomaticWindows(found);
  } catch {
    // Without them the liver window stands; a phase that cannot be read says so in its pane.
  }
}

async function loadBeside(id: string, turn: number): Promise<void> {
  const { api } = S.services();
  const [report, reviews] = await Promise.all([
    api.report(id).catch(() => undefined),
    api.reviews(id).catch(() => ({ reviews: [] })),
    refreshNotes(),
  ]);
  if (turn !== opening) return;
  batch(() => {
    S.report.value = report;
    S.reviews.value = reviews.reviews;
  });
  await refreshVersions();
}

/** Reads boxes and measurements anew. */
export async function refreshNotes(): Promise<void> {
  const opened = S.open.value;
  if (!opened) return;
  const { api } = S.services();
  const [measurements, boxes] = await Promise.all([
    api.measurements(opened.info.id).catch(() => ({ measurements: [] })),
    api.boxes(opened.info.id).catch(() => ({ boxes: [] })),
  ]);
  if (S.open.value !== opened) return;
  batch(() => {
    S.measurements.value = measurements.measurements;
    S.boxes.value = boxes.boxes;
  });
}

/** Opens the working mask; where it holds unsaved steps, offers to go on or to set them aside. */
async function openEdit(id: string, turn: number, recover: "ask" | "continue" | "discard"): Promise<void> {
  try {
    const draft = await Draft.open(S.services().api, id, { task: "edit", recover, base: "head" }, draftEvents);
    if (turn !== opening) return draft.close();
    useDraft(draft);
    if (recover === "ask" && draft.state.value.recovery) S.dialog.value = "recovery";
  } catch (reason) {
    if (turn === opening) S.say(messageOf(reason), true);
  }
}

export async function reopenEdit(recover: "continue" | "discard"): Promise<void> {
  const opened = S.open.value;
  if (opened) await openEdit(opened.info.id, opening, recover);
}

export function useDraft(draft: Draft): void {
  const before = S.draft.value;
  batch(() => {
    S.draft.value = draft;
    S.maskRevision.value++;
    S.selected.value = [];
    S.splitLine.value = undefined;
  });
  if (before && before !== draft) before.close();
  refreshLesionsSoon(0);
}

let lesionTimer: ReturnType<typeof setTimeout> | undefined;
let lesionTurn = 0;

/** Reads the lesion table anew, once the edits on their way have been confirmed. */
export function refreshLesionsSoon(delayMs = 120): void {
  S.lesionsStale.value = true;
  clearTimeout(lesionTimer);
  lesionTimer = setTimeout(() => void refreshLesions(), delayMs);
}

async function refreshLesions(): Promise<void> {
  const draft = S.draft.value;
  const turn = ++lesionTurn;
  if (!draft) return;
  await draft.settled();
  try {
    const list = await S.services().api.lesions(draft.caseId, draft.ref);
    if (turn !== lesionTurn || S.draft.value !== draft) return;
    batch(() => {
      S.lesions.value = list;
      S.lesionsStale.value = false;
      S.selected.value = S.selected.value.filter((first) => list.lesions.some((one) => one.first === first));
    });
  } catch (reason) {
    if (turn !== lesionTurn) return;
    S.lesionsStale.value = false;
    S.say(messageOf(reason), true);
  }
}

/** Resolves when the lesion table shows the present mask. */
export async function lesionsFresh(): Promise<void> {
  while (S.lesionsStale.value) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Opens the neighbour in the work list, or the next case that is not done. */
export async function moveToCase(step: 1 | -1 | "undone"): Promise<void> {
  const now = S.caseId.value;
  const list = S.caseList.value?.cases ?? [];
  await S.draft.value?.settled();
  let id: string | null | undefined;
  if (step === "undone") id = (await S.services().api.nextCase(now)).id;
  else id = list[list.findIndex((one) => one.id === now) + step]?.id;
  if (id) await openCase(id);
  else S.say(step === "undone" ? "Every case is done" : "No further case in the work list");
}
