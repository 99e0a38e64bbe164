import { effect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fit, fitting, panesOf, refit } from "../app/navigate";
import * as S from "../app/state";
import { PLANES } from "../model/grid";
import { Pane } from "./Pane";

/** The panes of the layout. */
export function Panes() {
  useEffect(() => {
    let frame = 0;
    let later: ReturnType<typeof setTimeout> | undefined;
    const fitAll = (): void => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => {
        S.services().viewer.resize();
        const shown = panesOf(S.layout.value, S.mainPhase.value);
        const large = shown.filter((one) => !S.enlarged.value || one.id === S.enlarged.value);
        for (const plane of PLANES) {
          const mine = large.filter((one) => one.plane === plane).map((one) => one.id);
          const first = S.layout.value === "one-three" ? mine.slice(0, 1) : mine;
          if (first.length > 0) fit(plane, first);
        }
        fitting.value = false;
      });
    };
    // A new layout, another case or a request to fit; panes are in the page one frame later.
    const stop = effect(() => {
      void [S.layout.value, S.enlarged.value, refit.value, S.open.value, S.mainPhase.value];
      fitting.value = true;
      clearTimeout(later);
      later = setTimeout(fitAll, 0);
    });
    return () => {
      stop();
      clearTimeout(later);
      cancelAnimationFrame(frame);
      fitting.value = false;
    };
  }, []);
  const layout = S.layout.value;
  const enlarged = S.enlarged.value;
  const shown = panesOf(layout, S.mainPhase.value).filter((one) => !enlarged || one.id === enlarged);
  // Panes keep their place in the page when the large one changes; the style sheet places them.
  const ordered = layout === "one-three" ? [...shown].sort((a, b) => a.id.localeCompare(b.id)) : shown;
  return (
    <main class={`panes ${enlarged ? "single" : layout}`} aria-label="Pictures" data-region="">
      {ordered.map((spec) => (
        <Pane key={spec.id} spec={spec} size={sizeOf(spec.phase, spec.plane)} />
      ))}
    </main>
  );

  function sizeOf(phase: string, plane: string): "large" | "small" | "plain" {
    if (enlarged || layout === "four") return "plain";
    if (layout === "mpr") return plane === "axial" ? "large" : "small";
    return phase === S.mainPhase.value ? "large" : "small";
  }
}
