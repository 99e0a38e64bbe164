/** Intelligent Editing: two masks of a case compared lesion by lesion, and a verdict for each difference. */
import { batch } from "@preact/signals";
import type { VerdictName } from "../server/names";
import type { DifferenceRow } from "../server/types";
import { messageOf } from "./attempt";
import { draftEvents, reopenEdit, useDraft } from "./casework";
import { Draft } from "./draft";
import { show } from "./navigate";
import * as S from "./state";

const VERDICT_WORDS: Record<VerdictName, string> = {
  accept: "new accepted",
  keep: "old kept",
  relabel: "relabelled",
  second_reader: "for a second reader",
  edited: "edited by hand",
  clear: "open again",
};

export const verdictWords = (one: DifferenceRow): string => {
  const verdict = one.verdict;
  if (!verdict) return "";
  return verdict.verdict === "relabel" && verdict.label
    ? `now ${S.labelInfo(verdict.label).name}`
    : VERDICT_WORDS[verdict.verdict];
};

/** Opens the comparison of two masks; what was decided before is there again. */
export async function compare(old: string, fresh: string): Promise<void> {
  const opened = S.open.value;
  if (!opened) return;
  if (old === fresh) return S.say("Choose two different masks to compare", true);
  const { api } = S.services();
  const id = opened.info.id;
  S.say(`Comparing ${old} with ${fresh} …`);
  try {
    await S.draft.value?.settled();
    const draft = await Draft.open(api, id, { task: "review", old, new: fresh, recover: "continue" }, draftEvents);
    const [before, after, list] = await Promise.all([
      api.mask(id, old),
      api.mask(id, fresh),
      api.differences(id, old, fresh),
    ]);
    if (S.open.value !== opened) return draft.close();
    batch(() => {
      S.mode.value = "compare";
      S.tab.value = "differences";
      S.overlay.value = "contour";
      S.compareRefs.value = { old, fresh };
      S.compareMasks.value = { old: before, fresh: after };
      S.differences.value = list;
      S.difference.value = undefined;
      S.blink.value = "both";
      useDraft(draft);
    });
    const first = walked(list.differences)[0];
    if (first) goToDifference(first);
    S.say(list.of === 0 ? "No differences" : `${list.open} of ${list.of} differences open`);
  } catch (reason) {
    S.say(messageOf(reason), true);
  }
}

/** Back to the edit draft. */
export async function leaveCompare(): Promise<void> {
  if (S.mode.value !== "compare") return;
  await S.draft.value?.settled();
  batch(() => {
    S.mode.value = "edit";
    S.tab.value = "lesions";
    S.overlay.value = "both";
    S.compareMasks.value = undefined;
    S.differences.value = undefined;
    S.difference.value = undefined;
  });
  await reopenEdit("continue");
}

let reading = 0;

/** Reads the list with its verdicts anew; of several calls the last counts. */
export async function refreshDifferences(): Promise<void> {
  const opened = S.open.value;
  const refs = S.compareRefs.value;
  if (!opened || !refs) return;
  const turn = ++reading;
  const list = await S.services().api.differences(opened.info.id, refs.old, refs.fresh);
  if (turn === reading && S.compareRefs.value === refs) S.differences.value = list;
}

/** The differences that are listed, by the filter. */
export function listed(all: readonly DifferenceRow[]): DifferenceRow[] {
  const filter = S.differenceFilter.value;
  if (filter === "open") return all.filter((one) => one.kind !== "same" && !one.verdict);
  if (filter === "all") return all.filter((one) => one.kind !== "same");
  if (filter === "second") return all.filter((one) => one.verdict?.verdict === "second_reader");
  return all.filter((one) => one.kind === filter);
}

/** The differences in the order of the walk: all that count, decided or not. */
function walked(all: readonly DifferenceRow[]): DifferenceRow[] {
  return all.filter((one) => one.kind !== "same");
}

export function currentDifference(): DifferenceRow | undefined {
  return S.differences.value?.differences.find((one) => one.id === S.difference.value);
}

export function goToDifference(one: DifferenceRow): void {
  S.difference.value = one.id;
  show(one.at);
}

const ALL_DECIDED = "Every difference is decided: Ctrl+S saves the merged mask";

/** Next or previous difference; `open` passes over those already decided. */
export function walkDifferences(direction: 1 | -1, openOnly = false): void {
  const all = walked(S.differences.value?.differences ?? []);
  if (all.length === 0) return S.say("No differences");
  const at = all.findIndex((one) => one.id === S.difference.value);
  for (let far = 1; far <= all.length; far++) {
    const next = all[(at + direction * far + 2 * all.length) % all.length];
    if (!openOnly || !(next.verdict || deciding.has(next.id))) return goToDifference(next);
  }
  S.say(ALL_DECIDED);
}

/** Differences whose verdict is on its way. */
const deciding = new Set<string>();

export async function giveVerdict(verdict: VerdictName, label: number | null = null): Promise<void> {
  const draft = S.draft.value;
  const one = currentDifference();
  if (!draft || !one) return S.say("No difference is chosen: press N");
  deciding.add(one.id);
  try {
    const name = await draft.step("tools/verdict", { difference: one.id, verdict, label });
    if (name === undefined) return;
    S.confirmedAt.value = new Date().toISOString();
    await refreshDifferences();
    const list = S.differences.value;
    const left = list?.open === 0 ? ALL_DECIDED : list && `${list.open} of ${list.of} open`;
    S.say(left ? `${name} · ${left}` : name);
  } finally {
    deciding.delete(one.id);
  }
}

/** Accepts the new mask here and goes on to the next open difference at once: a fast reader does not wait for the server. */
export async function acceptAndGoOn(): Promise<void> {
  const given = giveVerdict("accept");
  walkDifferences(1, true);
  await given;
}

export function toggleBlink(): void {
  S.blink.value = S.blink.value === "old" ? "new" : S.blink.value === "new" ? "both" : "old";
  S.say({ both: "Old and new", old: "Old only (dashed)", new: "New only" }[S.blink.value]);
}
