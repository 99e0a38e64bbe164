/** The masks of a case that do not change, versions first: listing, showing beside, saving; and the state of the case. */
import { batch } from "@preact/signals";
import { ServerError } from "../server/api";
import type { CaseState } from "../server/names";
import * as S from "./state";

async function refreshCases(): Promise<void> {
  S.caseList.value = await S.services().api.cases();
}

export async function refreshVersions(): Promise<void> {
  const opened = S.open.value;
  if (!opened) return;
  const { api } = S.services();
  const [versions, history] = await Promise.all([api.versions(opened.info.id), api.history(opened.info.id)]);
  if (S.open.value !== opened) return;
  batch(() => {
    S.versions.value = versions;
    S.history.value = history.events;
  });
}

/** Every mask that can be shown beside or compared, the newest version first. */
export function maskRefs(): string[] {
  const saved = (S.versions.value?.versions ?? []).map((one) => one.ref).reverse();
  const sources = (S.open.value?.info.masks ?? []).filter((one) => one.status === "ok").map((one) => one.ref);
  return [...new Set([...saved, ...sources.filter((ref) => !/^v\d+$/.test(ref))])];
}

/** Shows another mask's contours in white dashes, from which lesions can be copied; undefined hides them. */
export async function showReference(ref: string | undefined): Promise<void> {
  const opened = S.open.value;
  if (!opened || !ref) {
    S.reference.value = undefined;
  } else {
    const mask = await S.services().api.mask(opened.info.id, ref);
    if (S.open.value !== opened) return;
    S.reference.value = { ref, mask };
    S.say(`${ref} shown in white dashes: Ctrl+C over a lesion of it, then Ctrl+V, copies it`);
  }
  S.maskRevision.value++;
}

/** Saves the working mask as a version; throws what the server refuses, after asking what to do with a conflict. */
export async function save(beside = false, note = ""): Promise<void> {
  const draft = S.draft.value;
  if (!draft) return;
  try {
    const version = await draft.save(note, beside);
    batch(() => {
      S.savedAt.value = { ref: version.ref, time: version.time };
      if (S.dialog.value === "conflict") S.dialog.value = undefined;
    });
    S.say(
      beside
        ? `Saved beside as ${version.ref}: compare it with ${S.versions.value?.head ?? "the other"}`
        : `Saved as ${version.ref}`,
    );
    await Promise.all([refreshVersions(), refreshCases()]);
  } catch (reason) {
    if (reason instanceof ServerError && reason.code === "VERSION_CONFLICT") {
      await refreshVersions();
      S.dialog.value = "conflict";
    }
    throw reason;
  }
}

export async function setCaseState(state: CaseState): Promise<void> {
  const opened = S.open.value;
  if (!opened) return;
  await S.services().api.setState(opened.info.id, state);
  await refreshCases();
  S.say(`${opened.info.id} marked ${state.replace("_", " ")}`);
}
