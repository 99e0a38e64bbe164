import { goToStep, redo, undo } from "../app/acts";
import { attempt } from "../app/attempt";
import { openCase } from "../app/casework";
import * as S from "../app/state";
import { refreshVersions } from "../app/versions";
import type { VersionInfo } from "../server/types";
import { download } from "./FileMenu";

const when = (time: string): string =>
  new Date(time).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** Steps since the last save, versions, and the record of who did what. */
export function HistoryTab() {
  const draft = S.draft.value;
  const state = draft?.state.value;
  const steps = state?.steps ?? [];
  return (
    <div class="tab-body scroll">
      <section class="card" aria-label="Steps">
        <h3>Steps</h3>
        <div class="buttons">
          <button type="button" disabled={!state?.undo} title="Ctrl+Z" onClick={() => attempt(undo)}>
            Undo
          </button>
          <button type="button" disabled={!state?.redo} title="Ctrl+Shift+Z" onClick={() => attempt(redo)}>
            Redo
          </button>
        </div>
        {steps.length === 0 && <p class="hint">Nothing edited yet.</p>}
        <ol class="steps" reversed>
          {[...steps].reverse().map((one, k) => {
            const position = steps.length - k;
            const applied = position <= (state?.position ?? 0);
            return (
              <li key={position} class={applied ? "" : "undone"}>
                <button
                  type="button"
                  class="plain"
                  aria-current={position === state?.position ? "step" : undefined}
                  title="Go back or forward to here"
                  onClick={() => attempt(() => goToStep(position))}
                >
                  {one.name}
                </button>
                <span class="faint">
                  {when(one.time)}
                  {position === state?.saved_position ? " · saved" : ""}
                </span>
              </li>
            );
          })}
          {steps.length > 0 && (
            <li>
              <button type="button" class="plain" onClick={() => attempt(() => goToStep(0))}>
                Start: {state?.base}
              </button>
            </li>
          )}
        </ol>
      </section>
      <section class="card" aria-label="Versions">
        <h3>Versions</h3>
        {S.open.value && (S.versions.value?.versions ?? []).length === 0 && (
          <p class="hint">None saved yet; the case starts from {S.open.value.info.head}.</p>
        )}
        {[...(S.versions.value?.versions ?? [])].reverse().map((one) => (
          <VersionRow key={one.ref} version={one} />
        ))}
      </section>
      <section class="card" aria-label="Record">
        <h3>Record</h3>
        <ol class="events">
          {[...S.history.value].reverse().map((one, k) => (
            <li key={k}>
              <span class="faint">
                {when(one.time)} {one.user}
              </span>{" "}
              {one.text}
            </li>
          ))}
        </ol>
      </section>
    </div>
  );
}

function VersionRow({ version }: { version: VersionInfo }) {
  const head = S.versions.value?.head === version.ref;
  const decided = Object.entries(version.verdicts ?? {})
    .map(([verdict, count]) => `${count} ${verdict.replace("_", " ")}`)
    .join(", ");
  return (
    <div class="version">
      <div>
        <b>{version.ref}</b> {head && <span class="tag">head</span>} {version.beside && <span class="tag">beside</span>}
        <span class="faint">
          {" "}
          {version.what} by {version.user}, {when(version.time)}, from {version.parent ?? "nothing"}
        </span>
      </div>
      {(version.note || decided || version.steps.length > 0) && (
        <details>
          <summary>
            {version.voxels_changed.toLocaleString("en")} voxels{decided && `, ${decided}`}
            {version.note && `, ${version.note}`}
          </summary>
          <ol>
            {version.steps.map((step, k) => (
              <li key={k}>{step}</li>
            ))}
          </ol>
        </details>
      )}
      <div class="buttons">
        <button type="button" disabled={head} onClick={() => attempt(() => restore(version.ref))}>
          Restore
        </button>
        <button type="button" onClick={() => attempt(() => download(version.ref, "nii.gz"))}>
          NIfTI
        </button>
      </div>
    </div>
  );
}

async function restore(ref: string): Promise<void> {
  const opened = S.open.value;
  if (!opened) return;
  const made = await S.services().api.restore(opened.info.id, ref, S.versions.value?.head ?? opened.info.head);
  await openCase(opened.info.id);
  await refreshVersions();
  S.say(`${ref} restored as ${made.ref}`);
}
