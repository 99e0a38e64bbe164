import { attempt } from "../app/attempt";
import { moveToCase } from "../app/casework";
import { leaveCompare } from "../app/compare";
import { LAYOUTS, setLayout, setMainPhase } from "../app/navigate";
import * as S from "../app/state";
import { save, setCaseState } from "../app/versions";
import { oneOf } from "../model/choice";
import type { CaseState } from "../server/names";
import { PHASES } from "../server/names";
import { FileMenu } from "./FileMenu";

export const clock = (time: string | undefined): string =>
  time ? new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : "";

const CASE_STATES: readonly CaseState[] = ["new", "in_progress", "done"];
const STATES: Record<CaseState, string> = { new: "new", in_progress: "in progress", done: "done" };

export function TopBar() {
  const opened = S.open.value;
  const list = S.caseList.value?.cases ?? [];
  const at = list.findIndex((one) => one.id === S.caseId.value);
  const listed = list[at]?.state ?? "new";
  // The list is read anew when a version is saved.
  const state = listed === "new" && (S.draft.value?.state.value.steps?.length ?? 0) > 0 ? "in_progress" : listed;
  return (
    <header class="top" data-region="">
      <div class="group">
        <button
          type="button"
          title="Previous case (Ctrl+←)"
          aria-label="Previous case"
          disabled={at <= 0}
          onClick={() => attempt(() => moveToCase(-1))}
        >
          ‹
        </button>
        <button type="button" class="case" title="Work list" onClick={() => (S.dialog.value = "worklist")}>
          <b>{S.caseId.value || "no case"}</b>
          <span class="faint">
            {at + 1} / {list.length}
          </span>
        </button>
        <button
          type="button"
          title="Next case (Ctrl+→)"
          aria-label="Next case"
          disabled={at < 0 || at + 1 >= list.length}
          onClick={() => attempt(() => moveToCase(1))}
        >
          ›
        </button>
        <button type="button" title="Next case that is not done" onClick={() => attempt(() => moveToCase("undone"))}>
          Next undone
        </button>
        {opened && (
          <select
            aria-label="State of this case"
            class={`state ${state}`}
            value={state}
            onChange={(event) => attempt(() => setCaseState(oneOf(CASE_STATES, event.currentTarget.value) ?? state))}
          >
            {Object.entries(STATES).map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        )}
      </div>
      <div class="group">
        <Switch
          label="Mode"
          value={S.mode.value}
          options={[
            ["edit", "Edit"],
            ["compare", "Compare"],
          ]}
          onPick={(value) => {
            if (value === "edit") attempt(leaveCompare);
            else S.tab.value = "differences";
          }}
        />
        <Switch
          label="Layout"
          value={S.layout.value}
          options={LAYOUTS.map((one) => [one.id, { four: "4", "one-three": "1+3", mpr: "MPR" }[one.id]] as const)}
          titles={LAYOUTS.map((one) => `${one.name} (L)`)}
          onPick={setLayout}
        />
        {S.layout.value !== "four" && (
          <Switch
            label="Large phase"
            value={S.mainPhase.value}
            options={PHASES.map((phase) => [phase, phase] as const)}
            onPick={setMainPhase}
          />
        )}
      </div>
      <div class="group end">
        <SavedMarker />
        <button
          type="button"
          class="primary"
          disabled={!S.draft.value}
          title="Save a version (Ctrl+S)"
          onClick={() => attempt(() => save())}
        >
          Save
        </button>
        <FileMenu />
        <button type="button" title="Who is reading" onClick={() => (S.dialog.value = "user")}>
          <span class="faint">Reader</span> {S.user.value || "–"}
        </button>
        <button type="button" title="Help and keys (?)" aria-label="Help" onClick={() => (S.dialog.value = "help")}>
          ?
        </button>
      </div>
    </header>
  );
}

function Switch<Value extends string>({
  label,
  value,
  options,
  titles,
  onPick,
}: {
  label: string;
  value: Value;
  options: readonly (readonly [Value, string])[];
  titles?: readonly string[];
  onPick: (value: Value) => void;
}) {
  return (
    <div class="switch" role="group" aria-label={label}>
      {options.map(([id, words], k) => (
        <button key={id} type="button" aria-pressed={value === id} title={titles?.[k]} onClick={() => onPick(id)}>
          {words}
        </button>
      ))}
    </div>
  );
}

/** Says where the work stands: on its way, kept by the server, or saved as a version. */
function SavedMarker() {
  const draft = S.draft.value;
  if (!draft) return <span class="faint">{S.open.value ? "loading the mask …" : ""}</span>;
  const { dirty, parent } = draft.state.value;
  if (draft.stalled.value)
    return (
      <span class="saved bad" role="status">
        server away, {draft.pending.value} waiting
      </span>
    );
  if (draft.pending.value > 0)
    return (
      <span class="saved" role="status">
        keeping …
      </span>
    );
  if (dirty)
    return (
      <span class="saved" role="status" title="Every edit is kept by the server; Save makes a version of them">
        {`kept ${clock(S.confirmedAt.value)}`.trim()}, not yet a version
      </span>
    );
  const at = S.savedAt.value;
  return (
    <span class="saved good" role="status">
      {at ? `saved ${clock(at.time)}, ${at.ref}` : `unchanged, ${parent}`}
    </span>
  );
}
