import { render } from "preact";
import { attempt, messageOf } from "./app/attempt";
import { openCase } from "./app/casework";
import { listenToKeys } from "./app/keys";
import * as S from "./app/state";
import { testHandle } from "./app/testHandle";
import { Api, ServerError } from "./server/api";
import { App } from "./ui/App";
import { USER_KEY } from "./ui/Dialogs";
import type { Renderer } from "./viewer/viewer";
import { Viewer } from "./viewer/viewer";

function wantedRenderer(): Renderer | "auto" {
  const wanted = new URLSearchParams(location.search).get("renderer");
  return wanted === "cpu" || wanted === "gpu" ? wanted : "auto";
}

async function start(): Promise<void> {
  const root = document.getElementById("app");
  if (!root) return;
  render(<App />, root);
  const api = new Api();
  api.refusedLogin = () => {
    S.loggedOut.value = true;
  };
  try {
    const [viewer, session, cases] = await Promise.all([Viewer.start(wantedRenderer()), api.session(), api.cases()]);
    S.setServices({ api, viewer });
    S.user.value = localStorage.getItem(USER_KEY) ?? session.user;
    api.user = S.user.value;
    S.session.value = session;
    S.caseList.value = cases;
    listenToKeys();
    window.ctLabeler = testHandle;
    window.addEventListener("beforeunload", (event) => {
      if ((S.draft.value?.pending.value ?? 0) > 0) event.preventDefault();
    });
    window.addEventListener("hashchange", () => {
      const id = decodeURIComponent(location.hash.slice(1));
      if (id && id !== S.caseId.value) attempt(() => openCase(id));
    });
    await openFirst();
  } catch (reason) {
    S.fatal.value =
      reason instanceof ServerError && reason.status === 401
        ? "This page needs the link that the terminal shows: it holds a one-time key."
        : `The labeler could not start: ${messageOf(reason)}`;
  }
}

/** The case of the address, else the first that is not done, else the first. */
async function openFirst(): Promise<void> {
  const cases = S.caseList.value?.cases ?? [];
  const named = decodeURIComponent(location.hash.slice(1));
  const first = cases.find((one) => one.id === named) ?? cases.find((one) => one.state !== "done") ?? cases[0];
  if (first) await attempt(() => openCase(first.id));
}

void start();
