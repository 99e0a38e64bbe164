import * as S from "../app/state";
import { Dialogs } from "./Dialogs";
import { DifferencesTab } from "./DifferencesTab";
import { HistoryTab } from "./HistoryTab";
import { LesionsTab } from "./LesionsTab";
import { Panes } from "./Panes";
import { ReportTab } from "./ReportTab";
import { ToolColumn, ToolOptions } from "./ToolColumn";
import { TopBar } from "./TopBar";

const TABS: readonly { id: S.Tab; name: string }[] = [
  { id: "lesions", name: "Lesions" },
  { id: "differences", name: "Differences" },
  { id: "report", name: "Report" },
  { id: "history", name: "History" },
];

export function App() {
  if (S.fatal.value) {
    return (
      <main class="fatal">
        <h1>CT Labeler</h1>
        <p role="alert">{S.fatal.value}</p>
      </main>
    );
  }
  return (
    <div class={`page ${S.mode.value}`}>
      <TopBar />
      <ToolColumn />
      <div class="centre">
        <ToolOptions />
        {S.open.value ? <Panes /> : <NoPictures />}
      </div>
      <Side />
      <StatusLine />
      <Dialogs />
    </div>
  );
}

function NoPictures() {
  const none = S.caseList.value?.cases.length === 0 ? "No cases in this project." : undefined;
  const why = S.notShown.value;
  return (
    <main class="panes empty" aria-label="Pictures">
      <p class={why ? "why warn" : "hint"}>{why ?? none ?? "Loading …"}</p>
    </main>
  );
}

function Side() {
  const now = S.tab.value;
  const move = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const at = TABS.findIndex((one) => one.id === now);
    const next = TABS[(at + step + TABS.length) % TABS.length];
    if (next) {
      S.tab.value = next.id;
      document.getElementById(`tab-${next.id}`)?.focus();
    }
  };
  return (
    <aside class="side" aria-label="Lesions, differences, report, history" data-region="">
      <div class="tabs" role="tablist" aria-label="Side panel" onKeyDown={move}>
        {TABS.map((one) => (
          <button
            key={one.id}
            id={`tab-${one.id}`}
            type="button"
            role="tab"
            aria-selected={now === one.id}
            aria-controls="panel"
            tabIndex={now === one.id ? 0 : -1}
            onClick={() => (S.tab.value = one.id)}
          >
            {one.name}
          </button>
        ))}
      </div>
      <div id="panel" class="panel" role="tabpanel" aria-labelledby={`tab-${now}`} tabIndex={-1}>
        {now === "lesions" && <LesionsTab />}
        {now === "differences" && <DifferencesTab />}
        {now === "report" && <ReportTab />}
        {now === "history" && <HistoryTab />}
      </div>
    </aside>
  );
}

function StatusLine() {
  const { text, bad } = S.status.value;
  const point = S.hover.value?.point ?? S.cursor.value;
  const draft = S.draft.value;
  S.maskRevision.value;
  const label = draft && S.open.value ? draft.mask[S.open.value.grid.flat(point)] : 0;
  const undo = draft?.state.value.undo;
  return (
    <footer class="status">
      <span class={bad ? "bad" : ""} role={bad ? "alert" : "status"} data-status="">
        {text}
      </span>
      <span class="spring" />
      {undo && <span class="faint">Ctrl+Z: {undo}</span>}
      {S.open.value && (
        <span class="faint">
          voxel {point[2]}, {point[1]}, {point[0]}
          {label ? ` · ${S.labelInfo(label).name}` : ""}
        </span>
      )}
      <span class="faint">? keys</span>
    </footer>
  );
}
