import { useState } from "preact/hooks";
import * as S from "../app/state";

/** The reports as plain text; nothing in them is ever markup. */
export function ReportTab() {
  const [wanted, setWanted] = useState("");
  const report = S.report.value;
  if (!report) return <p class="hint">The report is loading …</p>;
  if (report.parts.length === 0) return <p class="hint">No report lies beside this case.</p>;
  return (
    <div class="tab-body">
      <input
        type="search"
        aria-label="Search the report"
        placeholder="search the report"
        value={wanted}
        onInput={(event) => setWanted(event.currentTarget.value)}
      />
      <div class="scroll grow report" tabIndex={0} role="region" aria-label="Report">
        {report.parts.map((part) => (
          <article key={part.name}>
            <h3>{part.name}</h3>
            <p class="text">{marked(part.text, wanted.trim())}</p>
          </article>
        ))}
      </div>
    </div>
  );
}

function marked(text: string, wanted: string) {
  if (!wanted) return text;
  const pattern = new RegExp(`(${wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`, "gi");
  return text.split(pattern).map((piece, k) => (k % 2 === 1 ? <mark key={k}>{piece}</mark> : piece));
}
